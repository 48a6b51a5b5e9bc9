"""The kernel against the definition of a forest, tree by tree and row by row in Python."""

import ctypes
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle import FLOAT32_MAX, compiled
from bundle.compiled import Compiled, KernelMissing
from bundle.forest import LINKS, Forest, read_forest

COLUMNS = 3
CODES = 5  # that a column of categories has
TINY = float(np.float32(1e-45))
NUMBERS = [0.0, -0.0, TINY, -TINY, 1.0, np.nextafter(np.float32(1), np.float32(2)), -1.5, FLOAT32_MAX, -FLOAT32_MAX]


def forest_of(trees, base, link, weight, outputs, target=(0.0, 1.0), logarithm=False, derived=()):
    """Each tree is (nodes, slot, width); a node is (threshold, feature, missing_left) or a list of values.

    Each derived feature is (column, table).
    """
    nodes = [node for tree, _, _ in trees for node in tree]
    cuts = [(0.0, -1, False) if isinstance(node, list) else node for node in nodes]
    return Forest(
        threshold=np.array([cut[0] for cut in cuts], dtype=np.float32),
        feature=np.array([cut[1] for cut in cuts], dtype=np.int32),
        missing_left=np.array([cut[2] for cut in cuts], dtype=np.bool_),
        values=np.array([v for node in nodes if isinstance(node, list) for v in node], dtype=np.float32),
        slot=np.array([slot for _, slot, _ in trees], dtype=np.int32),
        width=np.array([width for _, _, width in trees], dtype=np.int32),
        base=np.array(base, dtype=np.float64),
        link=np.array([LINKS.index(name) for name in link], dtype=np.int32),
        weight=np.array(weight, dtype=np.float64),
        outputs=np.array(outputs, dtype=np.int32),
        target=np.array(target, dtype=np.float64),
        logarithm=np.array(logarithm),
        derived=np.array([column for column, _ in derived], dtype=np.int32),
        table_start=np.cumsum([0, *(len(table) for _, table in derived)], dtype=np.int32),
        tables=np.array([value for _, table in derived for value in table], dtype=np.float32),
    )


def grown(rng, leaves, width, chain=False, features=COLUMNS):
    """A random tree in preorder, or one that only ever branches to one side."""
    if leaves == 1:
        return [rng.normal(size=width).tolist()]
    left = int(rng.choice([1, leaves - 1]) if chain else rng.integers(1, leaves))
    cut = (float(rng.choice(NUMBERS)), int(rng.integers(features)), bool(rng.integers(2)))
    below = (grown(rng, part, width, chain, features) for part in (left, leaves - left))
    return [cut, *itertools.chain(*below)]


def fall(nodes, row):
    """The values of the leaf that the row falls into."""

    def subtree(place):
        if isinstance(nodes[place], list):
            return place + 1
        return subtree(subtree(place + 1))

    place = 0
    while not isinstance(nodes[place], list):
        threshold, feature, missing_left = nodes[place]
        left = missing_left if np.isnan(row[feature]) else row[feature] <= np.float32(threshold)
        place = place + 1 if left else subtree(place + 1)
    return np.float32(nodes[place]).astype(float)


def behind(forest, matrix):
    """The rows with their derived features; the column of codes is the last."""
    tables = np.split(forest.tables, forest.table_start[1:-1])
    looked = [table[matrix[:, column].astype(int)] for column, table in zip(forest.derived, tables, strict=False)]
    return np.column_stack([matrix, *looked])


def by_definition(forest, trees, matrix):
    matrix = behind(forest, matrix)
    total = np.zeros((len(matrix), int(forest.outputs)))
    first = 0
    for link, weight, slots in zip(forest.link, forest.weight, forest.slots, strict=True):
        sums = np.tile(forest.base[first : first + slots], (len(matrix), 1))
        for nodes, slot, width in trees:
            if first <= slot < first + slots:
                sums[:, slot - first : slot - first + width] += [fall(nodes, row) for row in matrix]
        name = LINKS[link]
        if name == "softmax":
            sums = np.exp(sums - sums.max(axis=1, keepdims=True))
            sums /= sums.sum(axis=1, keepdims=True)
        elif name != "identity":
            p = 1 / (1 + np.exp(-sums)) if name == "logistic" else sums
            sums = np.concatenate([1 - p, p], axis=1)
        total += weight * sums
        first += slots
    scaled = total * forest.target[1] + forest.target[0]
    return np.exp(scaled) if forest.logarithm else scaled


@st.composite
def models(draw):
    outputs = draw(st.sampled_from([1, 2, 3]))
    links = {1: ["identity"], 2: list(LINKS), 3: ["identity", "softmax"]}[outputs]
    link = draw(st.lists(st.sampled_from(links), min_size=1, max_size=3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    derived = [(COLUMNS - 1, rng.choice(NUMBERS, CODES)) for _ in range(draw(st.integers(0, 3)))]
    features = COLUMNS + len(derived)
    trees, first = [], 0
    for name in link:
        slots = 1 if name in ("complement", "logistic") else outputs
        for _ in range(draw(st.integers(0, 20))):
            width = draw(st.sampled_from([1, slots]))
            leaves = draw(st.sampled_from([1, 2, 5, 31, 32, 33, 70]))
            nodes = grown(rng, leaves, width, draw(st.booleans()), features)
            trees.append((nodes, first + (0 if width == slots else int(rng.integers(slots))), width))
        first += slots
    trees = trees or [([[1.0]], 0, 1)]
    logarithm = outputs == 1 and draw(st.booleans())
    target = ((1.0, 0.1) if logarithm else (1e6, 20.0)) if outputs == 1 else (0.0, 1.0)
    base = rng.normal(size=first)
    forest = forest_of(trees, base, link, rng.random(len(link)), outputs, target, logarithm, derived)
    count = draw(st.sampled_from([1, 2, 7, 8, 9, 16, 63, 64, 65]))
    matrix = rng.choice([*NUMBERS, np.nan], size=(count, COLUMNS)).astype(np.float32)
    if derived:
        matrix[:, -1] = rng.integers(CODES, size=count)
    return forest, trees, matrix


@settings(max_examples=60)
@given(models())
def test_any_forest_gives_what_its_trees_say(model):
    forest, trees, matrix = model
    forest = read_forest(forest.dumps(), COLUMNS, int(forest.outputs))
    given_outputs = Compiled(forest, COLUMNS)(matrix)
    assert given_outputs.dtype == (np.float64 if forest.outputs == 1 else np.float32)
    np.testing.assert_allclose(given_outputs, by_definition(forest, trees, matrix), rtol=1e-6, atol=1e-6)


def a_forest(seed=0, count=40):
    rng = np.random.default_rng(seed)
    trees = [(grown(rng, int(rng.integers(1, 50)), 1), 0, 1) for _ in range(count)]
    return forest_of(trees, [0.1], ["logistic"], [1.0], 2)


def test_a_code_that_is_none_reads_the_last_place_of_its_table():
    leaves = [[(0.5, COLUMNS, False), [1.0], [2.0]]]
    forest = forest_of([(leaves[0], 0, 1)], [0.0], ["identity"], [1.0], 1, derived=[(1, [0.0, 0.0, 1.0])])
    strange = np.array([[0, code, 0] for code in (-1, 3, 1e30, np.nan, np.inf, -np.inf, 2)], dtype=np.float32)
    for rows in (strange, np.tile(strange, (20, 1))):
        assert set(Compiled(forest, COLUMNS)(rows)[:, 0]) == {2.0}


def test_threads_share_a_kernel():
    kernel = Compiled(a_forest(), COLUMNS)
    rng = np.random.default_rng(0)
    batches = [rng.normal(size=(count, COLUMNS)).astype(np.float32) for count in [1, 200, 3, 5_000] * 10]
    alone = [kernel(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(kernel, batches))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_a_matrix_in_any_memory_order():
    kernel = Compiled(a_forest(), COLUMNS)
    matrix = np.random.default_rng(0).normal(size=(30, COLUMNS)).astype(np.float32)
    expected = kernel(matrix)
    for same in (np.asfortranarray(matrix), np.repeat(matrix, 2, axis=0)[::2], matrix[::-1][::-1]):
        assert np.array_equal(kernel(same), expected)
    assert kernel(matrix[:0]).shape == (0, 2)


@pytest.mark.parametrize(
    "matrix", [np.zeros((2, COLUMNS)), np.zeros((2, COLUMNS + 1), np.float32), np.zeros(COLUMNS, np.float32)]
)
def test_another_matrix_is_refused(matrix):
    with pytest.raises(ValueError, match="not float32"):
        Compiled(a_forest(), COLUMNS)(matrix)


@pytest.fixture
def unloaded():
    """Forget the library that this process has loaded, before and after."""
    compiled._library.cache_clear()
    yield
    compiled._library.cache_clear()


def test_without_the_library_it_says_what_to_do(unloaded, monkeypatch, tmp_path):
    monkeypatch.setattr(compiled, "LIBRARY", tmp_path / "libforest.so")
    with pytest.raises(KernelMissing, match=r"install a C compiler and run `make setup`"):
        Compiled(a_forest(), COLUMNS)
    (tmp_path / "libforest.so").write_bytes(b"no library")
    with pytest.raises(KernelMissing):
        Compiled(a_forest(), COLUMNS)


def test_a_library_of_another_source_is_not_used(unloaded, monkeypatch, tmp_path):
    changed = tmp_path / "forest.c"
    changed.write_bytes(compiled.SOURCE.read_bytes() + b"\n")
    monkeypatch.setattr(compiled, "SOURCE", changed)
    with pytest.raises(KernelMissing, match="another source"):
        Compiled(a_forest(), COLUMNS)


def test_the_structure_is_the_same_in_c_and_python():
    assert ctypes.sizeof(compiled._Forest) == 8 * 12 + 4 * 8
    assert [compiled._NODE.itemsize, compiled._CUT.itemsize] == [8, 12]
    assert [compiled._TREE.itemsize, compiled._MEMBER.itemsize] == [40, 24]
