"""The training job: table → guardrails → search and vote → graphs → parity gate → bundle."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import msgspec
import numpy as np

from bundle import Column, Encoder, Manifest, Store, write_bundle
from bundle.agreement import TOLERANCE
from bundle.forest import FOREST
from bundle.manifest import (
    BACKGROUND,
    BASELINE,
    GOLDEN,
    MODEL_GRAPH,
    PROTOCOL,
    SCORER_GRAPH,
    Background,
    Fingerprint,
    Golden,
    Kind,
    Member,
    Spread,
    Standing,
    Training,
    Value,
)
from bundle.model import inference_session
from trainer.candidates import FOLDS
from trainer.columns import kind_of, matrix, rows
from trainer.errors import DatasetError, SearchError
from trainer.explain import background, drift_baseline, importance
from trainer.fit import Request, Trained, Watcher, train_once
from trainer.forest import export_forest
from trainer.graph import export_model, export_scorer
from trainer.guardrails import Inspected
from trainer.look import examine, holdout
from trainer.parity import Graphs, Reference, gate
from trainer.report import gather, render_card, render_report, score

EXAMPLES = "examples.json"
GOLDEN_ROWS = 50
_PACKAGES = ("flaml", "lightgbm", "xgboost-cpu", "catboost", "scikit-learn", "onnx", "onnxruntime", "numpy", "pandas")


def train(request: Request, store: Store, watcher: Watcher) -> Manifest:
    """Train a model and write it as the next version of `request.name`.

    The first version becomes the champion, unless the request says otherwise. Raises TrainerError (bad
    table, no model found, parity), BundleError (bad name), OSError; nothing is written then.
    """
    store.folder(request.name)  # a bad name is found before the search, not after
    started = datetime.now(UTC)
    clock = time.monotonic()
    table = request.table
    inspected = examine(request)
    watcher.guardrails(inspected.findings)
    _check_examples(request, inspected)
    trained = train_once(request, inspected, 0, watcher)
    repeats, repeated_baselines = _repeat(request, inspected, watcher)

    watcher.stage("Export and parity gate")
    classes = inspected.target.classes
    reference = Reference(trained.ensemble, trained.columns, classes)
    scorer = export_scorer(trained.ensemble, len(trained.columns), classes)
    weights = [member.weight for member in trained.ensemble.members]
    forest = export_forest(scorer, weights, len(trained.columns), trained.ensemble.scale, len(classes))
    graphs = Graphs(export_model(trained.ensemble, trained.columns, classes), scorer, forest)
    parity = gate(reference, graphs, inspected.frame, request.seed)

    watcher.stage("Report and bundle")
    examples = _examples(request, inspected, trained)
    manifest = Manifest(
        protocol=PROTOCOL,
        name=request.name,
        version="",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=inspected.target.task,
        target=inspected.target.name,
        classes=classes,
        positive_class=inspected.target.positive,
        columns=_with_examples(trained.columns, examples[0] if request.examples else {}),
        metrics=trained.metrics,
        baselines=trained.baselines,
        repeats=repeats,
        parity=parity,
        fingerprint=Fingerprint(
            source=table.source,
            sha256=table.sha256,
            rows=len(inspected.frame),
            columns=len(trained.columns),
            target=inspected.target.name,
            credit=request.credit,
        ),
        training=_training(request, inspected, trained, started, time.monotonic() - clock),
        files={},
        threshold=trained.ensemble.threshold,
        repeated_baselines=repeated_baselines,
    )
    scored = score(manifest, inspected, trained, graphs)
    importances = importance(scored.answers, scored.x, scored.values, scored.columns, scored.metric, request.seed)
    train_frame = inspected.frame.iloc[trained.train]
    train_outputs = _train_outputs(inspected, trained)
    explained_by = _background(request, inspected, trained, train_outputs)
    files = {
        MODEL_GRAPH: graphs.model,
        SCORER_GRAPH: graphs.scorer,
        **({FOREST: forest.dumps()} if forest else {}),
        GOLDEN: _json(_golden(graphs.scorer, inspected, trained)),
        EXAMPLES: _json(examples),
        BASELINE: _json(drift_baseline(train_frame, trained.columns, train_outputs)),
        BACKGROUND: msgspec.json.encode(explained_by),
        "explanation.json": _json({"metric": trained.metric.name, "method": "permutation", "importance": importances}),
    }

    evidence = gather(scored, manifest, inspected, trained, explained_by, importances)

    def texts(final: Manifest) -> dict[str, bytes]:
        return {"report.html": render_report(final, evidence), "MODEL_CARD.md": render_card(final, evidence)}

    written = write_bundle(store, manifest, files, texts)
    if request.first_is_champion and store.champion(request.name) is None:
        store.promote(request.name, written.version)
    return written


def _json(content: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(content), indent=1)


def _repeat(
    request: Request, inspected: Inspected, watcher: Watcher
) -> tuple[dict[str, Spread], dict[str, dict[str, Spread]]]:
    """Search anew on further splits; the model that is kept is not one of these. Beside it each baseline."""
    results, baselines = [], []
    for number in range(1, request.repeats + 1):
        watcher.stage(f"Repeat {number} of {request.repeats}")
        try:
            trained = train_once(request, inspected, number, watcher)
        except (KeyboardInterrupt, SearchError):
            break
        if trained.found.interrupted:  # a search that was cut short says nothing of the others
            break
        results.append(trained.metrics)
        baselines.append(trained.baselines)
    names = baselines[0] if baselines else ()
    return _spread(results), {name: _spread([given[name] for given in baselines]) for name in names}


def _spread(results: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """Of those metrics that all results have."""
    names = [name for name in results[0] if all(name in result for result in results)] if results else []
    values = {name: np.array([result[name] for result in results]) for name in names}
    return {
        name: Spread(mean=float(v.mean()), sd=float(v.std(ddof=1)) if len(v) > 1 else 0.0, values=tuple(v.tolist()))
        for name, v in values.items()
    }


def _check_examples(request: Request, inspected: Inspected) -> None:
    types: dict[Kind, tuple[type, ...]] = {"number": (int, float), "boolean": (bool,), "category": (str,)}
    for example in request.examples:
        for name in inspected.frame.columns:
            value, kind = example.get(name), kind_of(inspected.frame[name])
            if value is not None and type(value) not in types[kind]:
                raise DatasetError(f"The example {value!r} does not fit the column '{name}', which holds a {kind}.")


def _examples(request: Request, inspected: Inspected, trained: Trained) -> list[dict[str, Value]]:
    """The data set's own rows, or the first two of the test rows that are complete."""
    if request.examples:
        names = [column.name for column in trained.columns]
        return [{name: row.get(name) for name in names} for row in request.examples]
    test = inspected.frame.iloc[trained.test]
    complete = test[test.notna().all(axis=1)]
    return rows((complete if len(complete) >= 2 else test).head(2), trained.columns)


def _with_examples(columns: Sequence[Column], example: Mapping[str, Value]) -> tuple[Column, ...]:
    """Anybody may read the endpoint's description: it shows a data set's own example, or medians, but no row."""
    values = {name: value for name, value in example.items() if value is not None}
    return tuple(msgspec.structs.replace(c, example=values.get(c.name, c.example)) for c in columns)


def _golden(scorer: bytes, inspected: Inspected, trained: Trained) -> Golden:
    """Test rows as they are, with one cell of each second row missing and of each third unseen."""
    chosen = rows(inspected.frame.iloc[trained.test[:GOLDEN_ROWS]], trained.columns)
    for place, row in enumerate(chosen):
        column = trained.columns[place % len(trained.columns)]
        if place % 2:
            row[column.name] = None
        elif place % 3 == 0 and column.kind == "category":
            row[column.name] = "never seen in training"
    encoded = Encoder(trained.columns)([tuple(row.values()) for row in chosen])
    (given,) = inference_session(scorer).run(None, {"matrix": encoded})
    return Golden(
        tolerance=TOLERANCE * trained.ensemble.scale.unit,
        rows=tuple(chosen),
        outputs=tuple(tuple(float(value) for value in row) for row in given),
    )


def _train_outputs(inspected: Inspected, trained: Trained) -> Any:
    return trained.ensemble.outputs(matrix(inspected.frame.iloc[trained.train], trained.columns))


def _background(request: Request, inspected: Inspected, trained: Trained, outputs: Any) -> Background:
    x = matrix(inspected.frame.iloc[trained.train], trained.columns)
    chosen = background(x, outputs, request.seed).tolist()  # JSON has no NaN: msgspec writes null
    return Background(columns=tuple(column.name for column in trained.columns), rows=tuple(map(tuple, chosen)))


def _training(request: Request, inspected: Inspected, trained: Trained, started: datetime, seconds: float) -> Training:
    return Training(
        started=started.isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        seed=request.seed,
        budget_seconds=request.budget if request.max_trials is None else None,
        max_trials=request.max_trials,
        trials=len(trained.found.history),
        interrupted=trained.found.interrupted,
        metric=trained.metric.name,
        folds=FOLDS,
        train_rows=len(trained.train),
        test_rows=len(trained.test),
        members=tuple(Member(learner=m.learner, weight=m.weight, config=m.config) for m in trained.ensemble.members),
        leaderboard=tuple(
            Standing(
                candidate=row.name,
                metric=row.score,
                seconds=round(row.seconds, 2),
                chosen=row.chosen,
                row_us=round(row.cost.row_us, 3) if row.cost else None,
                size=row.cost.size if row.cost else None,
            )
            for row in trained.chosen.board
        ),
        guardrails=tuple(map(str, inspected.findings)),
        versions={"python": platform.python_version(), **{package: version(package) for package in _PACKAGES}},
        holdout=holdout(request, inspected),
    )
