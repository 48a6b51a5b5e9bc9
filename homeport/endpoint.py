"""A client of the endpoint, for people: reads their file, sends it, explains refusals."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from homeport.errors import EndpointError

ROWS_A_REQUEST = 1_000
EXPLAINED_A_REQUEST = 20  # some 25 ms each
_TABLES = (".csv", ".tsv", ".txt", ".parquet", ".gz", ".bz2", ".xz", ".zip")


class Endpoint:
    """One endpoint with a key.

    >>> Endpoint("http://127.0.0.1:8000", key).score({"data": rows})
    {'result': ['yes', 'no']}
    """

    def __init__(self, url: str, key: str) -> None:
        try:
            # a proxy in the environment has no business with a call to this machine
            local = httpx.URL(url).host in ("127.0.0.1", "localhost", "::1")
            headers = {"Authorization": f"Bearer {key}"}
            self._client = httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=not local)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise EndpointError(f"'{url}' is no address, or the key no key: {error}.") from error
        self.url, self.key = url, key

    def score(self, content: object) -> Any:
        """Post a body to `/score`. Raises EndpointError with the endpoint's own words."""
        return self._post("/score", content)

    def explain(self, rows: list[Any], label: str | None = None) -> Any:
        """Post rows to `/explain`; `label` is the class to explain. Raises EndpointError."""
        return self._post("/explain", {"data": rows} if label is None else {"data": rows, "class": label})

    def _post(self, path: str, content: object) -> Any:
        try:
            body = json.dumps(content, allow_nan=False).encode()
        except ValueError as error:
            raise EndpointError(f"A row holds a number that JSON has no word for (NaN, Infinity): {error}.") from error
        return self._ask("POST", path, content=body, headers={"Content-Type": "application/json"})

    def columns(self) -> dict[str, Any]:
        """Column name → JSON schema, from the endpoint's description. Raises EndpointError."""
        document = self._ask("GET", "/openapi.json")
        properties: dict[str, Any] = document["components"]["schemas"]["Row"]["properties"]
        return properties

    def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = self._client.request(method, path, **arguments)
        except (httpx.TransportError, httpx.UnsupportedProtocol) as error:
            raise EndpointError(
                f"No answer from {self.url} ({error}). Is it running? `homeport up` starts it."
            ) from error
        try:
            content = response.json()
        except ValueError:
            raise EndpointError(
                f"{self.url}{path} answered {response.status_code} with no JSON: is it Homeport?"
            ) from None
        if response.is_success:
            return json.loads(content) if isinstance(content, str) else content
        message = content.get("message", content) if isinstance(content, dict) else content
        raise EndpointError(f"{self.url}{path} answered {response.status_code}: {message}")


def score_file(endpoint: Endpoint, file: str, method: str) -> Iterator[Any]:
    """Score a file (`-`: standard input); yields the answer of each request. Raises EndpointError, TrainerError."""
    if _is_table(file):
        rows = table_rows(Path(file), endpoint.columns())
    else:
        content = _read_json(file)
        if isinstance(content, dict) and isinstance(content.get("data"), list):
            yield endpoint.score({"method": method, **content})
            return
        if isinstance(content, dict) and isinstance(content.get("Inputs"), dict):
            yield endpoint.score({"GlobalParameters": {"method": method}, **content})
            return
        rows = content if isinstance(content, list) else [content]
    for start in range(0, max(len(rows), 1), ROWS_A_REQUEST):
        yield endpoint.score({"data": rows[start : start + ROWS_A_REQUEST], "method": method})


def explain_file(endpoint: Endpoint, file: str, label: str | None) -> Iterator[tuple[list[Any], Any]]:
    """Explain a file as `score_file` scores one; yields the rows and the answer of each request."""
    if _is_table(file):
        rows: list[Any] = table_rows(Path(file), endpoint.columns())
    else:
        content = _read_json(file)
        body = content.get("Inputs", content) if isinstance(content, dict) else content
        rows = body["data"] if isinstance(body, dict) and isinstance(body.get("data"), list) else content
        rows = rows if isinstance(rows, list) else [rows]
    for start in range(0, max(len(rows), 1), EXPLAINED_A_REQUEST):
        part = rows[start : start + EXPLAINED_A_REQUEST]
        yield part, endpoint.explain(part, label)


def _is_table(file: str) -> bool:
    return file != "-" and Path(file).suffix.lower() in _TABLES


def table_rows(path: Path, columns: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a CSV or Parquet file, in the types that the endpoint's columns have."""
    from trainer.table import read_table  # pandas takes a second: not for JSON

    text = {name for name, schema in columns.items() if "string" in schema["type"]}
    frame = read_table(path, text=text).frame
    extra = [name for name in frame.columns if name not in columns]
    if extra:
        print(f"Left out, because the model has no such column: {', '.join(extra)}.", file=sys.stderr)
    known = [name for name in frame.columns if name in columns]
    values = [frame[name].astype(object).where(frame[name].notna(), None) for name in known]
    return [dict(zip(known, row, strict=True)) for row in zip(*values, strict=True)]


def _read_json(file: str) -> Any:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
    except OSError as error:
        raise EndpointError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise EndpointError(f"{file} cannot be read: {error}.") from error
    if not text.strip():
        raise EndpointError(f"{'Standard input' if file == '-' else file} is empty: give rows as JSON.")
    try:
        return json.loads(text)
    except ValueError as error:
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise EndpointError(
                f"{file} is neither JSON, nor a JSON object a line, nor named like a table (.csv, .parquet): {error}."
            ) from error
