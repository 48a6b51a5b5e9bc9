"""Which dialect answers at which path."""

from __future__ import annotations

from serving.azure import Azure, AzureStrings
from serving.errors import NotReady
from serving.exchange import Dialect, Mounted
from serving.explain import Explain
from serving.invocations import Invocations
from serving.oip import OpenInference
from serving.scorer import Scorer
from serving.settings import Settings


def mount(scorer: Scorer | NotReady, settings: Settings) -> dict[str, Mounted]:
    """The scoring paths of the endpoint. Those that name a model are there only with it."""
    paths: dict[str, type[Dialect]] = {
        "/score": AzureStrings if settings.string_results else Azure,
        "/explain": Explain,
        "/invocations": Invocations,
    }
    if isinstance(scorer, Scorer):
        model = f"/v2/models/{scorer.manifest.name}"
        paths |= {
            f"{model}/infer": OpenInference,
            f"{model}/versions/{scorer.manifest.version}/infer": OpenInference,
        }
    inline = min(settings.inline_bytes, settings.max_body_bytes)
    return {path: Mounted(dialect, scorer, inline) for path, dialect in paths.items()}
