"""Logs: a box for SQL over the tables, ready-made queries, and the result as table, chart or CSV."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

from nicegui import ui

from observability.insights import sql
from observability.insights.errors import Busy, QueryRefused
from observability.insights.page.charts import bars, draw, over_time, redraw
from observability.insights.page.desk import Desk, moment, table
from observability.insights.page.frame import empty
from observability.insights.tables import TABLES

QUERIES = {
    "Requests a minute, and how many failed": """\
SELECT time_bucket(INTERVAL 1 MINUTE, timestamp) AS minute,
       sum(itemCount) AS requests, coalesce(sum(itemCount) FILTER (NOT success), 0) AS failed
FROM requests
WHERE timestamp > now()::TIMESTAMP - INTERVAL 1 HOUR
GROUP BY minute ORDER BY minute""",
    "The slowest requests": """\
SELECT timestamp, name, resultCode, duration, operation_Id
FROM requests ORDER BY duration DESC LIMIT 50""",
    "Failed requests by status": """\
SELECT resultCode, name, sum(itemCount) AS requests
FROM requests WHERE NOT success GROUP BY ALL ORDER BY requests DESC""",
    "Rows scored by class and version": """\
SELECT customDimensions ->> '$."ml.model.version"' AS version,
       customDimensions ->> '$."ml.class"' AS class, sum(valueSum) AS rows
FROM customMetrics WHERE name = 'ml.prediction.class.count' GROUP BY ALL ORDER BY ALL""",
    "Drift by feature": """\
SELECT customDimensions ->> '$."ml.feature"' AS feature, arg_max(value, timestamp) AS latest, max(value) AS highest
FROM customMetrics WHERE name = 'ml.feature.drift.psi' GROUP BY ALL ORDER BY latest DESC""",
    "Lines of the logs, the latest first": """\
SELECT timestamp, cloud_RoleName AS role, severityLevel, message, operation_Id
FROM traces ORDER BY timestamp DESC LIMIT 200""",
    "Exceptions": """\
SELECT type, outerMessage, cloud_RoleName AS role, count(*) AS times, max(timestamp) AS latest
FROM exceptions GROUP BY ALL ORDER BY times DESC""",
    "Availability by test": """\
SELECT name, count(*) AS tests, 100 * avg(success::INTEGER) AS available, avg(duration) AS ms
FROM availabilityResults GROUP BY name ORDER BY name""",
    "Rows and answers of requests (payloads)": """\
SELECT timestamp, customDimensions ->> '$."ml.payload.inputs"' AS inputs,
       customDimensions ->> '$."ml.payload.answers"' AS answers, operation_Id
FROM customEvents WHERE name = 'ml.payload' ORDER BY timestamp DESC LIMIT 100""",
    "Telemetry that was lost": """\
SELECT cloud_RoleName AS role, name, customDimensions ->> '$.signal' AS signal,
       customDimensions ->> '$.destination' AS destination, customDimensions ->> '$.kind' AS kind,
       sum(valueSum) AS items
FROM customMetrics WHERE name LIKE 'homeport.telemetry.%' OR name IN ('insights.rejected', 'insights.refused')
GROUP BY ALL HAVING items > 0 ORDER BY items DESC""",
    "Trials of trainings": """\
SELECT timestamp, name, customDimensions ->> '$."ml.model.name"' AS model,
       (customDimensions ->> '$."ml.trial.score"')::DOUBLE AS score, duration, operation_Id
FROM dependencies WHERE name LIKE 'trial %' ORDER BY timestamp DESC LIMIT 500""",
    "Metrics that are there": """\
SELECT name, cloud_RoleName AS role, count(*) AS points, sum(valueSum) AS total, max(timestamp) AS latest
FROM customMetrics GROUP BY ALL ORDER BY ALL""",
    "Columns of the tables": """\
SELECT table_name, column_name, data_type FROM duckdb_columns()
WHERE schema_name = 'main' ORDER BY table_name, column_index""",
}
_SHOWN = 1_000


def show(desk: Desk, query: str) -> None:
    """Fill the page; `query` is what the box holds at first."""

    async def run() -> None:
        most = desk.settings.max_query_rows
        try:
            answer: sql.Answer | str = await desk.ask(lambda cursor: sql.run(cursor, box.value, most))
        except (QueryRefused, Busy) as error:
            answer = str(error)
        result.clear()
        with result, ui.column().classes("card"):
            if isinstance(answer, str):
                ui.label(answer).classes("bad verbatim").props("role=alert")
            else:
                _show_answer(answer)

    with ui.column().classes("card"):
        with ui.row().classes("items-center full-width"):
            ready = ui.select(list(QUERIES), label="Ready-made queries").props("outlined dense options-dense")
            ready.classes("col")
            ui.button("Run", icon="play_arrow", on_click=run, color=None).props("unelevated no-caps").classes("main")
        box = ui.codemirror(query or next(iter(QUERIES.values())), language="SQLite", line_wrapping=True)
        box.classes("editor").on(
            "keydown.capture",  # before the editor, which would begin a new line
            run,
            js_handler="(e) => { if ((e.ctrlKey || e.metaKey) && e.key === 'Enter') { e.stopPropagation(); emit() } }",
        )
        ui.label(f"DuckDB's SQL over {', '.join(TABLES)}. Ctrl+Enter runs it; Esc and Tab leave the box.").classes(
            "quiet"
        )
    result = ui.column().classes("full-width")
    with result:
        empty("Nothing was asked yet.", "Write a query or choose a ready-made one, and run it.")

    async def choose() -> None:
        box.value = QUERIES[ready.value]
        await run()

    ready.on_value_change(choose)

    def dress(dark: bool) -> None:
        box.theme = "githubDark" if dark else "githubLight"

    ui.on("theme", lambda event: dress(event.args))

    async def start() -> None:
        ui.run_javascript("document.querySelector('.cm-content').setAttribute('aria-label', 'SQL')")
        if query:
            await run()
        with suppress(TimeoutError):  # of a browser that is busy or gone
            dress(await ui.run_javascript("Quasar.Dark.isActive", timeout=10))

    ui.timer(0, start, once=True)


def _show_answer(answer: sql.Answer) -> None:
    names = [column["name"] for column in answer.columns]
    with ui.row().classes("items-center full-width"):
        ui.label(_size(answer)).classes("quiet")
        ui.space()
        ui.button("CSV", icon="download", on_click=lambda: ui.download(_csv(names, answer.rows), "result.csv")).props(
            "flat dense no-caps"
        )
    options = chart_of(answer)
    with ui.tabs().props("dense no-caps align=left") as tabs:
        as_table = ui.tab("Table")
        as_chart = ui.tab("Chart")
    with ui.tab_panels(tabs, value=as_table).classes("full-width").style("background: transparent"):
        with ui.tab_panel(as_table).classes("q-pa-none"):
            operation = str(names.index("operation_Id")) if "operation_Id" in names else ""
            kinds = [_kind(column) for column in zip(*answer.rows, strict=True)]
            numbers = [str(place) for place, kind in enumerate(kinds) if kind == "number"]
            columns = {str(place): name for place, name in enumerate(names)}
            shown = table(columns, numbers=numbers, link=operation, pages=True)
            shown.rows = [
                {"id": number, **{str(place): _cell(value) for place, value in enumerate(row)}}
                for number, row in enumerate(answer.rows[:_SHOWN])
            ]
            for row in shown.rows:
                row["href"] = f"/transaction/{row[operation]}" if row.get(operation) else None
        with ui.tab_panel(as_chart).classes("q-pa-none"):
            if options is None:
                empty(
                    "This result cannot be drawn.", "A chart takes a column of times or texts, and columns of numbers."
                )
            else:
                redraw(draw("The result as a chart; the table says the same", high=True), options)


def _size(answer: sql.Answer) -> str:
    rows = len(answer.rows)
    more = f", the first of more: HOMEPORT_INSIGHTS_MAX_QUERY_ROWS is {rows:,}" if answer.truncated else ""
    part = f", of which the table has the first {_SHOWN:,}" if rows > _SHOWN else ""
    return f"{rows:,} row{'' if rows == 1 else 's'}{more}{part} · {answer.elapsed_ms:,.0f} ms"


def chart_of(answer: sql.Answer) -> dict[str, Any] | None:
    """Lines over the first column of times, else bars over the first other column; None without any numbers."""
    if not answer.rows:
        return None
    columns = list(zip(*answer.rows, strict=True))
    kinds = [_kind(column) for column in columns]
    names = [column["name"] for column in answer.columns]
    numbers = [place for place, kind in enumerate(kinds) if kind == "number"]
    if not numbers:
        return None
    if "time" in kinds:
        times = columns[kinds.index("time")]
        lines = {
            names[place]: sorted(
                (time, float(value)) for time, value in zip(times, columns[place], strict=True)
                if time is not None and value is not None
            )
            for place in numbers
        }  # fmt: skip
        options = over_time(lines, 1, "")
        del options["xAxis"]["min"], options["xAxis"]["max"]
        return options
    if "text" not in kinds:
        return None
    labels = [" · ".join(str(row[place]) for place, kind in enumerate(kinds) if kind == "text") for row in answer.rows]
    return bars(
        {label: float(value or 0) for label, value in list(zip(labels, columns[numbers[-1]], strict=True))[:100]},
        names[numbers[-1]],
    )


def _kind(column: tuple[Any, ...]) -> str:
    known = [value for value in column if value is not None]
    if known and all(isinstance(value, datetime) for value in known):
        return "time"
    if known and all(isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in known):
        return "number"
    return "text"


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return moment(value)
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _csv(names: list[str], rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue().encode()
