"""The two texts that go with a model: `report.html`, self-contained, and `MODEL_CARD.md`.

`gather` computes all that they say once, on the test rows; the renderers only lay it out.

>>> evidence = gather(manifest, inspected, trained, graphs.scorer, background, importances)
>>> html, card = render_report(manifest, evidence), render_card(manifest, evidence)
"""

from trainer.report.evidence import Evidence, gather
from trainer.report.render import render_card, render_report

__all__ = ["Evidence", "gather", "render_card", "render_report"]
