"""`homeport explain`: which column moved an answer how far, as signed bars."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor, log10
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

SHOWN = 12  # columns of a row; the others are one line
HALF = 16  # cells on either side of the axis
VALUE = 32  # letters of a value


def drawing(number: int, row: Mapping[str, Any], explained: Mapping[str, Any]) -> Group:
    """One row of the answer of `/explain`, with the values of the row that was sent.

    Lines are `column = value`, the bar to the left or right of the axis, and the signed contribution.
    """
    contributions: dict[str, float] = explained["contributions"]
    moved = {name: value for name, value in contributions.items() if value}
    shown = dict(list(moved.items())[: SHOWN if len(moved) > SHOWN + 1 else SHOWN + 1])
    lines = [(f"{name} = {_value(row.get(name))}", value) for name, value in shown.items()]
    others = len(contributions) - len(shown)
    if others:
        rest = sum(moved.values()) - sum(shown.values())
        lines.append((f"{others} other{'s' if others > 1 else ''}", rest))
    longest = max((abs(value) for _, value in lines), default=0.0)
    digits = _digits(max(longest, abs(explained["prediction"]), abs(explained["base"])))
    bars = Table.grid(padding=(0, 1))
    bars.add_column(overflow="fold")
    bars.add_column(no_wrap=True)
    bars.add_column(no_wrap=True, justify="right")
    for label, value in lines:
        style = "green" if value > 0 else "red"
        figure = Text(f"{value:+z,.{digits}f}", style)
        bars.add_row(Text(f"  {label}"), Text(_bar(value / longest if longest else 0.0), style), figure)
    title = Text.assemble(
        f"Row {number}: {_printable(explained['output'])} ",
        (f"{explained['prediction']:,.{digits}f}", "bold"),
        f" = base {explained['base']:,.{digits}f} + contributions",
    )
    return Group(title, bars, "")


def _bar(share: float) -> str:
    """A bar of `share` (-1 to 1) of the half width, from the axis to the side of its sign."""
    halves = round(abs(share) * HALF * 2)
    full, half = divmod(halves, 2)
    if share < 0:
        return ("▐" * half + "█" * full).rjust(HALF) + "│" + " " * HALF
    return " " * HALF + "│" + ("█" * full + "▌" * half).ljust(HALF)


def _digits(largest: float) -> int:
    """Decimals that leave the largest number three figures."""
    return min(12, max(0, 2 - floor(log10(largest)))) if largest else 3


def _value(value: object) -> str:
    if value is None:
        return "missing"
    text = _printable(f"{value:.10g}" if isinstance(value, float) else str(value))
    return text if len(text) <= VALUE else f"{text[: VALUE - 1]}…"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
