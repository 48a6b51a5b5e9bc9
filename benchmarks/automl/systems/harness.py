"""What all systems' programs share: the job, the clock, the result. It needs numpy and pandas alone."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

MANY = 10_000
REPEATS = 5


@dataclass(frozen=True)
class Job:
    """What to do; `train` has the target's column, `test` has not."""

    folder: Path
    train: pd.DataFrame
    test: pd.DataFrame
    target: str
    task: str
    metric: str
    budget: float
    seed: int
    cores: int


@dataclass(frozen=True)
class Learned:
    """What a system made of it. `predict` gives probabilities (rows, classes) or values (rows,) for a frame."""

    predict: Callable[[pd.DataFrame], Any]
    classes: Sequence[Any]
    size: int
    winner: str


def run(learn: Callable[[Job], Learned]) -> None:
    """Read the job, let the system learn, time its predictions, write the result."""
    path = Path(sys.argv[1])
    given = json.loads(path.read_text())
    folder = path.parent
    train, test = pd.read_csv(folder / "train.csv"), pd.read_csv(folder / "test.csv")
    job = Job(folder, train, test, **given)
    started = time.perf_counter()
    learned = learn(job)
    seconds = time.perf_counter() - started
    outputs = np.asarray(learned.predict(test), dtype=np.float64)
    many = pd.concat([test] * (MANY // len(test) + 1), ignore_index=True).head(MANY)
    one = test.head(1)
    np.save(folder / "outputs.npy", outputs)
    result = {
        "seconds": seconds,
        "classes": [str(label) for label in learned.classes],
        "size": learned.size,
        "winner": learned.winner,
        "row": _cost(learned.predict, many, REPEATS) / MANY,
        "call": _cost(learned.predict, one, 4 * REPEATS),
    }
    (folder / "result.json").write_text(json.dumps(result))


def _cost(predict: Callable[[pd.DataFrame], Any], frame: pd.DataFrame, repeats: int) -> float:
    """The median CPU of one call over all threads of this process, µs; no system predicts in others."""
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        predict(frame)
        taken.append(time.process_time() - started)
    return float(np.median(taken)) * 1e6
