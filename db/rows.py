"""Columns and rows of what clients see: what a query selects, and the frozen row behind it.

In: tuples from MySQL (naive UTC). Out: `contracts.resources` rows (aware UTC).
Must stay true: `<X>_COLUMNS` names its columns in the order of the row's fields, all qualified by
the table's alias.
"""

from datetime import datetime

from contracts.resources import EventRow, OrderDetailRow, OrderRow, PaymentRow, TicketTypeRow
from contracts.runtime.times import from_sql
from db.mysql.database import Row

EVENT_COLUMNS = (
    "e.id, e.organizer_id, e.name, e.description, e.venue, e.start_time, e.end_time, e.status, "
    "e.version, e.created_at, e.updated_at"
)
TICKET_TYPE_COLUMNS = (
    "t.id, t.event_id, t.name, t.price, t.currency, t.quota, t.available, t.max_per_order, "
    "t.sales_start, t.sales_end, t.version, t.created_at, t.updated_at, t.max_per_user"
)
ORDER_COLUMNS = (
    "o.id, o.user_id, o.event_id, o.status, o.total_cost, o.currency, o.expires_at, o.version, "
    "o.created_at, o.updated_at"
)
ORDER_DETAIL_COLUMNS = "d.ticket_type_id, d.quantity, d.unit_price"
PAYMENT_COLUMNS = (
    "p.id, p.order_id, p.asset, p.quote_rate, p.amount_crypto, p.tx_hash, p.status, p.expires_at, "
    "p.rate_source, p.rate_observed_at, p.created_at, p.updated_at"
)


def event_row(row: Row) -> EventRow:
    """From `EVENT_COLUMNS` (alias e)."""
    return EventRow(*_aware(row))


def ticket_type_row(row: Row) -> TicketTypeRow:
    """From `TICKET_TYPE_COLUMNS` (alias t)."""
    return TicketTypeRow(*_aware(row))


def order_row(row: Row) -> OrderRow:
    """From `ORDER_COLUMNS` (alias o)."""
    return OrderRow(*_aware(row))


def order_detail_row(row: Row) -> OrderDetailRow:
    """From `ORDER_DETAIL_COLUMNS` (alias d)."""
    return OrderDetailRow(*row)


def payment_row(row: Row) -> PaymentRow:
    """From `PAYMENT_COLUMNS` (alias p)."""
    return PaymentRow(*_aware(row))


def _aware(row: Row) -> Row:
    return tuple(from_sql(value) if isinstance(value, datetime) else value for value in row)
