import bz2
import gzip
import hashlib
import io
import lzma
import zipfile

import numpy as np
import pandas as pd
import pytest

from tests.conftest import shop_frame
from trainer.errors import TableError
from trainer.table import read_table

PLAIN = "name,size,ok,code\nMüller,1.5,true,01\nD'Or,2,false,02\n,NA,,03\n"


def read(tmp_path, content: bytes, name: str = "t.csv") -> pd.DataFrame:
    path = tmp_path / name
    path.write_bytes(content)
    return read_table(path).frame


def check_plain(frame: pd.DataFrame):
    assert frame["name"].tolist() == ["Müller", "D'Or", None]
    assert frame["size"].tolist()[:2] == [1.5, 2.0]
    assert np.isnan(frame["size"].iloc[2])
    assert frame["ok"].tolist() == [True, False, pd.NA]
    assert frame["code"].tolist() == ["01", "02", "03"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
def test_encodings(tmp_path, encoding):
    check_plain(read(tmp_path, PLAIN.encode(encoding)))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends(tmp_path, separator, ending):
    check_plain(read(tmp_path, PLAIN.replace(",", separator).replace("\n", ending).encode()))


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_compression_and_the_digest_of_what_is_inside(tmp_path, suffix, pack):
    path = tmp_path / f"t.csv{suffix}"
    path.write_bytes(pack(PLAIN.encode()))
    table = read_table(path)
    check_plain(table.frame)
    assert table.sha256 == hashlib.sha256(PLAIN.encode()).hexdigest()


def test_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("inside.csv", PLAIN)
    check_plain(read_table(tmp_path / "t.zip").frame)


def test_decimal_commas_of_a_semicolon_table(tmp_path):
    frame = read(tmp_path, b"a;b\n1,5;x\n-2,25;y\n")
    assert frame["a"].tolist() == [1.5, -2.25]


def test_quoted_separators_and_line_ends(tmp_path):
    frame = read(tmp_path, b'a,b\n"x, y\nz",1\n"say ""hi""",2\n')
    assert frame["a"].tolist() == ["x, y\nz", 'say "hi"']


def test_parquet_is_read_as_csv_is(tmp_path):
    frame = shop_frame(60)
    frame["small"] = pd.array([1, None, *range(58)], dtype="Int8")
    frame["kind"] = frame["colour"].astype("category")
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet").frame, read_table(tmp_path / "t.csv").frame)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"a,b\n", "has no rows"),
        (b"a,a\n1,2\n", "more than one column named a"),
        (b"PAR1 not really", "no Parquet file"),
        (b"a,b\n1,2,3\n4,5,6\n", "cannot be read as CSV"),
        (b'a,b\n"' + b"x" * 200_000 + b'",2\n', "cannot be read as CSV|1 rows"),
        (bytes(range(256)) * 40, "."),
    ],
)
def test_what_is_no_table_is_refused_with_the_reason(tmp_path, content, message):
    with pytest.raises(TableError, match=message):
        read(tmp_path, content)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TableError, match=r"There is no file .*nowhere\.csv"):
        read_table(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zip"])
def test_a_damaged_archive_is_named(tmp_path, suffix):
    packed = {".gz": gzip, ".bz2": bz2, ".xz": lzma}.get(suffix, gzip).compress(PLAIN.encode())
    for content in (packed[:-9], packed[:20] + b"damage" + packed[26:], b"nothing of the kind"):
        with pytest.raises(TableError, match=r"t\.csv"):
            read(tmp_path, content, f"t.csv{suffix}")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "prénom,ville\nHélène,Besançon\nÉric,Nîmes\n"),
        ("cp1251", "имя,город\nИван,Москва\nОльга,Санкт-Петербург\n"),
        ("koi8_r", "имя,город\nИван,Москва\nОльга,Санкт-Петербург\n"),
        ("cp932", "名前,市\n太郎,東京\n花子,大阪\n"),
        ("cp949", "이름,도시\n철수,서울\n영희,부산\n"),
        ("gb18030", "姓名,城市\n张伟,北京\n李娜,上海\n"),
    ],
)
def test_a_guessed_encoding_is_right_and_named(tmp_path, encoding, text):
    path = tmp_path / "t.csv"
    path.write_bytes((text + text.split("\n", 1)[1] * 5).encode(encoding))
    table = read_table(path)
    assert ",".join(table.frame.columns) == text.split("\n")[0]
    assert table.guessed_encoding == encoding


def test_utf_32_and_a_known_encoding_is_no_guess(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(PLAIN.encode("utf-32"))
    check_plain(read_table(path).frame)
    assert read_table(path).guessed_encoding is None


def test_infinite_numbers_are_missing(tmp_path):
    frame = pd.DataFrame({"a": [1.0, np.inf, -np.inf], "b": ["x", "y", "z"]})
    frame.to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").frame["a"].isna().tolist() == [False, True, True]
    assert read(tmp_path, b"a,b\n1,x\ninf,y\n-inf,z\n")["a"].isna().tolist() == [False, True, True]


def test_round_trip_of_a_frame(tmp_path):
    frame = shop_frame(50)
    buffer = io.BytesIO()
    frame.to_csv(buffer, index=False, sep="|")
    assert read(tmp_path, buffer.getvalue())["age"].tolist() == frame["age"].astype(float).tolist()
