import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle import BundleCorrupt
from bundle.drift import Distribution, psi, read_baseline
from tests.conftest import shop_frame


def test_the_training_rows_themselves_have_not_drifted(shop_bundle):
    baseline = read_baseline(shop_bundle)
    frame = shop_frame()
    for name, distribution in baseline.columns.items():
        values = [None if isinstance(value, float) and math.isnan(value) else value for value in frame[name]]
        counts = distribution.count(values)
        assert sum(counts) == len(values)
        assert psi(distribution.expected, counts) < 0.05, name
        assert sum(distribution.expected) == pytest.approx(1)


def test_a_damaged_baseline_is_refused_and_none_is_none(tmp_path):
    assert read_baseline(tmp_path) is None
    (tmp_path / "baseline.json").write_text('{"rows": 1}')
    with pytest.raises(BundleCorrupt, match=r"baseline\.json holds no distributions"):
        read_baseline(tmp_path)


def test_other_rows_have(shop_bundle):
    columns = read_baseline(shop_bundle).columns
    assert psi(columns["age"].expected, columns["age"].count([200] * 50)) > 1
    assert psi(columns["colour"].expected, columns["colour"].count(["unseen"] * 50)) > 1
    assert psi(columns["colour"].expected, columns["colour"].count([None] * 50)) > 1


def test_unseen_and_missing_have_bins_of_their_own():
    colours = Distribution(missing=0.1, categories={"red": 0.6, "green": 0.3})
    assert colours.count(["green", "blue", None, "red", "blue"]) == [1, 1, 2, 1]
    ages = Distribution(missing=0.0, edges=(10.0, 20.0), shares=(0.3, 0.3, 0.4))
    assert ages.count([10, 10.5, 20, 30, None]) == [1, 2, 1, 0, 1]


def test_psi_by_hand():
    assert psi([0.5, 0.5], [75, 25]) == pytest.approx(0.25 * math.log(1.5) - 0.25 * math.log(0.5))


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=8))
def test_psi_is_never_negative_and_zero_for_the_same(counts):
    total = sum(counts)
    expected = [count / total for count in counts] if total else [1 / len(counts)] * len(counts)
    assert psi(expected, counts) == pytest.approx(0, abs=1e-9)
    assert psi(list(reversed(expected)), counts) >= -1e-12
