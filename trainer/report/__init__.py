"""The two texts that go with a model: `report.html`, self-contained, and `MODEL_CARD.md`.

`score` asks the exported model for the test rows, `gather` computes all that is said of its answers, once, and the
renderers only lay it out.

>>> scored = score(manifest, inspected, trained, graphs)
>>> evidence = gather(scored, manifest, inspected, trained, background, importances)
>>> html, card = render_report(manifest, evidence), render_card(manifest, evidence)
"""

from trainer.report.evidence import Evidence, gather
from trainer.report.render import render_card, render_report
from trainer.report.scored import score

__all__ = ["Evidence", "gather", "render_card", "render_report", "score"]
