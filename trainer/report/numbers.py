"""Numbers as people read them."""

from __future__ import annotations

from math import isfinite


def figure(value: float | None) -> str:
    """Four digits or more; nothing for None."""
    if value is None or not isfinite(value):
        return "–"
    if value and abs(value) < 0.001:
        return f"{value:.2g}"
    return f"{value:,.4f}" if abs(value) < 10 else f"{value:,.2f}" if abs(value) < 1000 else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """A share of 1 as a percentage."""
    return "–" if value is None or not isfinite(value) else f"{100 * value:.1f} %"


def size(count: int | None) -> str:
    """Bytes."""
    if count is None:
        return "–"
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.0f} kB"


def cell(value: object) -> str:
    """A value of a row."""
    if value is None:
        return "–"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
