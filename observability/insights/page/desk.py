"""What a view works with: answers from the database, and what it shows while there is none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from nicegui import ui

from observability.insights.errors import Busy, QueryRefused
from observability.insights.parts import Parts
from observability.insights.reader import Cursor, records
from observability.insights.settings import Settings

_LINK = """<q-td :props="props">
<a v-if="props.row.href" :href="props.row.href">{{ props.value }}</a><span v-else>{{ props.value }}</span></q-td>"""
_NONE = '<span class="quiet">None in this time.</span>'
_NUMBER = (
    "value => typeof value != 'number' ? value ?? '–' : "
    "value.toLocaleString('en', {maximumFractionDigits: Math.abs(value) < 1 ? 4 : 2})"
)
_LONG = {"message", "summary"}  # fields whose text wraps
_LESS = {"role", "instance", "operation_Id"}  # fields that narrow screens do without
_Result = TypeVar("_Result")
Record = dict[str, Any]


@dataclass(frozen=True)
class Desk:
    """One browser's view of the last `minutes`."""

    parts: Parts
    settings: Settings
    minutes: int

    @property
    def start(self) -> datetime:
        """Since when, in UTC without a zone, as the tables have it."""
        return datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=self.minutes)

    @property
    def bin(self) -> int:
        """Minutes of one step of a chart."""
        return max(1, round(self.minutes / 120))

    async def ask(self, work: Callable[[Cursor], _Result]) -> _Result:
        """Run something that reads. Raises QueryRefused and Busy, which `keep` shows."""
        return await self.parts.reader.run(work)

    async def select(self, query: str, **parameters: Any) -> list[Record]:
        """The rows of a query, which may use $start beside its parameters."""
        given = {"start": self.start} | parameters
        used = {name: value for name, value in given.items() if f"${name}" in query}
        return await self.ask(lambda cursor: records(cursor, query, used))

    def keep(self, refresh: Callable[[], Awaitable[None]], seconds: float | None = None) -> None:
        """Fill the view now and again while it is looked at; what goes wrong is said and tried again."""

        async def once() -> None:
            try:
                await refresh()
            except (QueryRefused, Busy) as error:
                ui.notify(str(error), type="warning", timeout=3000)

        ui.timer(seconds or (5 if self.minutes <= 60 else 60), once)


def number(value: float | None, unit: str = "") -> str:
    """A figure for people: four digits, or as many as a count has."""
    if value is None:
        return "–"
    text = f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:,.3g}"
    return f"{text} {unit}".rstrip()


def moment(time: datetime) -> str:
    """A time in UTC, to the millisecond."""
    return time.strftime("%Y-%m-%d %H:%M:%S.") + f"{time.microsecond // 1000:03d}"


def href(row: Record) -> str | None:
    """Where the transaction of a row is shown, if it belongs to one."""
    return f"/transaction/{row['operation_Id']}" if row["operation_Id"] else None


def table(
    columns: dict[str, str], *, numbers: Collection[str] = (), key: str = "id", link: str = "", pages: bool = False
) -> ui.table:
    """A table with `columns` by field and title; `numbers` are on the right.

    The field `link` leads where a row's `href` says. A table without `pages` shows all of its rows.
    """
    made = ui.table(
        columns=[
            {
                "name": field,
                "label": title,
                "field": field,
                "sortable": True,
                "align": "right" if field in numbers else "left",
                "classes": "wide" if field in _LONG else "less" if field in _LESS else "",
                "headerClasses": "less" if field in _LESS else "",
                **({":format": _NUMBER} if field in numbers else {}),
            }
            for field, title in columns.items()
        ],
        rows=[],
        row_key=key,
        pagination=50 if pages else None,
    )
    if link:
        made.add_slot(f"body-cell-{link}", _LINK)
    made.add_slot("no-data", _NONE)
    return made.classes("table").props("flat dense")
