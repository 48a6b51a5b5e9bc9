"""Charts as options of ECharts. Their text takes its colour from the page's style, so that it fits light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from nicegui import ui

PALETTE = ("#2f7ed8", "#e08e2b", "#3fa66b", "#8e6bbf", "#2aa5a0", "#c2577e", "#7d8a99", "#b59f3b")
RED, GREEN, GREY = "#d0453d", "#3fa66b", "#7d8a99"
_FAINT = "#88909a44"
Points = Sequence[tuple[datetime, float | None]]
Options = dict[str, Any]


def draw(options: Options | None = None, *, high: bool = False) -> ui.echart:
    """An empty chart, or one that is drawn already."""
    chart = ui.echart(options or {}, renderer="svg").classes("chart")
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
    marks: Mapping[str, datetime] | None = None,
) -> Options:
    """Values over the last `minutes`; `marks` are moments with a name."""
    end = datetime.now(UTC).replace(tzinfo=None)
    series = [
        {
            "name": name,
            "type": kind,
            "data": [[stamp(time), value] for time, value in points],
            "showSymbol": kind == "line" and len(points) < 3,
            "smooth": False,
            "barMaxWidth": 14,
            "lineStyle": {"width": 2},
            **({"stack": "all", **({"areaStyle": {"opacity": 0.5}} if kind == "line" else {})} if stacked else {}),
        }
        for name, points in lines.items()
    ]
    if series and marks:
        series[0]["markLine"] = {
            "symbol": "none",
            "lineStyle": {"type": "dashed", "color": GREY},
            "data": [{"name": name, "xAxis": stamp(at), "label": {"formatter": "{b}"}} for name, at in marks.items()],
        }
    return {
        **_common(unit, legend=len(lines) > 1),
        "color": list(colours),
        "useUTC": True,
        "xAxis": {
            "type": "time",
            "min": stamp(end - timedelta(minutes=minutes)),
            "max": stamp(end),
            "axisLine": {"lineStyle": {"color": _FAINT}},
            "axisLabel": {"hideOverlap": True},
        },
        "yAxis": _values(most),
        "series": series,
    }


def bars(
    values: Mapping[str, float], unit: str, *, colours: Sequence[str] = PALETTE[:1], flat: bool = False
) -> Options:
    """One bar for each name; `flat` puts the names on the vertical axis. `colours` is one, or one a bar."""
    names = {
        "type": "category",
        "data": list(values),
        "axisLine": {"lineStyle": {"color": _FAINT}},
        "axisTick": {"show": False},
        "inverse": flat,
    }
    painted = list(colours) * len(values) if len(colours) == 1 else colours
    data = [
        {"value": value, "itemStyle": {"color": colour}} for value, colour in zip(values.values(), painted, strict=True)
    ]
    return {
        **_common(unit, legend=False),
        "xAxis": _values(None) if flat else names,
        "yAxis": names if flat else _values(None),
        "series": [{"name": unit, "type": "bar", "data": data, "barMaxWidth": 22}],
    }


def stamp(time: datetime) -> int:
    """Milliseconds of the epoch; a time without a zone is UTC."""
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _common(unit: str, *, legend: bool) -> Options:
    suffix = f" {unit}" if unit else ""
    return {
        "animation": False,
        "aria": {"enabled": True},
        "grid": {"left": 8, "right": 16, "top": 14, "bottom": 30 if legend else 8, "containLabel": True},
        "legend": {"show": legend, "bottom": 0, "type": "scroll", "icon": "roundRect", "itemHeight": 8},
        "tooltip": {
            "trigger": "axis",
            "className": "chart-tip",
            "confine": True,
            ":valueFormatter": "value => value == null ? '–' : "
            f"value.toLocaleString('en', {{maximumSignificantDigits: 4}}) + '{suffix}'",
        },
    }


def _values(most: float | None) -> Options:
    """An axis of values from nothing up, or up to `most`."""
    return {
        "type": "value",
        "min": 0,
        "max": most,
        "splitLine": {"lineStyle": {"color": _FAINT}},
        "splitNumber": 4,
        **({"interval": most / 4} if most else {}),
    }
