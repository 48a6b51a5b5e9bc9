"""A batch as a whole: rows in order, answers appended, bad rows aside, all formats and addresses."""

import bz2
import gzip
import json
import lzma
import zipfile

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputUnusable, OutputUnusable, PipelineError, TooManyBadRows
from tests.conftest import MODEL, shop_frame, write_csv
from tests.pipeline.batch.conftest import Watching, answers, as_trained, held


def text(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def test_csv_rows_stay_as_they_are_and_get_their_answers(batch, model, new_csv, tmp_path):
    result = batch(new_csv, tmp_path / "scored.csv", mini_batch_size=7, checkpoint_rows=50)
    assert (result.record.rows, result.record.bad, result.errors) == (500, 0, None)
    scored, rows = text(tmp_path / "scored.csv"), text(new_csv)
    pd.testing.assert_frame_equal(scored[rows.columns], rows)
    assert [*scored.columns] == [*rows.columns, "prediction", "probability_no", "probability_yes"]
    held(model, scored, as_trained(new_csv, model))


def test_parquet_rows_stay_as_they_are_and_get_their_answers(batch, model, tmp_path):
    frame = shop_frame(500, seed=3)
    frame.to_parquet(tmp_path / "new.parquet", row_group_size=64)
    batch(tmp_path / "new.parquet", tmp_path / "scored.parquet", mini_batch_size=50, checkpoint_rows=100)
    given, scored = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("new", "scored"))
    assert scored.select(given.schema.names).equals(given)
    assert [str(kind) for kind in scored.schema.types[-3:]] == ["string", "float", "float"]
    metadata = pq.read_metadata(tmp_path / "scored.parquet")
    assert [metadata.row_group(place).num_rows for place in range(metadata.num_row_groups)] == [100] * 5
    assert scored.schema.metadata[b"homeport.model"] == MODEL.encode()
    assert scored.schema.metadata[b"homeport.version"] == b"1"
    held(model, scored.to_pandas(), frame)


def test_both_formats_lead_to_both(batch, model, new_csv, tmp_path):
    batch(new_csv, tmp_path / "a.parquet")
    batch(tmp_path / "a.parquet", tmp_path / "b.csv")
    first, second = pq.read_table(tmp_path / "a.parquet"), text(tmp_path / "b.csv")
    held(model, first.to_pandas(), as_trained(new_csv, model))
    assert second["prediction_2"].tolist() == first["prediction"].to_pylist()
    assert [*second.columns][-3:] == ["prediction_2", "probability_no_2", "probability_yes_2"]


def test_an_output_without_an_ending_is_like_the_input(batch, new_csv, tmp_path):
    batch(new_csv, tmp_path / "scored")
    assert (tmp_path / "scored").read_text().startswith("age,")


def test_the_mini_batch_size_changes_no_byte_of_csv(batch, new_csv, tmp_path):
    for size in (1, 33, 500, 10_000):
        batch(new_csv, tmp_path / f"{size}.csv", mini_batch_size=size, checkpoint_rows=64)
    assert len({(tmp_path / f"{size}.csv").read_bytes() for size in (1, 33, 500, 10_000)}) == 1


def test_the_number_of_threads_changes_no_byte(batch, new_csv, tmp_path):
    for threads in (1, 4):
        batch(new_csv, tmp_path / f"{threads}.parquet", mini_batch_size=9, checkpoint_rows=90, threads=threads)
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "4.parquet").read_bytes()


@pytest.mark.parametrize(
    ("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zip", None)]
)
def test_compressed_csv(batch, model, new_csv, tmp_path, ending, pack):
    packed = tmp_path / f"new.csv{ending}"
    if pack:
        packed.write_bytes(pack(new_csv.read_bytes()))
    else:
        with zipfile.ZipFile(packed, "w") as archive:
            archive.write(new_csv, "new.csv")
    batch(packed, tmp_path / "scored.csv", mini_batch_size=100)
    held(model, text(tmp_path / "scored.csv"), as_trained(new_csv, model))


def test_compressed_output(batch, new_csv, tmp_path):
    batch(new_csv, tmp_path / "plain.csv", checkpoint_rows=64, mini_batch_size=10)
    batch(new_csv, tmp_path / "packed.csv.gz", checkpoint_rows=64, mini_batch_size=10)
    assert gzip.decompress((tmp_path / "packed.csv.gz").read_bytes()) == (tmp_path / "plain.csv").read_bytes()


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_separators_encodings_and_decimal_commas(batch, model, tmp_path, separator, encoding):
    frame = shop_frame(300, seed=4)
    path = write_csv(frame, tmp_path / "new.csv", sep=separator, encoding=encoding, decimal=",")
    batch(path, tmp_path / "scored.csv", mini_batch_size=64)
    scored = pd.read_csv(tmp_path / "scored.csv", sep=separator, dtype=str, keep_default_na=False)
    assert scored["spend.total"].str.contains(",").any()
    held(model, scored, as_trained(path, model))


def test_values_that_need_quotes(batch, tmp_path, complete_row):
    rows = [complete_row | {"note": note} for note in ("a,b", 'say "x"', "two\nlines", "plain", "ünï ☃")]
    path = write_csv(pd.DataFrame(rows), tmp_path / "new.csv")
    batch(path, tmp_path / "scored.csv", mini_batch_size=1)
    assert text(tmp_path / "scored.csv")["note"].tolist() == [row["note"] for row in rows]
    assert '"red"' not in (tmp_path / "scored.csv").read_text().splitlines()[-1]


def test_bad_rows_go_aside_with_their_reasons(batch, model, tmp_path):
    frame = shop_frame(60, seed=5).astype(object)
    frame.loc[3, "age"] = "old, very"
    frame.loc[30, ["age", "is member"]] = ["1e39", "perhaps"]
    lines = frame.to_csv(index=False).splitlines()
    lines.insert(11, "1,2")  # between the tenth row and the one that was the eleventh
    lines += ["1,2,3,4,5,6,7,8"]
    (tmp_path / "new.csv").write_text("\n".join(lines))
    result = batch(tmp_path / "new.csv", tmp_path / "scored.csv", mini_batch_size=8, checkpoint_rows=16)
    assert (result.record.rows, result.record.bad) == (58, 4)
    bad = pd.read_csv(result.errors, keep_default_na=False)
    assert bad.to_dict("records") == [
        {"file": str(tmp_path / "new.csv"), "row": row, "column": column, "value": value, "reason": reason}
        for row, column, value, reason in [
            (4, "age", "old, very", "is no number"),
            (11, "", "1,2", "has 2 values for 6 columns"),
            (32, "age", "1e39", "is not within ±3.4e38"),
            (32, "is member", "perhaps", "is not true or false"),
            (62, "", "1,2,3,4,5,6,7,8", "has 8 values for 6 columns"),
        ]
    ]
    good = frame.drop([3, 30]).reset_index(drop=True)
    path = write_csv(good, tmp_path / "good.csv")
    held(model, text(tmp_path / "scored.csv"), as_trained(path, model))


def test_bad_rows_of_parquet(batch, tmp_path):
    frame = shop_frame(20)
    frame["spend.total"] = frame["spend.total"].astype("float64")
    frame.loc[[0, 7], "spend.total"] = [1e300, -1e39]
    frame.to_parquet(tmp_path / "new.parquet")
    result = batch(tmp_path / "new.parquet", tmp_path / "scored.parquet", mini_batch_size=4)
    assert pd.read_csv(result.errors)["row"].tolist() == [1, 8]
    assert pq.read_metadata(tmp_path / "scored.parquet").num_rows == 18


def test_a_batch_of_bad_rows_only(batch, tmp_path):
    path = write_csv(shop_frame(20).assign(age="x"), tmp_path / "new.csv")
    for output in ("scored.csv", "scored.parquet"):
        result = batch(path, tmp_path / output, mini_batch_size=6)
        assert (result.record.rows, result.record.bad) == (0, 20)
    assert (tmp_path / "scored.csv").read_text().count("\n") == 1
    assert pq.read_table(tmp_path / "scored.parquet").num_rows == 0


def test_the_threshold_ends_a_batch_and_a_higher_one_goes_on(batch, tmp_path):
    frame = shop_frame(100).astype(object)
    frame.loc[[5, 40, 41, 90], "age"] = "x"
    path = write_csv(frame, tmp_path / "new.csv")
    batch(path, tmp_path / "whole.csv", mini_batch_size=10)
    with pytest.raises(TooManyBadRows, match=r"3 rows could not be scored, more than the 1 that .*errors\.csv says"):
        batch(path, tmp_path / "scored.csv", mini_batch_size=10, error_threshold=1)
    assert not (tmp_path / "scored.csv").exists()
    assert (tmp_path / "scored.csv.batch" / "errors.csv").read_text().count("is no number") == 3
    with pytest.raises(TooManyBadRows):  # the same again
        batch(path, tmp_path / "scored.csv", mini_batch_size=10, error_threshold=1)
    watching = Watching()
    batch(path, tmp_path / "scored.csv", watching, mini_batch_size=10, error_threshold=4)
    assert watching.begun[0][2].rows == 47
    for name in ("csv", "csv.errors.csv"):
        assert (tmp_path / f"scored.{name}").read_bytes() == (tmp_path / f"whole.{name}").read_bytes()


def test_a_threshold_of_none_tolerates_none(batch, new_csv, tmp_path):
    batch(new_csv, tmp_path / "scored.csv", error_threshold=0)
    with new_csv.open("a") as file:
        file.write("1,2\n")
    with pytest.raises(TooManyBadRows):
        batch(new_csv, tmp_path / "scored2.csv", error_threshold=0)


def test_files_of_a_folder_and_a_pattern_come_in_order(batch, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new" / "deep").mkdir(parents=True)
    for place, name in enumerate(["b.csv", "a.csv.gz", "deep/c.csv"]):
        write_csv(shop_frame(30, seed=place), tmp_path / "new" / name)
    (tmp_path / "new" / "_SUCCESS").touch()
    (tmp_path / "new" / ".part.csv").touch()
    (tmp_path / "new" / "notes.md").touch()
    whole = pd.concat([shop_frame(30, seed=seed) for seed in (1, 0, 2)], ignore_index=True)
    for source in ("new", "new/", "new/**/*.csv*"):
        batch(source, "new/scored.csv", mini_batch_size=8, overwrite=True)
        scored = text("new/scored.csv")
        assert len(scored) == 90
        held(model, scored, as_trained(write_csv(whole, tmp_path / "whole.csv"), model))
    (tmp_path / "new" / "scored.csv").unlink()
    with (tmp_path / "new" / "b.csv").open("a") as file:
        file.write("1,2\n")
    result = batch("new", "scored.csv", mini_batch_size=8)
    assert pd.read_csv(result.errors)[["file", "row"]].to_numpy().tolist() == [["new/b.csv", 31]]


def test_columns_of_files_may_come_in_another_order_and_no_other(batch, model, tmp_path):
    frame = shop_frame(30)
    for ending, write in (("csv", lambda f, p: f.to_csv(p, index=False)), ("parquet", lambda f, p: f.to_parquet(p))):
        folder = tmp_path / ending
        folder.mkdir()
        write(frame, folder / f"1.{ending}")
        write(frame[frame.columns[::-1]], folder / f"2.{ending}")
        result = batch(folder, tmp_path / f"scored.{ending}")
        assert result.record.rows == 60
        write(frame.assign(more=1), folder / f"3.{ending}")
        with pytest.raises(InputUnusable, match=rf"3\.{ending} has column 'more' as .*1\.{ending} not"):
            batch(folder, tmp_path / f"scored2.{ending}")


def test_addresses_of_fsspec(batch, model, new_csv, tmp_path):
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/in/1.csv", new_csv.read_bytes() + b"1,2\n")
    batch("memory://in/*.csv", "memory://out/scored.csv", state=tmp_path, mini_batch_size=100)
    batch(new_csv, tmp_path / "scored.csv")
    assert memory.cat_file("/out/scored.csv") == (tmp_path / "scored.csv").read_bytes()
    assert memory.cat_file("/out/scored.csv.errors.csv").splitlines()[1].startswith(b"memory:///in/1.csv,501,")
    assert json.loads(memory.cat_file("/out/scored.csv.batch.json"))["rows"] == 500
    assert sorted(memory.find("/out")) == [f"/out/scored.csv{end}" for end in ("", ".batch.json", ".errors.csv")]
    assert not any(tmp_path.glob("batch/*"))
    assert batch("memory://in/*.csv", "memory://out/scored.csv", state=tmp_path, mini_batch_size=100).done == "before"
    memory.pipe_file("/in/1.csv", new_csv.read_bytes())
    batch("memory://in", "memory://out/scored.csv", state=tmp_path, overwrite=True)
    assert not memory.exists("/out/scored.csv.errors.csv")
    with fsspec.open("memory://in/p/new.parquet", "wb") as file:
        shop_frame(50).to_parquet(file)
    assert batch("memory://in/p", tmp_path / "scored.parquet", mini_batch_size=20).record.rows == 50
    memory.rm("/in", recursive=True)
    memory.rm("/out", recursive=True)


def test_columns_that_the_model_has_not_are_passed_on(batch, model, tmp_path):
    frame = shop_frame(40)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    extra = {
        "id": pa.array(range(40)), "list": pa.array([[1, 2]] * 40),
        "when": pa.array([0] * 40, pa.timestamp("us", "UTC")),
        "word": pa.array(["a", "b"] * 20).dictionary_encode(), "big": pa.array(["x"] * 40, pa.large_string()),
    }  # fmt: skip
    for name, values in extra.items():
        table = table.append_column(name, values)
    pq.write_table(table, tmp_path / "new.parquet")
    batch(tmp_path / "new.parquet", tmp_path / "scored.parquet", mini_batch_size=16)
    scored = pq.read_table(tmp_path / "scored.parquet")
    assert scored.select(table.schema.names).equals(pq.read_table(tmp_path / "new.parquet"))
    held(model, scored.to_pandas(), frame)
    with pytest.raises(OutputUnusable, match="CSV cannot hold column 'list'"):
        batch(tmp_path / "new.parquet", tmp_path / "scored.csv")


def test_a_column_that_may_be_missing_may_be_absent(batch, model, tmp_path):
    optional = [column.name for column in model.manifest.columns if not column.required]
    assert optional
    frame = shop_frame(30).drop(columns=optional)
    batch(write_csv(frame, tmp_path / "new.csv"), tmp_path / "scored.csv")
    held(model, text(tmp_path / "scored.csv"), frame)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"age,colour\n1,red\n", "has no column .*'is member'.*It has: age, colour"),
        (b"age,age\n1,2\n", "more than one column named age"),
        (b"PAR1 and no more", "no Parquet file that can be read"),
    ],
)
def test_a_table_that_cannot_be_scored_is_told_before_any_work(batch, tmp_path, content, message):
    (tmp_path / "new.csv").write_bytes(content)
    with pytest.raises(InputUnusable, match=message):
        batch(tmp_path / "new.csv", tmp_path / "scored.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]


def test_a_column_of_another_type_is_refused_by_name(batch, tmp_path):
    shop_frame(5).assign(age=pd.Timestamp("2020-01-01")).to_parquet(tmp_path / "new.parquet")
    with pytest.raises(InputUnusable, match=r"Column 'age' is of type timestamp.*, and the model takes numbers"):
        batch(tmp_path / "new.parquet", tmp_path / "scored.parquet")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nothing.csv", "There is no file"),
        ("no*.csv", "There is no file"),
        ("nowhere://x.csv", "cannot be reached"),
        (".", "There is no file"),
    ],
)
def test_an_input_that_is_not_there(batch, tmp_path, monkeypatch, source, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputUnusable, match=message):
        batch(source, tmp_path / "scored.csv")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("folder/", "is a folder"),
        ("folder", "is a folder"),
        ("x.csv.bz2", r"only \.csv\.gz"),
        ("x.zip", r"only \.csv\.gz"),
    ],
)
def test_an_output_that_cannot_be(batch, new_csv, tmp_path, monkeypatch, output, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputUnusable, match=message):
        batch(new_csv, output)


def test_an_output_that_is_the_input(batch, new_csv):
    with pytest.raises(InputUnusable, match="is the output, too"):
        batch(new_csv, new_csv, overwrite=True)


def test_two_formats_in_one_batch(batch, new_csv, tmp_path):
    shop_frame(5).to_parquet(tmp_path / "new.parquet")
    with pytest.raises(InputUnusable, match="Score one format at a time"):
        batch(tmp_path / "new*", tmp_path / "scored.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'"' + b"1,2,3,4,5,6\n" * 1_000_000, "a quote that is opened and never closed"),
        (b"40,1.5,True,red,1700000000,yes\n" * 20_000 + b"40,1,True,r\xe4d,1700000000,no\n", "Save it as UTF-8"),
    ],
)
def test_a_file_that_breaks_on_its_way(batch, new_csv, tmp_path, content, message):
    with new_csv.open("ab") as file:
        file.write(content)
    with pytest.raises(InputUnusable, match=message):
        batch(new_csv, tmp_path / "scored.csv", mini_batch_size=10, checkpoint_rows=10)


def test_a_truncated_archive(batch, new_csv, tmp_path):
    (tmp_path / "new.csv.gz").write_bytes(gzip.compress(new_csv.read_bytes() * 50)[:-2000])
    with pytest.raises(PipelineError, match=r"new\.csv\.gz"):
        batch(tmp_path / "new.csv.gz", tmp_path / "scored.csv")


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(batch, model, tmp_path, rows):
    frame = shop_frame(30).head(rows)
    write_csv(frame, tmp_path / "new.csv")
    pq.write_table(pa.Table.from_pandas(shop_frame(30), preserve_index=False).slice(0, rows), tmp_path / "new.parquet")
    for name in ("new.csv", "new.parquet"):
        for output in ("scored.csv", "scored.parquet"):
            assert batch(tmp_path / name, tmp_path / output, overwrite=True).record.rows == rows
            read = pd.read_csv if output.endswith("csv") else pd.read_parquet
            assert len(read(tmp_path / output)) == rows


def test_the_answers_are_those_of_each_row_alone(batch, model, tmp_path):
    frame = shop_frame(100, seed=9)
    batch(write_csv(frame, tmp_path / "new.csv"), tmp_path / "scored.csv")
    scored = text(tmp_path / "scored.csv")
    alone = np.concatenate([answers(model, frame.iloc[[place]]) for place in range(100)])
    np.testing.assert_allclose(scored["probability_yes"].astype("float32"), alone[:, 1], atol=1e-6)
