"""`GET /model`: which model answers, how good it is, and where its report is. It shows no rows, and needs no key."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException

from bundle import Manifest
from serving.gate import Gate
from serving.report import PATH, REPORT
from serving.scorer import Scorer


def described(manifest: Manifest) -> dict[str, Any]:
    """What the answer says of a model; `report` is None if the bundle has none."""
    return {
        "name": manifest.name,
        "version": manifest.version,
        "created": manifest.created,
        "task": manifest.task,
        "target": manifest.target,
        "classes": list(manifest.classes),
        "positive_class": manifest.positive_class,
        "threshold": manifest.threshold,
        "optimised": manifest.training.metric,
        "metrics": {name: manifest.metrics[name] for name in manifest.headline},
        "baselines": {
            name: {metric: given[metric] for metric in manifest.headline if metric in given}
            for name, given in manifest.baselines.items()
        },
        "report": PATH if REPORT in manifest.files else None,
        "inputs": f"/v2/models/{manifest.name}",
    }


def about(gate: Gate) -> APIRouter:
    """The description of the version that answers."""
    router = APIRouter(tags=["service"])

    @router.get(
        "/model",
        summary="Which model answers, how good it is on rows that it has not seen, and where its report is.",
        responses={503: {"description": "There is no model yet."}},
    )
    async def model() -> dict[str, Any]:
        served = gate.live.served
        if not isinstance(served, Scorer):
            raise HTTPException(503, str(served), {"Retry-After": "5"})
        return described(served.manifest)

    return router
