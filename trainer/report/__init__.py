"""The two texts that go with a model: `report.html`, self-contained, and `MODEL_CARD.md`.

`examine` computes all that they say once, on the test rows; the renderers only lay it out.

>>> evidence = examine(manifest, inspected, trained, graphs.scorer, background, importances)
>>> html, card = render_report(manifest, evidence), render_card(manifest, evidence)
"""

from trainer.report.evidence import Evidence, examine
from trainer.report.render import render_card, render_report

__all__ = ["Evidence", "examine", "render_card", "render_report"]
