"""The two texts that go with a model: `report.html`, self-contained, and `MODEL_CARD.md`."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path

import jinja2
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from bundle.manifest import Manifest

TOP_COLUMNS = 20


def render_report(manifest: Manifest, importances: Mapping[str, float]) -> bytes:
    """The report as one HTML file that needs nothing else."""
    return _template("report.html.j2").render(m=manifest, importance=_bars(importances)).encode()


def render_card(manifest: Manifest, importances: Mapping[str, float]) -> bytes:
    """The model card as Markdown."""
    return _template("model_card.md.j2").render(m=manifest, importances=list(importances.items())[:5]).encode()


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=name.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["figure"] = lambda value: f"{value:,.4f}" if abs(value) < 1000 else f"{value:,.0f}"
    return environment.get_template(name)


def _bars(importances: Mapping[str, float]) -> Markup:
    """A horizontal bar for each of the first columns, as SVG in the text colour of the page."""
    top = list(importances.items())[:TOP_COLUMNS][::-1]
    figure = Figure(figsize=(7, 0.28 * len(top) + 0.6), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    places = range(len(top))
    axes.barh(places, [value for _, value in top], color="#4f7cac")
    axes.set_yticks(places, labels=[name for name, _ in top], parse_math=False)  # a name may hold dollars
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # glyphs that matplotlib's font lacks: the reader's browser has them
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    return Markup(svg[svg.index("<svg") :].replace("#000000", "currentColor"))  # noqa: S704 (matplotlib's own)
