"""evaluate and compare: the new version beside the champion, on rows that neither has learned from."""

from __future__ import annotations

import logging

import msgspec

from bundle.model import Model
from pipeline.steps.data import Data, request
from pipeline.steps.step import Context, Step
from pipeline.steps.version import Version
from trainer.judge import answers, compared, measured, metric_of, untouched, value

log = logging.getLogger("homeport.pipeline")


class Evaluation(msgspec.Struct, frozen=True):
    """Whom to evaluate, on which table's untouched rows."""

    data: Data
    candidate: Version
    champion: Version | None
    metric: str | None
    seed: int


class Evaluated(msgspec.Struct, frozen=True):
    """`gain` is how much better the candidate is than the champion in the metric's unit, with its standard error."""

    metric: str
    rows: int
    candidate: dict[str, float]
    champion: dict[str, float] | None
    gain: float | None
    error: float | None


class Comparison(msgspec.Struct, frozen=True):
    """What to decide."""

    evaluated: Evaluated
    candidate: Version
    champion: Version | None
    margin: float


class Verdict(msgspec.Struct, frozen=True):
    """Whether the candidate takes the champion's place, and why."""

    better: bool
    why: str


def evaluate(inputs: Evaluation, context: Context) -> Evaluated:
    """Raises TrainerError if the champion answers another question, BundleError."""
    rows = untouched(request(inputs.data, context, seed=inputs.seed))
    metric = metric_of(rows, inputs.metric)
    new = answers(Model(context.store.path(inputs.candidate.model, inputs.candidate.version)), rows)
    found = measured(rows, new)
    context.measured({**found, metric.name: value(metric, rows, new)})
    if inputs.champion is None:
        return Evaluated(metric.name, len(rows.values), found, None, None, None)
    old = answers(Model(context.store.path(inputs.champion.model, inputs.champion.version)), rows)
    difference = compared(metric, rows, new, old, inputs.seed)
    context.measured({"gain": difference.value, "gain_error": difference.error})
    return Evaluated(metric.name, len(rows.values), found, measured(rows, old), difference.value, difference.error)


def compare(inputs: Comparison, context: Context) -> Verdict:
    """The rule: better than the champion, and by the margin at least."""
    found = inputs.evaluated
    if inputs.champion is None:
        verdict = Verdict(True, f"version {inputs.candidate.version} is the first of {inputs.candidate.model}")
    elif inputs.champion == inputs.candidate:
        verdict = Verdict(False, f"version {inputs.candidate.version} is the champion already")
    else:
        gain, error = found.gain or 0.0, found.error or 0.0
        better = gain > 0 and gain >= inputs.margin
        verdict = Verdict(
            better,
            f"version {inputs.candidate.version} is {'better' if gain > 0 else 'not better'} than version "
            f"{inputs.champion.version} in {found.metric} by {gain:+.5f} ± {error:.5f} on {found.rows:,} untouched rows"
            + ("" if better or gain <= 0 else f", less than the margin of {inputs.margin:g}"),
        )
    log.info("%s", verdict.why)
    context.tell(verdict.why)
    return verdict


EVALUATE = Step("evaluate", evaluate, Evaluated, ("trainer", "bundle", "pipeline.steps.compare"), "any run")
COMPARE = Step("compare", compare, Verdict, ("pipeline.steps.compare",), "any run")
