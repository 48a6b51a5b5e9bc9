"""What is written into documents: tables, what is between markers, drawings that follow the reader's theme."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DARK, LIGHT = "#16212e", "#e8eef4"
_STYLE = f"<style>svg{{color:{DARK}}}@media (prefers-color-scheme: dark){{svg{{color:{LIGHT}}}}}</style>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def between(document: Path, begin: str, end: str, text: str) -> None:
    """Replace what is between two markers. Raises ValueError if they are not there."""
    old = document.read_text()
    pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    if not pattern.search(old):
        raise ValueError(f"{document} has no place for the tables: put the lines {begin} and {end} into it.")
    document.write_text(pattern.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", old))


@contextmanager
def drawing() -> Iterator[Any]:
    """Matplotlib's `pyplot` with letters and lines in one dark colour; `save` makes it the reader's."""
    import matplotlib as mpl  # noqa: PLC0415 - takes a second

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "homeport",
        "font.family": "sans-serif",
        "font.size": 10,
    }
    colours: Sequence[Any] = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    with mpl.rc_context({**style, **dict.fromkeys(colours, DARK)}):
        yield plt


def save(figure: Any, path: Path) -> None:
    """Write an SVG whose letters and lines follow the reader's light or dark theme."""
    figure.savefig(path, transparent=True, metadata={"Date": None})
    text = path.read_text().replace(DARK, "currentColor")
    path.write_text(re.sub(r"(<svg [^>]*>)", rf"\1{_STYLE}", text, count=1))
