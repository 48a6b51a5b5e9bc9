"""The routes of schedules and triggers, as a client meets them."""

import asyncio
from dataclasses import dataclass
from functools import partialmethod
from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI, Header, HTTPException
from fastapi.responses import JSONResponse

from pipeline.errors import PipelineError
from pipeline.service.schedule_routes import STATUS, schedule_router
from tests.pipeline.service.fakes import HOUR, bench

SCHEDULES, TRIGGERS = "/pipelines/shop/schedules", "/pipelines/shop/triggers"
KEY = {"Authorization": "Bearer service"}


@dataclass
class Client:
    """Asks an application."""

    app: FastAPI

    def request(self, method, path, **options):
        async def ask():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://pipeline") as client:
                return await client.request(method, path, **({"headers": KEY} | options))

        return asyncio.run(ask())

    get, post = partialmethod(request, "GET"), partialmethod(request, "POST")
    delete = partialmethod(request, "DELETE")


@pytest.fixture
def shop(tmp_path):
    with bench(tmp_path) as made:
        yield made


@pytest.fixture
def client(shop):
    async def authorize(name: str, authorization: Annotated[str, Header()] = "") -> str:
        if authorization != KEY["Authorization"]:
            raise HTTPException(401, "Give the service key.")
        if name not in {"shop", "other", "0f6e"}:
            raise HTTPException(404, "There is no such pipeline.")
        return "shop" if name == "0f6e" else name  # the id of a version of it

    app = FastAPI()
    app.include_router(schedule_router(shop.agenda, shop.clock, authorize))

    @app.exception_handler(PipelineError)
    async def wrong(_, error):
        return JSONResponse({"message": str(error)}, STATUS[type(error)])

    return Client(app)


def add(client, path, **fields):
    answer = client.post(path, json=fields)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_recurrence(client, shop):
    made = add(client, SCHEDULES, Every="2h", Start="2026-12-01T06:00", TimeZone="Europe/Lisbon")
    assert made.pop("Id")
    assert made == {
        "Every": "2h",
        "Cron": None,
        "Start": "2026-12-01T06:00:00+00:00",
        "TimeZone": "Europe/Lisbon",
        "Misfire": "once",
        "Overlap": "skip",
        "RunNow": False,
        "Enabled": True,
        "ParameterAssignments": {},
        "Created": "2026-07-01T12:00:00+00:00",
        "Next": "2026-12-01T06:00:00+00:00",
        "Last": None,
    }
    assert client.get(SCHEDULES).json()["Schedules"][0]["Next"] == made["Next"]


def test_a_cron_expression_and_what_came_of_it(client, shop):
    asked = {
        "Cron": "0 14 * * mon-fri",
        "TimeZone": "Europe/Lisbon",
        "Misfire": "skip",
        "Overlap": "queue",
        "RunNow": True,
        "ParameterAssignments": {"Budget": 120},
    }
    made = add(client, SCHEDULES, **asked)
    assert made | asked == made
    assert made["Next"] == "2026-07-01T14:00:00+01:00"
    shop.tick()
    last = {"At": "2026-07-01T12:00:00+00:00", "RunId": "run-0", "Outcome": "Started."}
    assert client.get(SCHEDULES).json() == {"Schedules": [made | {"Last": last}]}
    shop.tick(HOUR)
    (shown,) = client.get(SCHEDULES).json()["Schedules"]
    assert shown["Last"] == last | {"At": "2026-07-01T13:00:00+00:00", "RunId": "run-1"}
    assert shown["Next"] == "2026-07-02T14:00:00+01:00"


def test_an_answer_can_be_asked_for_again(client):
    made = add(client, SCHEDULES, Every="1d", Start="2026-12-01T06:00+05:00", TimeZone="Europe/Lisbon")
    asked = {name: value for name, value in made.items() if name not in {"Id", "Created", "Next", "Last"}}
    again = add(client, SCHEDULES, **asked)
    assert again | {"Id": made["Id"]} == made


def test_disabled_enabled_and_cancelled(client, shop):
    identity = add(client, SCHEDULES, Every="1h")["Id"]
    other = add(client, "/pipelines/other/schedules", Every="1h")["Id"]
    disabled = client.post(f"{SCHEDULES}/{identity}/disable")
    assert (disabled.status_code, disabled.json()["Enabled"], disabled.json()["Next"]) == (200, False, None)
    shop.tick(HOUR * 1.5)
    enabled = client.post(f"{SCHEDULES}/{identity}/enable").json()
    assert (enabled["Enabled"], enabled["Next"]) == (True, "2026-07-01T14:00:00+00:00")
    assert list(shop.service.runs) == [f"{other}@2026-07-01T13:00:00+00:00"]
    gone = client.delete(f"{SCHEDULES}/{identity}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert client.get(SCHEDULES).json() == {"Schedules": []}
    shop.tick(HOUR)
    assert len(shop.service.runs) == 2
    for answer in (
        client.delete(f"{SCHEDULES}/{identity}"),
        client.delete(f"{SCHEDULES}/{other}"),
        client.post(f"{SCHEDULES}/{other}/enable"),
        client.post(f"{SCHEDULES}/{other}/disable"),
        client.delete(f"{TRIGGERS}/{other}"),
    ):
        assert answer.status_code == 404
        assert "Pipeline 'shop' has no" in answer.json()["message"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "Give either Every"),
        ({"Every": "1s"}, "Every '1s' is out of range"),
        ({"Cron": "0 6 * *"}, "Cron '0 6 * *' is not understood"),
        ({"Every": "1h", "TimeZone": "Lisbon"}, "There is no time zone 'Lisbon'"),
        ({"Every": "1h", "Start": "soon"}, "Start 'soon' is no time"),
        ({"Every": "1h", "RunNow": True, "Enabled": False}, "RunNow is true and Enabled false"),
    ],
)
def test_schedules_that_are_none(client, fields, words):
    answer = client.post(SCHEDULES, json=fields)
    assert answer.status_code == 422
    assert answer.json()["message"].startswith(words)
    assert client.get(SCHEDULES).json() == {"Schedules": []}


@pytest.mark.parametrize(
    "asked",
    [
        {"Kind": "data", "Path": "new/*.csv"},
        {"Kind": "drift", "Above": 0.3, "EverySeconds": 60.0},
        {"Kind": "accuracy", "Path": "labelled.csv", "Metric": "rmse", "Below": 12.5, "EverySeconds": 3600.0},
    ],
)
def test_triggers(client, shop, asked):
    made = add(client, TRIGGERS, **asked, ParameterAssignments={"Budget": 120})
    identity = made["Id"]
    common = {"EverySeconds": 30.0, "ParameterAssignments": {"Budget": 120}}
    assert made == common | asked | {"Id": identity, "Created": "2026-07-01T12:00:00+00:00", "Last": None}
    shop.tick()
    (shown,) = client.get(TRIGGERS).json()["Triggers"]
    assert shown["Last"]["Outcome"].startswith("Not looked: ")
    assert shown | {"Last": None} == made
    assert client.delete(f"{TRIGGERS}/{identity}").status_code == 204
    assert client.get(TRIGGERS).json() == {"Triggers": []}
    shop.tick(HOUR)


def test_what_is_there_when_a_trigger_is_made_is_seen(client, shop):
    shop.write("a.csv", "1")
    add(client, TRIGGERS, Kind="data", Path="a.csv")
    for _ in range(3):
        shop.tick(HOUR)
    assert shop.service.asked == []
    shop.write("a.csv", "22")
    for _ in range(3):
        shop.tick(HOUR)
    assert len(shop.service.asked) == 1


@pytest.mark.parametrize(
    "asked",
    [
        {"Kind": "accuracy", "Path": "a.csv", "Metric": "f1", "Below": 0.9},
        {"Kind": "accuracy", "Path": "a.csv", "Metric": "accuracy"},
        {"Kind": "data"},
        {"Kind": "data", "Path": ""},
        {"Kind": "data", "Path": "a\0b"},
        {"Kind": "data", "Path": "a.csv", "Above": 0.2},
        {"Kind": "data", "Path": "a.csv", "EverySeconds": 0},
        {"Kind": "drift", "Above": -1},
        {"Kind": "drift", "Above": "nan"},
        {"Kind": "weather"},
        {"Path": "a.csv"},
    ],
)
def test_triggers_that_are_none(client, asked):
    assert client.post(TRIGGERS, json=asked).status_code == 422
    assert client.get(TRIGGERS).json() == {"Triggers": []}


@pytest.mark.parametrize(
    "asked", [{"Every": "1h", "every": "2h"}, {"Every": 1}, {"Every": "1h", "Misfire": "twice"}, {"every": "1h"}]
)
def test_fields_that_are_none(client, asked):
    assert client.post(SCHEDULES, json=asked).status_code == 422


def test_whoever_may_not_or_names_nothing(client, shop):
    for method, path in [
        ("GET", SCHEDULES), ("POST", SCHEDULES), ("DELETE", f"{SCHEDULES}/x"), ("POST", f"{SCHEDULES}/x/enable"),
        ("POST", f"{SCHEDULES}/x/disable"), ("GET", TRIGGERS), ("POST", TRIGGERS), ("DELETE", f"{TRIGGERS}/x"),
    ]:  # fmt: skip
        answer = client.request(method, path, headers={"Authorization": "Bearer other"}, json={"Every": "1h"})
        assert answer.status_code == 401, (method, path)
        assert client.request(method, path.replace("shop", "none"), json={"Every": "1h"}).status_code == 404
    assert shop.agenda.schedules.all() == []


def test_a_version_is_its_pipeline(client):
    identity = add(client, "/pipelines/0f6e/schedules", Every="1h")["Id"]
    assert client.get(SCHEDULES).json()["Schedules"][0]["Id"] == identity


def test_the_description_has_examples_that_work(client):
    from openapi_spec_validator import validate

    description = client.get("/openapi.json").json()
    validate(description)
    for path, wanted in ((SCHEDULES, {"interval", "cron"}), (TRIGGERS, {"data", "drift", "accuracy"})):
        operation = description["paths"][path.replace("shop", "{name}")]["post"]
        examples = operation["requestBody"]["content"]["application/json"]["examples"]
        assert set(examples) == wanted
        for example in examples.values():
            add(client, path, **example["value"])
        assert operation["summary"]
    shown = description["components"]["schemas"]["ScheduleAsked"]["properties"]
    assert set(shown) == {
        "Every", "Cron", "Start", "TimeZone", "Misfire", "Overlap", "RunNow", "Enabled", "ParameterAssignments"
    }  # fmt: skip
    assert all(field["description"] for field in shown.values())
