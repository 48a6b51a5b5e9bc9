"""A pipeline service in memory, with the paths, names and refusals of the real one.

Its runs do nothing: each look at one moves it on by a step, or by a part of its search.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
import uuid
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

STEPS = ("ingest", "validate", "train", "evaluate", "compare", "prove", "promote", "smoke-test", "batch-score")
DEFAULTS = {
    "Table": None, "Target": None, "Model": None, "Task": None, "Positive": None, "Drop": [], "Metric": None,
    "Learners": [], "Budget": 60.0, "MaxTrials": None, "Seed": 0, "Margin": 0.0, "AllowReuse": True, "Serve": True,
    "BatchInput": None, "BatchOutput": None, "TimeColumn": None,
}  # fmt: skip
METRICS = {
    "validate": {"rows": 4521, "columns": 15},
    "train": {"roc_auc": 0.94812},
    "evaluate": {"accuracy": 0.9171, "log_loss": 0.1893, "AUC_weighted": 0.94805, "f1_score_macro": 0.7312},
    "compare": {"champion": 0.94701, "challenger": 0.94805},
}
OUTPUTS = {
    "ingest": {"rows": 4521, "sha256": "b0b8"},
    "train": {"model": "bank-marketing", "version": "2"},
    "compare": {"promote": True, "reasons": ["AUC_weighted is above the champion's"]},
}
SEARCH = (0.0, 0.37, 0.92)  # what a run's search has done at each look
BEGUN = datetime(2026, 11, 26, 6, 0, tzinfo=UTC)


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class FakePipelineService:
    """A server on a free port. Use as a context manager, also again and again: its memory stays."""

    def __init__(self) -> None:
        self.key = "service-key"
        self.moves = 1  # by how much a look at a run moves it on
        self.fails_at = ""  # the step that fails
        self.promotes = True
        self.pipelines: list[dict] = []  # the newest last
        self.keys: dict[str, dict[str, str]] = {}
        self.runs: list[dict] = []
        self.schedules: list[tuple[str, dict]] = []
        self.triggers: list[tuple[str, dict]] = []
        self.lines: dict[str, list[dict]] = {}
        self.asked: list[str] = []  # method and path of all that came
        self._port = 0
        self._lock = threading.Lock()
        self._seconds = 0

    def __enter__(self) -> FakePipelineService:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                try:
                    with service._lock:
                        status, content = service.handle(self.command, self.path, self.headers["Authorization"], body)
                except Refused as refused:
                    status, content = refused.status, {"message": str(refused)}
                answer = b"" if status == 204 else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        self.url = f"http://127.0.0.1:{self._port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def handle(self, method: str, target: str, authorization: str | None, body: bytes) -> tuple[int, dict]:
        self.asked.append(f"{method} {target}")
        address = urlsplit(target)
        parts = [unquote(part) for part in address.path.split("/")[1:]]
        query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        given = json.loads(body) if body else {}
        key = (authorization or "").removeprefix("Bearer ")
        if parts[0] != "pipelines":
            raise Refused(404, f"There is no {address.path}.")
        if len(parts) == 1:
            self._authorize(key)
            return (201, self.publish(given)) if method == "POST" else (200, self.list(query))
        own = self.keys.get(self._named(parts[1])["Name"], {}) if self._is_known(parts[1]) else {}
        shared = (len(parts) == 2 and method == "GET") or (len(parts) > 2 and parts[2] == "runs")
        self._authorize(key, own if shared else {})
        pipeline = self._named(parts[1])
        for pattern, function in ROUTES.items():
            if re.fullmatch(pattern, f"{method} {'/'.join(parts[2:])}"):
                return function(self, pipeline, parts[2:], given, query)
        raise Refused(405, f"{method} {address.path} is not possible.")

    def _authorize(self, key: str, own: dict[str, str] = {}) -> None:  # noqa: B006
        if key != self.key and key not in own.values():
            raise Refused(401, "Give the service's key or one of the pipeline's as Authorization: Bearer KEY.")

    def _is_known(self, name: str) -> bool:
        return any(name in (each["Id"], each["Name"]) for each in self.pipelines)

    def _named(self, name: str) -> dict:
        for each in reversed(self.pipelines):
            if name in (each["Id"], each["Name"]):
                return each
        raise Refused(404, f"There is no pipeline '{name}'. Publish it: `homeport pipeline publish`.")

    def publish(self, given: dict) -> dict:
        name, job = given["Name"], given["Job"]
        if unknown := job.keys() - DEFAULTS.keys():
            raise Refused(422, f"A job has no {', '.join(sorted(unknown))}.")
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
            raise Refused(422, f"'{name}' is no name: use small letters, digits, dots and dashes.")
        published = {
            "Id": str(uuid.uuid4()), "Name": name, "Version": given.get("Version") or "1.0",
            "Description": given["Description"], "Status": "ACTIVE", "Created": self._now(),
            "Endpoint": f"{self.url}/pipelines/{name}/runs", "Job": DEFAULTS | job, "Keys": None,
        }  # fmt: skip
        self.pipelines.append(published)
        if name in self.keys:
            return published
        self.keys[name] = {"Primary": secrets.token_urlsafe(), "Secondary": secrets.token_urlsafe()}
        return published | {"Keys": self.keys[name]}

    def list(self, query: dict) -> dict:
        seen: dict[str, dict] = {}
        for each in reversed(self.pipelines):
            seen.setdefault(each["Id"] if query.get("all") == "true" else each["Name"], each)
        return {"Pipelines": list(seen.values())}

    def show(self, pipeline, *_):
        return 200, pipeline

    def switch(self, pipeline, parts, *_):
        pipeline["Status"] = {"enable": "ACTIVE", "disable": "DISABLED"}[parts[0]]
        return 200, pipeline

    def regenerate(self, pipeline, parts, *_):
        new = self.keys[pipeline["Name"]][parts[1].capitalize()] = secrets.token_urlsafe()
        return 200, {"Key": new}

    def submit(self, pipeline, _, given, *__):
        if pipeline["Status"] == "DISABLED":
            raise Refused(409, f"{pipeline['Name']} is disabled: `homeport pipeline enable {pipeline['Name']}`.")
        assigned = given.get("ParameterAssignments") or {}
        if unknown := assigned.keys() - DEFAULTS.keys():
            raise Refused(422, f"There is no parameter {', '.join(unknown)}. There are: {', '.join(DEFAULTS)}.")
        if not isinstance(assigned.get("Budget", 1), int | float):
            raise Refused(422, f"Budget is {assigned['Budget']!r}: give seconds, such as 60.")
        run = self.begin(pipeline, given.get("ExperimentName") or "", assigned, "REST")
        return 200, {"Id": run["Id"]}

    def begin(self, pipeline: dict, experiment: str, assigned: dict, cause: str) -> dict:
        run_id = str(uuid.uuid4())
        step = {
            "Status": "NotStarted", "Reused": False, "Started": None, "Ended": None, "Seconds": 0.0,
            "Progress": None, "Metrics": {}, "Message": "",
        }  # fmt: skip
        run = {
            "Id": run_id, "Pipeline": pipeline["Name"], "PipelineId": pipeline["Id"], "ExperimentName": experiment,
            "ParameterAssignments": assigned, "Cause": cause, "Status": "Queued", "Message": "",
            "Created": self._now(), "Started": None, "Ended": None, "Seconds": 0.0, "Promoted": None,
            "ModelVersion": None, "Page": f"http://127.0.0.1:4200/runs/flow-run/{run_id}",
            "Steps": [{"Name": name} | step for name in STEPS],
        }  # fmt: skip
        self.runs.append(run)
        self.lines[run_id] = [self._line("", "the run is queued")]
        return run

    def list_runs(self, pipeline, *_):
        found = [run for run in reversed(self.runs) if run["Pipeline"] == pipeline["Name"]]
        return 200, {"Runs": [run | {"Steps": []} for run in found]}

    def show_run(self, pipeline, parts, *_):
        run = self._run(pipeline, parts[1])
        for _ in range(self.moves):
            if run["Status"] not in ("Queued", "Running"):
                break
            self._advance(run, DEFAULTS | self._named(run["PipelineId"])["Job"] | run["ParameterAssignments"])
        return 200, run

    def logs(self, pipeline, parts, _, query):
        lines = self.lines[self._run(pipeline, parts[1])["Id"]][int(query.get("after", 0)) :]
        return 200, {"Lines": lines[:3], "Next": int(query.get("after", 0)) + len(lines[:3])}

    def metrics(self, pipeline, parts, *_):
        steps = self._run(pipeline, parts[1])["Steps"]
        return 200, {"Metrics": {step["Name"]: step["Metrics"] for step in steps if step["Metrics"]}}

    def outputs(self, pipeline, parts, *_):
        steps = self._run(pipeline, parts[1])["Steps"]
        done = [step["Name"] for step in steps if step["Status"] == "Completed"]
        return 200, {"Outputs": {name: OUTPUTS[name] for name in done if name in OUTPUTS}}

    def cancel(self, pipeline, parts, *_):
        run = self._run(pipeline, parts[1])
        if run["Status"] in ("Queued", "Running"):
            run |= {"Status": "Canceled", "Ended": self._now()}
        return 200, run

    def rerun(self, pipeline, parts, *_):
        run = self._run(pipeline, parts[1])
        if run["Status"] not in ("Failed", "Canceled"):
            raise Refused(409, f"Run {run['Id']} is {run['Status']}: only one that failed or was canceled can go on.")
        run |= {"Status": "Running", "Message": "", "Ended": None}
        failed = next(step for step in run["Steps"] if step["Status"] != "Completed")
        failed |= {"Status": "Running", "Message": "", "Ended": None, "Progress": None}
        return 200, run

    def list_schedules(self, pipeline, *_):
        return 200, {"Schedules": [each for name, each in self.schedules if name == pipeline["Name"]]}

    def add_schedule(self, pipeline, _, given, *__):
        if bool(given.get("Every")) == bool(given.get("Cron")):
            raise Refused(422, "Give one of Every and Cron.")
        defaults = {
            "Every": None, "Cron": None, "Start": None, "TimeZone": "UTC", "Misfire": "once", "Overlap": "skip",
            "RunNow": False, "Enabled": True, "ParameterAssignments": {},
        }  # fmt: skip
        schedule = {"Id": str(uuid.uuid4())} | defaults | given | {"Next": "2026-12-01T06:00:00+00:00", "Last": None}
        self.schedules.append((pipeline["Name"], schedule))
        if schedule["RunNow"]:
            run = self.begin(pipeline, "", schedule["ParameterAssignments"], f"schedule {schedule['Id']}")
            schedule["Last"] = {"At": self._now(), "RunId": run["Id"], "Outcome": "started"}
        return 201, schedule

    def list_triggers(self, pipeline, *_):
        return 200, {"Triggers": [each for name, each in self.triggers if name == pipeline["Name"]]}

    def add_trigger(self, pipeline, _, given, *__):
        needed = {"data": ("Path",), "drift": ("Above",), "accuracy": ("Path", "Metric", "Below")}[given["Kind"]]
        if any(given.get(name) is None for name in needed):
            raise Refused(422, f"A trigger on {given['Kind']} needs {', '.join(needed)}.")
        trigger = {"Id": str(uuid.uuid4()), "EverySeconds": 30, "ParameterAssignments": {}} | given | {"Last": None}
        self.triggers.append((pipeline["Name"], trigger))
        return 201, trigger

    def remove(self, pipeline, parts, *_):
        kept = {"schedules": self.schedules, "triggers": self.triggers}[parts[0]]
        found = [pair for pair in kept if pair == (pipeline["Name"], pair[1]) and pair[1]["Id"] == parts[1]]
        if not found:
            raise Refused(404, f"{pipeline['Name']} has no such {parts[0][:-1]}: {parts[1]}.")
        kept.remove(found[0])
        return 204, {}

    def switch_schedule(self, pipeline, parts, *_):
        for name, schedule in self.schedules:
            if (name, schedule["Id"]) == (pipeline["Name"], parts[1]):
                schedule["Enabled"] = parts[2] == "enable"
                return 200, schedule
        raise Refused(404, f"{pipeline['Name']} has no such schedule: {parts[1]}.")

    def _run(self, pipeline: dict, run_id: str) -> dict:
        for run in self.runs:
            if run["Id"] == run_id and run["Pipeline"] == pipeline["Name"]:
                return run
        raise Refused(404, f"{pipeline['Name']} has no run {run_id}.")

    def _advance(self, run: dict, job: dict) -> None:
        run["Seconds"] += 1.0
        if run["Status"] == "Queued":
            run |= {"Status": "Running", "Started": self._now()}
            self._start(run, run["Steps"][0])
            return
        step = next(each for each in run["Steps"] if each["Status"] == "Running")
        step["Seconds"] += 1.0
        if step["Name"] == self.fails_at:
            step |= {
                "Status": "Failed",
                "Message": "the table has no column 'y'",
                "Ended": self._now(),
                "Progress": None,
            }
            run |= {"Status": "Failed", "Message": f"{step['Name']}: the table has no column 'y'", "Ended": self._now()}
            self.lines[run["Id"]].append(self._line(step["Name"], "the table has no column 'y'", "ERROR"))
            return
        if step["Name"] == "train" and step["Progress"]["Share"] != SEARCH[-1]:
            share = SEARCH[SEARCH.index(step["Progress"]["Share"]) + 1]
            step["Progress"] = {"Share": share, "Text": f"trial {share * 100:.0f}, lgbm, best roc_auc 0.9481"}
            step["Metrics"] = {"roc_auc": 0.9481}
            return
        step |= {"Status": "Completed", "Ended": self._now(), "Progress": None}
        step["Metrics"] = METRICS.get(step["Name"], {})
        if step["Name"] == "compare" and not self.promotes:
            step["Message"] = "AUC_weighted 0.9481 is not above the champion's 0.9470 by 0.01"
        rest = run["Steps"][run["Steps"].index(step) + 1 :]
        while rest and self._is_skipped(rest[0]["Name"], job):
            rest.pop(0)["Status"] = "Skipped"
        if rest:
            self._start(run, rest[0])
        else:
            run |= {"Status": "Completed", "Ended": self._now(), "Promoted": self.promotes, "ModelVersion": "2"}
            self.lines[run["Id"]].append(self._line("", "the run is over"))

    def _is_skipped(self, name: str, job: dict) -> bool:
        if name in ("promote", "smoke-test") and not self.promotes:
            return True
        return (name == "batch-score" and not job["BatchInput"]) or (name == "smoke-test" and not job["Serve"])

    def _start(self, run: dict, step: dict) -> None:
        step |= {"Status": "Running", "Started": self._now()}
        step["Reused"] = step["Name"] == "ingest" and len(self.runs) > 1
        if step["Name"] == "train":
            step["Progress"] = {"Share": 0.0, "Text": ""}
        self.lines[run["Id"]].append(self._line(step["Name"], f"{step['Name']} begins"))

    def _line(self, step: str, message: str, level: str = "INFO") -> dict:
        return {"At": self._now(), "Level": level, "Step": step, "Message": message}

    def _now(self) -> str:
        self._seconds += 1
        return (BEGUN + timedelta(seconds=self._seconds)).isoformat()


ROUTES = {
    "GET ": FakePipelineService.show,
    "POST (enable|disable)": FakePipelineService.switch,
    "POST keys/(primary|secondary)": FakePipelineService.regenerate,
    "POST runs": FakePipelineService.submit,
    "GET runs": FakePipelineService.list_runs,
    "GET runs/[^/]+": FakePipelineService.show_run,
    "GET runs/[^/]+/logs": FakePipelineService.logs,
    "GET runs/[^/]+/metrics": FakePipelineService.metrics,
    "GET runs/[^/]+/outputs": FakePipelineService.outputs,
    "POST runs/[^/]+/cancel": FakePipelineService.cancel,
    "POST runs/[^/]+/rerun": FakePipelineService.rerun,
    "GET schedules": FakePipelineService.list_schedules,
    "POST schedules": FakePipelineService.add_schedule,
    "POST schedules/[^/]+/(enable|disable)": FakePipelineService.switch_schedule,
    "GET triggers": FakePipelineService.list_triggers,
    "POST triggers": FakePipelineService.add_trigger,
    "DELETE (schedules|triggers)/[^/]+": FakePipelineService.remove,
}
