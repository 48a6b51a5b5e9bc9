"""Application map: who calls whom, how often, how long it takes and how much of it fails."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from observability.insights.page.charts import GREEN, PALETTE, RED, draw, redraw
from observability.insights.page.desk import Desk, Record, number, table
from observability.insights.page.frame import empty, heading

# A test that has the name of a service is drawn to its role, `homeport.serving` for `serving`.
_CALLS = """
WITH metric AS (
    SELECT CASE coalesce(customDimensions ->> '$."homeport.key"', 'none') WHEN 'none' THEN 'callers without a key'
            ELSE 'key ' || (customDimensions ->> '$."homeport.key"') END AS caller, cloud_RoleName AS callee,
        sum(valueCount) AS items, 1000 * sum(valueSum) AS ms,
        sum(CASE WHEN TRY_CAST(customDimensions ->> '$."http.response.status_code"' AS INTEGER) >= 400
            THEN valueCount ELSE 0 END) AS failed
    FROM customMetrics WHERE name = 'http.server.request.duration' AND timestamp >= $start GROUP BY ALL),
linked AS (
    SELECT dependencies.cloud_RoleName AS caller,
        coalesce(requests.cloud_RoleName, nullif(dependencies.target, ''), dependencies.name) AS callee,
        sum(dependencies.itemCount) AS items, sum(dependencies.duration * dependencies.itemCount) AS ms,
        coalesce(sum(dependencies.itemCount) FILTER (NOT dependencies.success), 0) AS failed
    FROM dependencies LEFT JOIN requests
        ON requests.operation_ParentId = dependencies.id AND requests.timestamp >= $start
    WHERE dependencies.timestamp >= $start AND dependencies.type <> 'InProc' GROUP BY ALL),
entered AS (
    SELECT 'callers' AS caller, cloud_RoleName AS callee, sum(itemCount) AS items, sum(duration * itemCount) AS ms,
        coalesce(sum(itemCount) FILTER (NOT success), 0) AS failed
    FROM requests WHERE timestamp >= $start AND cloud_RoleName NOT IN (SELECT callee FROM metric) GROUP BY ALL),
scored AS (
    SELECT cloud_RoleName AS caller,
        concat_ws(' ', customDimensions ->> '$."ml.model.name"', customDimensions ->> '$."ml.model.version"') AS callee,
        sum(valueSum) AS items, NULL AS ms, 0 AS failed
    FROM customMetrics WHERE name = 'ml.prediction.rows' AND timestamp >= $start GROUP BY ALL),
tested AS (
    SELECT 'availability tests' AS caller, coalesce(
            (SELECT any_value(callee) FROM metric WHERE split_part(callee, '.', -1) = availabilityResults.name), name
        ) AS callee, count(*) AS items, sum(duration) AS ms, count(*) FILTER (NOT success) AS failed
    FROM availabilityResults WHERE timestamp >= $start GROUP BY ALL)
SELECT 'requests' AS unit, * FROM metric UNION ALL SELECT 'calls', * FROM linked
UNION ALL SELECT 'requests', * FROM entered UNION ALL SELECT 'rows', * FROM scored
UNION ALL SELECT 'tests', * FROM tested LIMIT 200
"""


def show(desk: Desk) -> None:
    """Fill the page."""
    nothing = ui.column().classes("full-width")
    with nothing:
        empty("Nobody called anybody in this time.", "Choose a longer time above, or send the endpoint a row:",
              "homeport score rows.json")  # fmt: skip
    with ui.element("div").classes("card map").props('tabindex=0 role=region aria-label="Map"') as card:
        chart = draw("Who calls whom; the table below says the same", high=True)
    with ui.column().classes("card"):
        heading("Calls")
        calls = table(
            {"caller": "From", "callee": "To", "items": "Times", "unit": "Of", "mean": "Average, ms",
             "share": "Failed, %"},
            numbers=("items", "mean", "share"),
        )  # fmt: skip

    async def refresh() -> None:
        found = [row for row in await desk.select(_CALLS) if row["caller"] and row["callee"] and row["items"]]
        for row in found:
            row["mean"] = row["ms"] / row["items"] if row["ms"] is not None else None
            row["share"] = 100 * row["failed"] / row["items"] if row["ms"] is not None else None
        nothing.visible = not found
        card.visible = bool(found)
        calls.rows = [{"id": place, **row} for place, row in enumerate(found)]
        if found:
            redraw(chart, graph(found))

    desk.keep(refresh)


def graph(calls: list[Record]) -> dict[str, Any]:
    """Nodes in columns, callers left of those they call; an edge is red where more than 5 % fail."""
    depth = _depths([(row["caller"], row["callee"]) for row in calls])
    columns = [[name for name in depth if depth[name] == level] for level in range(max(depth.values()) + 1)]
    places = {
        name: (300 * level, 100 * (place - (len(column) - 1) / 2))
        for level, column in enumerate(columns)
        for place, name in enumerate(column)
    }
    return {
        "animation": False,
        "tooltip": {"className": "chart-tip", "confine": True},
        "series": [
            {
                "type": "graph",
                "layout": "none",
                "roam": False,
                "preserveAspect": True,
                "left": 90, "right": 90, "top": 50, "bottom": 50,
                "symbolSize": 46,
                "edgeSymbol": ["none", "arrow"],
                "edgeSymbolSize": 9,
                "label": {"show": True, "position": "bottom", "fontSize": 12},
                "data": [
                    {"name": name, "x": x, "y": y, "itemStyle": {"color": PALETTE[depth[name] % len(PALETTE)]}}
                    for name, (x, y) in places.items()
                ],
                "links": [_edge(row) for row in calls],
            }
        ],
    }  # fmt: skip


def _edge(row: Record) -> dict[str, Any]:
    facts = [f"{number(row['items'])} {row['unit']}"]
    if row["mean"] is not None:
        facts.append(number(row["mean"], "ms"))
    if row["share"]:
        facts.append(f"{number(row['share'])} % failed")
    bad = (row["share"] or 0) > 5
    return {
        "source": row["caller"],
        "target": row["callee"],
        "value": row["items"],
        "label": {"show": True, "formatter": " · ".join(facts), "fontSize": 12, "distance": 10},
        "lineStyle": {"color": RED if bad else GREEN, "width": 2, "opacity": 0.8},
    }


def _depths(edges: list[tuple[str, str]]) -> dict[str, int]:
    """How many calls lead to each node at the most; a circle is cut where it closes."""
    names = list(dict.fromkeys(name for edge in edges for name in edge))
    depth = dict.fromkeys(names, 0)
    for _ in range(len(names)):
        for caller, callee in edges:
            if depth[callee] <= depth[caller] < len(names):
                depth[callee] = min(depth[caller] + 1, len(names) - 1)
    return depth
