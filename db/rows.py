"""Columns and rows: what a query selects of a row class, by name, and the frozen row behind it.

In: a row class (a dataclass whose fields are named as the columns); tuples from MySQL (naive UTC). Out: SQL that names
the columns; rows (aware UTC).
Must stay true: the columns that a query selects and the fields that its rows are made with are one list; a field that
is no column of the table has its expression here, beside its name.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from types import UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import orjson

from contracts.resources import EventRow, OrderDetailRow, OrderRow, PaymentRow, TicketTypeRow
from contracts.runtime.times import from_sql, to_sql
from contracts.shapes import column_names
from db.mysql.database import Row

R = TypeVar("R")


class Select(Generic[R]):
    """The columns of a row class in a table that a query calls `alias`.

    `expressions` say how a field is computed that is no column of that name; `but` names the last columns, with
    defaults, that a query does without.
    """

    def __init__(
        self, row: type[R], alias: str = "", *, but: Collection[str] = (), **expressions: str
    ) -> None:
        self._row = row
        prefix = f"{alias}." if alias else ""
        names = [name for name in column_names(row) if name not in but]
        self.columns = ", ".join(
            f"{expressions[name]} AS {name}" if name in expressions else prefix + name
            for name in names
        )
        self.width = len(names)
        self._convert = [
            (position, convert)
            for position, convert in enumerate(_converters(row, names, expressions))
            if convert is not None
        ]

    def row(self, values: Row) -> R:
        """The row behind the first values of a tuple, as many as there are columns."""
        taken = list(values[: self.width])
        for position, convert in self._convert:
            if taken[position] is not None:
                taken[position] = convert(taken[position])
        return self._row(*taken)

    def rows(self, found: Iterable[Row]) -> list[R]:
        """The row behind each tuple."""
        return [self.row(values) for values in found]

    def rest(self, values: Row) -> Row:
        """What a query selected behind these columns."""
        return values[self.width :]


def _converters(
    row: type[Any], names: Iterable[str], expressions: Mapping[str, str]
) -> Iterator[Callable[[Any], Any] | None]:
    hints = get_type_hints(row)
    for name in names:
        kind = hints[name]
        if get_origin(kind) in (Union, UnionType):
            [kind] = [part for part in get_args(kind) if part is not type(None)]
        if kind is datetime:
            yield from_sql
        elif get_origin(kind) in (dict, tuple):
            yield _from_json_column(get_origin(kind))
        elif isinstance(kind, type) and issubclass(kind, bool | StrEnum):
            yield kind
        else:
            # What the server computes may come as a DECIMAL where a whole number is meant, and the other way about.
            yield kind if name in expressions and kind in (int, Decimal) else None


def _from_json_column(kind: Any) -> Callable[[str], Any]:
    return lambda text: kind(orjson.loads(text))


def stored(row: Any, *but: str) -> dict[str, Any]:
    """A row's values by column name as statements take them, without the columns in `but`."""
    return {
        name: to_sql(value) if isinstance(value := getattr(row, name), datetime) else value
        for name in column_names(type(row))
        if name not in but
    }


EVENTS = Select(EventRow, "e")
TICKET_TYPES = Select(TicketTypeRow, "t")
ORDERS = Select(OrderRow, "o")
ORDER_DETAILS = Select(OrderDetailRow, "d")
PAYMENTS = Select(PaymentRow, "p")
