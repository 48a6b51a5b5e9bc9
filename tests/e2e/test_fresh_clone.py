"""README's commands as a new user gives them: a fresh clone, an empty home, Python and make alone."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, free_port, wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone and a function that runs make in it, with next to nothing in the environment."""
    folder = tmp_path_factory.mktemp("fresh") / "homeport"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    kept = ("SSL_CERT", "PIP_", "UV_", "REQUESTS_CA", "http", "HTTP", "no_proxy", "NO_PROXY", "LD_LIBRARY_PATH")
    environment = {name: value for name, value in os.environ.items() if name.startswith(kept)} | {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder.parent),
        "HOMEPORT_SERVING_PORT": str(free_port()),
        "HOMEPORT_INSIGHTS_PORT": str(free_port()),
        "LANG": "C.UTF-8",
        "COLUMNS": "200",
    }
    python = Path(sys.base_prefix) / "bin" / "python3"  # not that of this virtual environment

    def make(*arguments, timeout=600):
        result = subprocess.run(
            ["make", f"PYTHON={python}", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result.stdout

    yield folder, make, f"http://127.0.0.1:{environment['HOMEPORT_SERVING_PORT']}"
    make("down")


def test_from_nothing_to_two_scored_rows_and_back(clone):
    folder, make, url = clone
    output = make("up")
    answers = re.findall(r"age=(\d+), .*?(yes|no) +0\.\d{4} +0\.\d{4}", output)
    assert [age for age, _ in answers] == ["17", "87"]
    assert "Data: " in output
    assert "0 labels differ" in output
    key = json.loads((folder / ".homeport" / "keys.json").read_bytes())["primary"]
    assert key in output
    (name,) = (path.name for path in (folder / "models").iterdir())
    examples = json.loads((folder / "models" / name / "1" / "examples.json").read_bytes())
    headers = {"Authorization": f"Bearer {key}"}
    scored = httpx.post(f"{url}/score", json={"data": examples}, headers=headers, trust_env=False)
    assert scored.json()["result"] == [label for _, label in answers]

    def files():
        own = folder / ".homeport" / "insights", folder / ".homeport" / "logs", folder / ".venv"
        return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if not {*own} & {path, *path.parents}}

    insights = re.search(r"Insights +(\S+)", output)[1]
    page = httpx.get(insights, trust_env=False)
    assert (page.status_code, "Homeport insights" in page.text) == (200, True)
    before = files()
    again = make("up", timeout=60)
    assert re.findall(r"age=(\d+), .*?(yes|no) ", again) == answers
    assert files() == before
    query = {"query": "SELECT sum(valueCount) FROM customMetrics WHERE name = 'http.server.request.duration'"}
    scored = 2 + 1 + 2  # those of up, once and again, and our own

    def counted():
        return httpx.post(f"{insights}/api/query", json=query, trust_env=False).json()["rows"]

    wait_until(lambda: counted() == [[scored]])

    assert "Stopped" in make("down")
    for address in (url, insights):
        with pytest.raises(httpx.TransportError):
            httpx.get(address, trust_env=False)
    assert key not in (folder / ".homeport" / "logs" / "serving.log").read_text()
    status = subprocess.run(["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True, check=True)
    assert status.stdout == ""
