"""Charts as options of ECharts. Their text takes its colour from the page's style, so that it fits light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from nicegui import ui

# Each has a contrast of 3 or more against the cards of both themes, as WCAG asks of graphics.
PALETTE = ("#2f7ed8", "#c77414", "#35965f", "#8e6bbf", "#20908b", "#c2577e", "#7d8a99", "#998327")
RED, GREEN, AMBER, GREY = "#d0453d", "#35965f", "#c77414", "#7d8a99"
_FAINT = "#88909a44"
_WHOLE = ("requests", "rows")  # units of which there is no half
Points = Sequence[tuple[datetime, float | None]]
Options = dict[str, Any]


def draw(label: str, *, high: bool = False) -> ui.echart:
    """An empty chart; `label` says to those who cannot see it what it shows."""
    chart = ui.echart({}, renderer="svg").classes("chart").props(f'role=img aria-label="{label}"')
    return chart.classes("high") if high else chart


def redraw(chart: ui.echart, options: Options) -> None:
    """Show something else in a chart."""
    if chart.options != options:
        chart.options.clear()
        chart.options.update(options)
        chart.update()


def over_time(
    lines: Mapping[str, Points],
    minutes: float,
    unit: str,
    *,
    kind: Literal["line", "bar"] = "line",
    stacked: bool = False,
    colours: Sequence[str] = PALETTE,
    most: float | None = None,
    marks: Sequence[tuple[str, datetime]] = (),
    legend: bool | None = None,
) -> Options:
    """Values over the last `minutes`; `marks` are moments with a name. A single line has no legend by default."""
    end = datetime.now(UTC).replace(tzinfo=None)
    start = end - timedelta(minutes=minutes)
    known = [value for points in lines.values() for _, value in points if value is not None]
    if stacked:
        lines = _aligned(lines)
    times = {time for points in lines.values() for time, _ in points}
    if kind == "bar" and len(times) == 1:  # of a single one ECharts makes a bar as wide as the axis
        before = times.pop() - timedelta(minutes=minutes / 60)
        lines = {name: [(before, None), *points] for name, points in lines.items()}
    series = [
        {
            "name": name,
            "type": kind,
            "data": [[stamp(time), value] for time, value in points],
            "showSymbol": kind == "line" and len(points) < 3,
            "barMaxWidth": 14,
            "lineStyle": {"width": 2},
            **({"stack": "all", **({"areaStyle": {"opacity": 0.5}} if kind == "line" else {})} if stacked else {}),
        }
        for name, points in lines.items()
    ]
    if series and marks:
        series[0]["markLine"] = {
            "symbol": "none",
            "silent": True,
            "lineStyle": {"type": "dashed", "color": GREY},
            "data": [_mark(name, at, later=at - start > (end - start) / 2) for name, at in marks],
        }
    return {
        **_common(unit, legend=len(lines) > 1 if legend is None else legend, marked=bool(marks)),
        "color": list(colours),
        "useUTC": True,
        "xAxis": {
            "type": "time",
            "min": stamp(start),
            "max": stamp(end),
            "axisLine": {"lineStyle": {"color": _FAINT}},
            "axisLabel": {"hideOverlap": True},
        },
        "yAxis": _values(unit, most or (None if any(known) else 1)),
        "series": series,
    }


def bars(
    values: Mapping[str, float],
    unit: str,
    *,
    colours: Sequence[str] = PALETTE[:1],
    flat: bool = False,
    axis: str = "",
    limits: Sequence[float] = (),
) -> Options:
    """One bar for each name; `flat` puts the names on the vertical axis. `colours` is one, or one a bar.

    `axis` says what the names are, and `limits` are values that are drawn as lines.
    """
    names = {
        "type": "category",
        "data": list(values),
        "name": axis,
        "nameLocation": "middle",
        "nameGap": 24,
        "axisLine": {"lineStyle": {"color": _FAINT}},
        "axisTick": {"show": False},
        "axisLabel": {"hideOverlap": True, **({"interval": 0} if flat else {})},
        "inverse": flat,
    }
    painted = list(colours) * len(values) if len(colours) == 1 else colours
    data = [
        {"value": value, "itemStyle": {"color": colour}} for value, colour in zip(values.values(), painted, strict=True)
    ]
    series: Options = {"name": unit, "type": "bar", "data": data, "barMaxWidth": 22}
    if limits:
        series["markLine"] = {
            "symbol": "none",
            "silent": True,
            "lineStyle": {"type": "dashed", "color": GREY},
            "label": {"position": "start", "textBorderWidth": 0},
            "data": [{"xAxis" if flat else "yAxis": limit} for limit in limits],
        }
    return {
        **_common(unit, legend=False, named=bool(axis)),
        "xAxis": _values(unit) if flat else names,
        "yAxis": names if flat else _values(unit),
        "series": [series],
    }


def stamp(time: datetime) -> int:
    """Milliseconds of the epoch; a time without a zone is UTC."""
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _aligned(lines: Mapping[str, Points]) -> Mapping[str, Points]:
    """All lines with a value at each time of any: ECharts stacks by place, whatever the times are."""
    times = sorted({time for points in lines.values() for time, _ in points})
    found = {name: dict(points) for name, points in lines.items()}
    return {name: [(time, values.get(time, 0)) for time in times] for name, values in found.items()}


def _mark(name: str, at: datetime, *, later: bool) -> Options:
    """A moment; the name of one on the right half is on the left of its line, so that it is not cut off."""
    side = "right" if later else "left"
    label = {"formatter": "{b}", "position": "end", "distance": 4, "textBorderWidth": 0, "align": side}
    return {"name": name, "xAxis": stamp(at), "label": label}


def _common(unit: str, *, legend: bool, marked: bool = False, named: bool = False) -> Options:
    suffix = f" {unit}" if unit else ""
    bottom = 30 if legend or named else 8
    return {
        "animation": False,
        "grid": {"left": 8, "right": 16, "top": 26 if marked else 14, "bottom": bottom, "containLabel": True},
        "legend": {"show": legend, "bottom": 0, "type": "scroll", "icon": "roundRect", "itemHeight": 8},
        "tooltip": {
            "trigger": "axis",
            "className": "chart-tip",
            "confine": True,
            ":valueFormatter": "value => value == null ? '–' : "
            f"value.toLocaleString('en', {{maximumSignificantDigits: 4}}) + '{suffix}'",
        },
    }


def _values(unit: str, most: float | None = None) -> Options:
    """An axis of values from nothing up, or up to `most`; ms and % are said at each, other units in the tooltip."""
    return {
        "type": "value",
        "min": 0,
        "max": most,
        "minInterval": 1 if unit in _WHOLE else 0,
        "axisLabel": {"formatter": f"{{value}} {unit}"} if unit in {"ms", "%"} else {},
        "splitLine": {"lineStyle": {"color": _FAINT}},
        "splitNumber": 4,
        **({"interval": most / 4 if most > 1 else 1} if most else {}),
    }
