"""The database: one DuckDB file that this process alone has open.

Its configuration is locked once it is open: no statement, from wherever it comes, can reach another file, load
an extension or raise a limit.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb
import pyarrow as pa

from observability.insights.errors import StoreUnusable
from observability.insights.tables import TABLES, definition

FILE = "insights.duckdb"
SCHEMA_NUMBER = 2  # of the tables below; a release that changes them raises it and migrates
THREADS = 2
_SERIES = "series VARCHAR, time BIGINT, seen BIGINT, times BIGINT, total DOUBLE, low DOUBLE, high DOUBLE"
# Where in time an operation is: looking its id up in all rows would take a second for fifty million. The key is the end
# of the id, which is random; two operations that share one only make the time that is looked at longer.
_OPERATIONS = "CREATE TABLE homeport.operations (key UINTEGER, first TIMESTAMP, last TIMESTAMP)"


def _keys(source: str, *, grouped: bool = False) -> str:
    """The rows of the table of operations for those of another."""
    times = "min(timestamp), max(timestamp)" if grouped else "timestamp, timestamp"
    query = f"SELECT CAST('0x' || right(operation_Id, 8) AS UINTEGER), {times} FROM {source}"  # noqa: S608 (our own names)
    return f"{query} WHERE operation_Id IS NOT NULL{' GROUP BY ALL' if grouped else ''}"


_SETUP = (
    "CREATE SCHEMA homeport",  # what is of no interest to those who ask
    "CREATE TABLE homeport.version (number INTEGER)",
    f"INSERT INTO homeport.version VALUES ({SCHEMA_NUMBER})",  # noqa: S608 (our own number)
    f"CREATE TABLE homeport.series ({_SERIES})",
    *(definition(table) for table in TABLES),
    _OPERATIONS,
)
_MIGRATION = (  # from schema 1
    _OPERATIONS,
    *(f"INSERT INTO homeport.operations {_keys(table)}" for table in TABLES),
    "UPDATE homeport.version SET number = 2",
)


class Store:
    """The open database.

    >>> store = Store(Path(".homeport/insights"), memory_bytes=256_000_000)
    >>> store.cursor().execute("SELECT count(*) FROM requests").fetchone()
    (0,)
    >>> store.close()

    Raises StoreUnusable if the file is in use, damaged, or of something else. No file is ever deleted.
    """

    def __init__(self, folder: Path, memory_bytes: int) -> None:
        self.path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not self.path.exists():
                _create(self.path)
            self._connection = duckdb.connect(str(self.path), config=_configuration(memory_bytes))
        except (duckdb.Error, OSError) as error:
            raise StoreUnusable(_why(self.path, error)) from None
        try:
            self._verify()
            self._connection.execute("SET GLOBAL TimeZone = 'UTC'; SET lock_configuration = true")
        except duckdb.Error as error:
            self.close()
            raise StoreUnusable(_why(self.path, error)) from None
        except StoreUnusable:
            self.close()
            raise

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the same database, for one thread."""
        return self._connection.cursor()

    def series(self) -> list[tuple[object, ...]]:
        """The last points of cumulative series; `deltas.SCHEMA` has the columns."""
        return self.cursor().execute("SELECT * FROM homeport.series").fetchall()

    def bytes(self) -> int:
        """Bytes of the blocks in use and of the log; the file itself may have free blocks beside them."""
        with self.cursor() as cursor:
            block, used = cursor.execute("SELECT block_size, used_blocks FROM pragma_database_size()").fetchone() or (
                0,
                0,
            )
        log = self.path.with_name(f"{FILE}.wal")
        return int(block * used) + (log.stat().st_size if log.exists() else 0)

    def close(self) -> None:
        """Write the log into the file and close it."""
        self._connection.close()

    def _verify(self) -> None:
        """The tables are ours, and of this release."""
        query = "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'homeport' AND table_name = 'version'"
        if self._connection.execute(query).fetchall() == [(0,)]:
            raise StoreUnusable(
                f"{self.path} is a database of something else. Point HOMEPORT_INSIGHTS_DATA to another folder."
            )
        ((number,),) = self._connection.execute("SELECT number FROM homeport.version").fetchall()
        if number == 1:
            with Transaction(self._connection):
                for statement in _MIGRATION:
                    self._connection.execute(statement)
            return
        if number != SCHEMA_NUMBER:
            raise StoreUnusable(
                f"{self.path} has tables of schema {number}, this version of Homeport knows {SCHEMA_NUMBER}. Use the "
                "version that wrote it, or move the file away to start with an empty one."
            )


class Transaction:
    """All or nothing on one connection.

    >>> with Transaction(cursor):
    ...     cursor.execute("DELETE FROM traces")
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.begin()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._connection.commit()
        else:
            self._connection.rollback()


def insert(
    cursor: duckdb.DuckDBPyConnection, tables: Mapping[str, pa.Table], series: pa.Table | None, gone: Iterable[str]
) -> Counter[str]:
    """Add rows, replace last points and drop those of series that are gone, all in one transaction.

    Once it returns, the rows are on the disk. Returns how many rows each table got.
    """
    with Transaction(cursor):
        for table, rows in tables.items():
            _append(cursor, table, rows)
        if series is not None:
            _append(cursor, "homeport.series", series, replace=True)
        for name in gone:
            cursor.execute("DELETE FROM homeport.series WHERE series = ?", [name])
    return Counter({table: rows.num_rows for table, rows in tables.items()})


def _append(cursor: duckdb.DuckDBPyConnection, table: str, rows: pa.Table, *, replace: bool = False) -> None:
    cursor.register("arriving", rows)
    try:
        if "operation_Id" in rows.column_names:
            cursor.execute(f"INSERT INTO homeport.operations {_keys('arriving', grouped=True)}")
        if replace:
            cursor.execute(f"DELETE FROM {table} WHERE series IN (SELECT series FROM arriving)")  # noqa: S608 (our own names)
        cursor.execute(f"INSERT INTO {table} SELECT * FROM arriving")  # noqa: S608 (our own names)
    finally:
        cursor.unregister("arriving")


def _create(path: Path) -> None:
    """Make the file under another name first: one that is there is whole."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)  # of a start that was killed
    with duckdb.connect(str(new)) as connection:
        for statement in _SETUP:
            connection.execute(statement)
    new.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # or a power cut could take the file and all that was acknowledged since
    finally:
        os.close(directory)


def _configuration(memory_bytes: int) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "memory_limit": f"{memory_bytes}B",
        "threads": THREADS,
        "max_temp_directory_size": "0B",  # what does not fit into memory is refused: queries leave nothing on the disk
        "enable_external_access": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "allow_persistent_secrets": False,
        "python_enable_replacements": False,
    }


def _why(path: Path, error: Exception) -> str:
    first = str(error).splitlines()[0]
    if isinstance(error, OSError):
        return f"{path.parent} cannot be used: {first}. Make it writable or point HOMEPORT_INSIGHTS_DATA elsewhere."
    if "lock on file" in first:
        return f"{path} is in use by another process. Stop that, or point HOMEPORT_INSIGHTS_DATA to another folder."
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return f"{path} cannot be read and written: give its owner's user to this process."
    return (
        f"{path} cannot be opened as a database: {first} It was left as it is; move it away (and {path.name}.wal "
        "with it) to start with an empty one, or put a copy in its place."
    )
