"""Wherever a batch is cut, the same request goes on, and the output is that of an undisturbed one."""

import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest

from bundle import Store, write_bundle
from pipeline.batch.checkpoint import ERRORS, ROWS, Draft
from pipeline.errors import OutputUnusable
from tests.conftest import MODEL, shop_frame, write_csv
from tests.pipeline.batch.conftest import Ended, Watching

STEPS = {"mini_batch_size": 10, "checkpoint_rows": 20}


def inputs(folder, kind):
    """Two files of 70 and 45 rows, some of them bad."""
    folder.mkdir()
    for place, rows in enumerate((70, 45)):
        frame = shop_frame(rows, seed=place)
        if kind == "csv":
            frame = frame.astype(object)
            frame.loc[[3, 25, 44], "age"] = "x"
            path = write_csv(frame, folder / f"{place}.csv")
            lines = path.read_text().splitlines()
            path.write_text("\n".join([*lines[:20], "1,2", *lines[20:], "too,few"]))
        else:
            frame.loc[[3, 25, 44], "spend.total"] = 1e300
            frame.to_parquet(folder / f"{place}.parquet", row_group_size=17)
    return folder


def whole(path):
    """What a batch leaves, but for the time it took."""
    return path.read_bytes(), path.with_name(f"{path.name}.{ERRORS}").read_bytes()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("output", ["scored.csv", "scored.parquet", "scored.csv.gz"])
def test_every_cut_is_gone_on_from(batch, tmp_path, kind, output):
    source = inputs(tmp_path / "in", kind)
    undisturbed = Watching()
    batch(source, tmp_path / f"whole-{output}", undisturbed, **STEPS)
    expected = whole(tmp_path / f"whole-{output}")
    assert len(undisturbed.steps) > 5
    for cut in range(1, len(undisturbed.steps) + 1):
        path = tmp_path / output
        with pytest.raises(Ended):
            batch(source, path, Watching(cut), **STEPS)
        assert not path.exists()
        draft = tmp_path / f"{output}.batch"
        if cut < len(undisturbed.steps):  # what was being written when it ended
            for file in draft.iterdir():
                if file.name not in ("checkpoint.json", "lock"):
                    with file.open("ab") as half:
                        half.write(b"PAR1 half a row, and no more of it")
        watching = Watching()
        assert batch(source, path, watching, **STEPS).done == "now"
        assert [begun[2].rows for begun in watching.begun] in ([], [undisturbed.steps[cut - 1].rows])
        assert len(watching.steps) <= len(undisturbed.steps) - cut + 2
        assert whole(path) == expected
        assert not draft.exists()
        for file in tmp_path.glob(f"{output}*"):
            file.unlink()


@pytest.mark.parametrize("published", range(4))
def test_a_batch_cut_while_it_gets_its_name(batch, tmp_path, published):
    source = inputs(tmp_path / "in", "csv")
    batch(source, tmp_path / "whole.csv", **STEPS)
    steps = Watching()
    batch(source, tmp_path / "again.csv", steps, **STEPS)
    path = tmp_path / "scored.csv"
    with pytest.raises(Ended):
        batch(source, path, Watching(len(steps.steps)), **STEPS)
    draft = Draft(tmp_path / "scored.csv.batch")
    assert draft.read().progress.complete
    if published >= 1:
        draft.path(ERRORS).rename(tmp_path / "scored.csv.errors.csv")
    if published >= 2:
        shutil.copy(tmp_path / "again.csv.batch.json", tmp_path / "scored.csv.batch.json")
    if published >= 3:
        draft.path(ROWS).rename(path)
    watching = Watching()
    result = batch(source, path, watching, **STEPS)
    assert (result.record.rows, result.record.bad, result.errors) == (109, 10, f"{path}.errors.csv")
    assert watching.steps == []  # nothing is scored again
    assert whole(path) == whole(tmp_path / "whole.csv")
    assert not draft.folder.exists()


def cut_short(batch, source, path, **options):
    with pytest.raises(Ended):
        batch(source, path, Watching(3), **(STEPS | options))


def test_another_input_starts_anew_and_says_so(batch, tmp_path):
    source = write_csv(shop_frame(100), tmp_path / "new.csv")
    cut_short(batch, source, tmp_path / "scored.csv")
    write_csv(shop_frame(90, seed=1), source)
    watching = Watching()
    batch(source, tmp_path / "scored.csv", watching, **STEPS)
    assert watching.begun[0][2].rows == 0
    assert watching.begun[0][3] == "the input"
    assert len(pd.read_csv(tmp_path / "scored.csv")) == 90


def test_other_options_and_another_model_start_anew(batch, own_store, tmp_path):
    source = write_csv(shop_frame(100), tmp_path / "new.csv")
    store = Store(own_store.root)
    manifest, first = store.manifest(MODEL, "1"), store.path(MODEL, "1")
    second = write_bundle(store, manifest, {name: (first / name).read_bytes() for name in manifest.files})
    for options, differs in [
        ({"mini_batch_size": 20}, "--mini-batch-size"),
        ({"bundle": store.path(MODEL, second.version)}, "the model"),
    ]:
        cut_short(batch, source, tmp_path / "scored.csv", bundle=first)
        watching = Watching()
        batch(source, tmp_path / "scored.csv", watching, **({"bundle": first} | STEPS | options))
        assert watching.begun[0][3] == differs
        (tmp_path / "scored.csv").unlink()


def test_a_finished_batch_is_not_done_again(batch, new_csv, tmp_path):
    path = tmp_path / "scored.csv"
    first = batch(new_csv, path)
    stamp = path.stat()
    again = batch(new_csv, path)
    assert (again.done, again.record) == ("before", first.record)
    assert path.stat() == stamp
    assert batch(new_csv, path, overwrite=True).done == "now"


def test_an_output_of_something_else_is_not_replaced_unasked(batch, new_csv, tmp_path):
    path = tmp_path / "scored.csv"
    path.write_text("precious")
    with pytest.raises(OutputUnusable, match="is there already, and of something else"):
        batch(new_csv, path)
    assert path.read_text() == "precious"
    assert [file.name for file in tmp_path.iterdir() if "scored" in file.name] == ["scored.csv"]
    batch(new_csv, path, overwrite=True)
    write_csv(shop_frame(10), new_csv)
    with pytest.raises(OutputUnusable, match="of something else"):
        batch(new_csv, path)


def test_the_old_output_stays_until_the_new_one_is_whole(batch, new_csv, tmp_path):
    path = tmp_path / "scored.csv"
    batch(new_csv, path)
    old = path.read_bytes()
    write_csv(shop_frame(100, seed=8), new_csv)
    with pytest.raises(Ended):
        batch(new_csv, path, Watching(3), overwrite=True, **STEPS)
    assert path.read_bytes() == old
    batch(new_csv, path, overwrite=True, **STEPS)
    assert len(pd.read_csv(path)) == 100


def test_two_at_a_time_cannot_write_one_output(batch, new_csv, tmp_path):
    with Draft(tmp_path / "scored.csv.batch").locked(), pytest.raises(OutputUnusable, match="Another batch"):
        batch(new_csv, tmp_path / "scored.csv")
    assert batch(new_csv, tmp_path / "scored.csv").done == "now"


def test_a_damaged_checkpoint_is_none(batch, new_csv, tmp_path):
    cut_short(batch, new_csv, tmp_path / "scored.csv")
    (tmp_path / "scored.csv.batch" / "checkpoint.json").write_text("{")
    watching = Watching()
    batch(new_csv, tmp_path / "scored.csv", watching, **STEPS)
    assert watching.begun[0][2].rows == 0


def test_a_parquet_file_that_was_gone_on_with_is_read_by_others(batch, tmp_path):
    import duckdb

    shop_frame(200).to_parquet(tmp_path / "new.parquet")
    cut_short(batch, tmp_path / "new.parquet", tmp_path / "scored.parquet")
    batch(tmp_path / "new.parquet", tmp_path / "scored.parquet", **STEPS)
    with duckdb.connect() as connection:
        query = "SELECT count(*), sum(age), count(prediction) FROM read_parquet(?)"
        found = connection.execute(query, [str(tmp_path / "scored.parquet")]).fetchone()
    assert found == (200, shop_frame(200)["age"].sum(), 200)
    assert pq.read_table(tmp_path / "scored.parquet").num_rows == 200
