"""The manifest: everything that is known of a model but its weights.

It is the contract between the trainer, which writes it once, and every reader. A change that an
older reader would misunderstand raises `PROTOCOL`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

PROTOCOL = 1
MANIFEST = "manifest.json"
MANIFEST_DIGEST = "manifest.sha256"
MODEL_GRAPH = "model.onnx"
SCORER_GRAPH = "scorer.onnx"
GOLDEN = "golden.json"
BASELINE = "baseline.json"
BACKGROUND = "background.json"

_HEADLINE = (
    "accuracy",
    "AUC_weighted",
    "log_loss",
    "f1_score_macro",
    "r2_score",
    "root_mean_squared_error",
    "mean_absolute_error",
)

Kind = Literal["number", "boolean", "category"]
Task = Literal["binary", "multiclass", "regression"]
Label = str | bool | int
Value = str | bool | int | float | None


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the manifest's parts: immutable, and strict about what it reads."""


class Column(Record, frozen=True):
    """One input column, as clients send it and as the graphs take it."""

    name: str
    onnx_name: str  # ONNX wants C identifiers: `emp.var.rate` is `emp_var_rate` in the graph
    kind: Kind
    required: bool  # it was never missing in training, so a row without it is a mistake
    missing_share: float
    example: Value
    integer: bool = False  # a number that was whole in every training row
    minimum: float | None = None
    maximum: float | None = None
    fill: float | None = None  # stands for a missing number or boolean where training had none missing: the median
    offset: float = 0.0  # taken off in float64 before the cast to float32 (timestamps)
    categories: tuple[str, ...] = ()  # the most frequent first; the place is the code


class Parity(Record, frozen=True):
    """What the export gate measured between the Python estimators and both ONNX graphs."""

    clean_rows: int
    damaged_rows: int
    adversarial_rows: int
    flips: int  # rows whose label differs
    ties: int  # of the rows, those whose two best classes are closer than the tolerance
    max_difference: float  # in probability; for regression in standard deviations of the target
    tolerance: float


class Fingerprint(Record, frozen=True):
    """Which data the model has seen."""

    source: str
    sha256: str  # of the table's file as it was read
    rows: int
    columns: int
    target: str
    credit: str = ""


class Member(Record, frozen=True):
    """One estimator of the model, with its share of the soft vote."""

    learner: str
    weight: float
    config: dict[str, Value]


class Standing(Record, frozen=True):
    """One row of the final leaderboard: a candidate, its out-of-fold metric, and what it would cost to serve."""

    candidate: str
    metric: float
    seconds: float
    chosen: bool = False
    row_us: float | None = None  # µs a row of the exported graph, asked for 1,000 at once
    size: int | None = None  # bytes of the exported graph


class Holdout(Record, frozen=True):
    """Which rows are the untouched ones: the lowest digests, the latest in time, or a table that was given."""

    way: Literal["digest", "time", "given"] = "digest"
    column: str = ""  # of time
    after: str = ""  # the last instant of the training rows
    source: str = ""  # of the table that was given
    sha256: str = ""


class Training(Record, frozen=True):
    """How the model came to be."""

    started: str  # ISO 8601, UTC
    seconds: float
    seed: int
    budget_seconds: float | None
    max_trials: int | None
    trials: int
    interrupted: bool
    metric: str
    folds: int
    train_rows: int
    test_rows: int
    members: tuple[Member, ...]
    leaderboard: tuple[Standing, ...]
    guardrails: tuple[str, ...]
    versions: dict[str, str]
    holdout: Holdout = Holdout()


class Spread(Record, frozen=True):
    """A metric over repeated splits, each searched anew."""

    mean: float
    sd: float
    values: tuple[float, ...]


class Manifest(Record, frozen=True):
    """See the field comments; `files` holds the SHA-256 of every other file of the bundle."""

    protocol: int
    name: str
    version: str
    created: str  # ISO 8601, UTC
    task: Task
    target: str
    classes: tuple[Label, ...]  # in the order of the probabilities; empty for regression
    positive_class: Label | None  # binary only
    columns: tuple[Column, ...]
    metrics: dict[str, float]  # on the untouched test rows
    baselines: dict[str, dict[str, float]]  # the same metrics of what needs no search
    repeats: dict[str, Spread]
    parity: Parity
    fingerprint: Fingerprint
    training: Training
    files: dict[str, str]
    threshold: float | None = None  # binary only: the positive class is answered from this probability on; None: 0.5
    repeated_baselines: dict[str, dict[str, Spread]] = {}  # `baselines` over the splits of `repeats`

    @property
    def regression(self) -> bool:
        """Whether the model answers a number instead of a class."""
        return self.task == "regression"

    @property
    def headline(self) -> tuple[str, ...]:
        """Names of the metrics to show where there is room for a few, the first of them first."""
        return tuple(name for name in _HEADLINE if name in self.metrics)


class Golden(Record, frozen=True):
    """Rows with the outputs that the graphs gave when the bundle was written.

    `outputs[i]` holds the probabilities of row `i` in the order of the classes, or the one value
    of a regression.
    """

    tolerance: float
    rows: tuple[dict[str, Value], ...]
    outputs: tuple[tuple[float, ...], ...]


class Background(Record, frozen=True):
    """Training rows, as `bundle.encoding` encodes them, that explanations compare with.

    Each has the values of the columns in their order, null for NaN; float32 survives JSON unchanged.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[float | None, ...], ...]
