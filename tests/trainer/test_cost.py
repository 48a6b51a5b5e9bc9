"""What a model costs, and limits to it."""

import numpy as np
import pytest

from bundle import Store
from bundle.manifest import SCORER_GRAPH
from tests.conftest import MODEL, Silent, quick
from tests.trainer.test_graph import reference_of, table
from trainer.candidates import Candidate, Recipe
from trainer.columns import matrix
from trainer.cost import Cost, Limit
from trainer.errors import SearchError
from trainer.job import train
from trainer.measure import cost_of
from trainer.metrics import METRICS
from trainer.problem import Problem
from trainer.table import read_table
from trainer.vote import choose


def contenders(costs, spread=1.0):
    rng = np.random.default_rng(0)
    y = rng.normal(size=400)
    problem = Problem("regression", METRICS["rmse"], y[:, None], y, {}, 0)
    errors = rng.normal(0, spread, size=(len(costs), 400))
    return problem, [
        Candidate(str(n), Recipe(str(n), "lgbm", {}), 0.0, 0.0, y + error, cost=cost)
        for n, (error, cost) in enumerate(zip(errors, costs, strict=True))
    ]


def test_a_vote_has_no_more_members_than_the_limit_allows():
    problem, candidates = contenders([Cost(1.0, 10)] * 4)
    assert len(choose(problem, candidates).shares) == 4
    assert len(choose(problem, candidates, Limit(row_us=2.5)).shares) == 2
    assert len(choose(problem, candidates, Limit(size=35)).shares) == 3


def test_what_is_too_dear_is_shown_and_not_chosen():
    problem, candidates = contenders([Cost(1.0, 10), Cost(5.0, 10)])
    chosen = choose(problem, candidates, Limit(row_us=2.0))
    assert [candidate.name for candidate, _ in chosen.shares] == ["0"]
    assert {row.name for row in chosen.board} == {"0", "1"}


def test_where_nothing_is_cheap_enough_it_says_what_there_is():
    problem, candidates = contenders([Cost(1.0, 10_000), Cost(5.0, 20_000)])
    with pytest.raises(SearchError, match=r"within 0\.5 µs a row and inf MB: the fastest takes 1 µs, .* 0\.01 MB"):
        choose(problem, candidates, Limit(row_us=0.5))


def test_a_tighter_limit_is_below_the_first():
    limit = Limit(row_us=2.0, size=100)
    tighter = limit.below(Cost(4.0, 50))
    assert (tighter.row_us, tighter.size) == (pytest.approx(0.9), pytest.approx(90))


@pytest.mark.parametrize("names", [["lgbm"], ["lrl1"], ["lgbm", "xgboost"]])
def test_an_ensemble_is_measured(names):
    inspected = table("binary")
    reference = reference_of(inspected, names, [1 / len(names)] * len(names))
    cost = cost_of(reference.ensemble, matrix(inspected.frame, reference.columns), reference.classes)
    assert cost.row_us > 0
    assert cost.size > 500


@pytest.mark.e2e
def test_a_model_within_a_limit(shop_csv, tmp_path):
    store = Store(tmp_path)
    free = train(quick(read_table(shop_csv), "buys"), store, Silent())
    sizes = [row.size for row in free.training.leaderboard if row.size]
    limit = Limit(size=sorted(sizes)[1])
    bound = train(quick(read_table(shop_csv), "buys", limit=limit), store, Silent())
    assert (store.path(MODEL, bound.version) / SCORER_GRAPH).stat().st_size <= limit.size
    (winner,) = [row for row in bound.training.leaderboard if row.chosen]
    assert winner.size == (store.path(MODEL, bound.version) / SCORER_GRAPH).stat().st_size
    assert len(bound.training.leaderboard) > 2


def test_a_limit_that_nothing_keeps_writes_nothing(shop_csv, tmp_path):
    with pytest.raises(SearchError, match="--max-size-mb"):
        train(quick(read_table(shop_csv), "buys", limit=Limit(size=10)), Store(tmp_path), Silent())
    assert not list(tmp_path.rglob("*.json"))
