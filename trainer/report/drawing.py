"""Figures as SVG in the colours of the page, which are others in the dark.

matplotlib draws in stand-ins for the page's CSS variables, which take their place in the SVG.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, LINE, SOFT = "#00c0f0", "#00c0f1", "#00c0f2"
COLOURS = ("#00c001", "#00c002", "#00c003", "#00c004", "#00c005", "#00c006")
BLUE, ORANGE, GREEN, PURPLE, RED, TEAL = COLOURS
_VARIABLES = {
    INK: "currentColor",
    LINE: "var(--line)",
    SOFT: "var(--soft)",
    **{colour: f"var(--c{place})" for place, colour in enumerate(COLOURS, 1)},
}
_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": LINE,
    "axes.grid": True,
    "axes.labelcolor": SOFT,
    "axes.labelsize": 8.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 8.5,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",  # text stays text: to search, to read aloud, in the reader's own font
    "svg.hashsalt": "homeport",  # the same figure has the same bytes
    "text.color": INK,
    "text.parse_math": False,  # a name may hold dollars
    "xtick.color": LINE,
    "xtick.labelcolor": SOFT,
    "xtick.labelsize": 8,
    "ytick.color": LINE,
    "ytick.labelcolor": SOFT,
    "ytick.labelsize": 8,
}
MAX_NAME = 28


@contextmanager
def drawing() -> Iterator[None]:
    """The style of all figures; glyphs that matplotlib's font lacks are in the reader's browser."""
    with rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def axes(width: float = 4.6, height: float = 3.2) -> Axes:
    """Axes of a new figure; `width` and `height` are inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure.add_subplot()


def two_axes(width: float = 4.6, height: float = 3.2) -> tuple[Axes, Axes]:
    """Axes for what is measured, and flat ones below for the number of rows."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    lower.grid(visible=False)
    lower.spines["left"].set_visible(False)
    lower.set_yticks([])
    return upper, lower


def as_svg(drawn: Axes, title: str) -> Markup:
    """The figure of these axes to put into a page; `title` is what is read aloud."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure: Figure = drawn.get_figure(root=True)  # type: ignore[assignment]
    figure.get_layout_engine().execute(figure)  # type: ignore[union-attr]
    figure.set_layout_engine("none")  # else it is laid out and drawn once more, for nothing
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    # matplotlib's own style would be the whole page's: the page has it
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' width="[\d.]+pt" height="[\d.]+pt"| xmlns(:xlink)?="[^"]+"', "", svg, count=4)
    svg = svg.replace("xlink:href", "href")
    used = set(re.findall(r"#([A-Za-z]\w*)", svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", svg)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]+", r"font-size: \1", svg)
    svg = re.sub(r'="[^"]*"', lambda found: re.sub(r"(\.\d{2})\d+", r"\1", found[0]), svg)  # of points: not of labels
    svg = re.sub(r">\s+<", "><", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1))  # noqa: S704 (matplotlib's own)


def short(name: object) -> str:
    """A name that finds place beside a figure."""
    text = " ".join(str(name).split())
    return text if len(text) <= MAX_NAME else f"{text[: MAX_NAME - 1]}…"
