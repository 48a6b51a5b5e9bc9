import numpy as np
import pandas as pd
import pytest

from trainer.errors import TableError
from trainer.instants import instants, shown


def column(*values, dtype=object):
    return pd.Series(values, name="when", dtype=dtype)


@pytest.mark.parametrize(
    "values",
    [
        ("2024-01-31", "2024-02-01", "2024-02-01 09:30"),
        ("2024/1/31", "2024/2/1", "2024/2/1 9:30"),
        ("2024.01.31", "2024.02.01", "2024.02.01T09:30:00Z"),
        ("31.1.2024", "1.2.2024", "1.2.2024 9:30"),
        ("31-01-2024", "01-02-2024", "01-02-2024 09:30"),
        ("01/31/2024", "02/01/2024", "02/01/2024 9:30 AM"),
        ("1/31/24", "2/1/24", "2/1/24 9:30"),
        ("20240131", "20240201", "2024-02-01T10:30:00+01:00"),
    ],
)
def test_text_of_any_usual_order(values):
    expected = np.array(["2024-01-31", "2024-02-01", "2024-02-01T09:30"], dtype="datetime64[s]")
    assert (instants(column(*values)) == expected).all()


def test_numbers_and_dates_of_parquet():
    assert instants(column(3, 1, 2, dtype="float64")).tolist() == [3, 1, 2]
    naive = pd.Series(pd.to_datetime(["2024-01-01", "2024-01-02"]), name="when")
    there = naive.dt.tz_localize("Europe/Lisbon")
    assert (instants(naive) == instants(there)).all()


def test_days_of_two_digits_and_centuries():
    found = instants(column("12/31/69", "12/31/68", "12/31/99"))
    assert [shown(value)[:4] for value in found] == ["1969", "2068", "1999"]


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (column("2024-01-01", None, None), r"no value in 2 of 3 rows"),
        (column("2024-01-01", "soon", "2024-01-02"), r"cannot be read in 1 of 3 rows, such as 'soon'"),
        (column("2024-13-45", "2024-01-02"), r"1 of 2 rows, such as '2024-13-45'"),
        (column("01/02/2024", "03/04/2024"), r"'01/02/2024': they may begin with the day or with the month"),
        (column("13/02/2024", "03/14/2024"), r"day and month are in no one order"),
        (column("2024-01-01", "2024-01-01"), r"is 2024-01-01 in all rows"),
        (column(5, 5, dtype="float64"), r"is 5 in all rows"),
        (column(True, False, dtype="boolean"), r"true and false"),
    ],
)
def test_what_has_no_order_is_refused_with_an_example(series, message):
    with pytest.raises(TableError, match=message):
        instants(series)


def test_instants_for_people():
    given = (np.float64(20240131), np.datetime64("2024-01-31"), np.datetime64("2024-01-31T09:30"))
    assert [shown(value) for value in given] == ["20240131", "2024-01-31", "2024-01-31 09:30:00"]
