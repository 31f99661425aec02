"""One wrong row per way to break a rule of the audit: (rule, what the row would mean, the statement that writes it).

Names in braces are those of `SmallSale.ids`.
"""


def _line(order: str, type_: str, quantity: int, taken: object) -> str:
    """A line that costs nothing and that no command asked for."""
    return (
        "INSERT INTO order_details (order_id, ticket_type_id, quantity, unit_price, cost, taken_version, "
        f"command_id, created_at, updated_at) SELECT {order}, {type_}, {quantity}, 0, 0, {taken}, "
        f"command_id, created_at, updated_at FROM orders WHERE id = {order}"
    )


def _step(change: str, kind: str) -> str:
    return f"UPDATE stock_ledger SET {change} WHERE ticket_type_id = {{seats}} AND kind = '{kind}'"


def _made_by(table: str, row: str) -> str:
    return f"id = (SELECT command_id FROM {table} WHERE {row})"


def _forget(table: str, row: str) -> str:
    return f"DELETE FROM command_outcomes WHERE {_made_by(table, row)}"


def _retell(change: str, where: str) -> str:
    return f"UPDATE command_outcomes SET {change} WHERE {where}"


def _retarget(row: str, command: str) -> str:
    return _retell(
        f"body = JSON_SET(body, '$.id', {{{row}}})", f"type = '{command}' AND code IS NULL LIMIT 1"
    )


def _payment(change: str, row: str) -> str:
    return f"UPDATE payments SET {change} WHERE id = {{{row}}}"


_KIND = "(SELECT MIN(version) FROM stock_ledger WHERE ticket_type_id = {{seats}} AND kind = '{}')"
_PLACED = _made_by("orders", "id = {held}")
_OUTCOME = "user_id, type, fingerprint, status_code, code, location, request_id, body, accepted_at, decided_at"
_UNIT = "0.000000000000000001"
_ITEMS = "type = 'eventhub.order.add_items.v1'"
_NOW = "created_at FROM orders WHERE id = {held}"

STOCK = [
    (1, "a ticket out that no step took", _line("{held}", "{unsold}", 1, 10**6)),
    (2, "a step that moved more", _step("delta = delta + 1", "QUOTA")),
    (2, "a step of another quota", _step("quota_delta = 9", "QUOTA")),
    (
        2,
        "a missing step",
        "DELETE FROM stock_ledger WHERE ticket_type_id = {seats} AND kind = 'EDIT'",
    ),
    (2, "a step too many", f"INSERT INTO stock_ledger SELECT {{seats}}, 99, 'EDIT', 0, 0, {_NOW}"),
    (2, "a version too far", "UPDATE ticket_types SET version = version + 1 WHERE id = {seats}"),
    (2, "sold before there was any", _step("version = 99", "CREATE")),
    (
        2,
        "a line of another step",
        "UPDATE order_details SET taken_version = taken_version + 1 WHERE order_id = {sold}",
    ),
    (
        2,
        "a line of an edit",
        f"UPDATE order_details SET taken_version = {_KIND.format('EDIT')} WHERE order_id = {{sold}}",
    ),
    (
        2,
        "back at an edit",
        f"UPDATE order_details SET returned_version = {_KIND.format('EDIT')} WHERE order_id = {{expired}}",
    ),
    (
        2,
        "back at a step that never was",
        "UPDATE order_details SET returned_version = 99 WHERE order_id = {cancelled}",
    ),
]
ANSWERS = [
    (3, "an order nobody was told of", _forget("orders", "id = {held}")),
    (3, "an order refused to its buyer", _retell("status_code = 409, code = 'SOLD_OUT'", _PLACED)),
    (
        3,
        "an order of another command",
        "UPDATE orders SET command_id = REPEAT('x', 16) WHERE id = {held}",
    ),
    (3, "an order under another name", _retell("location = '/api/orders/0'", _PLACED)),
    (
        3,
        "an order that was promised",
        f"INSERT INTO command_outcomes SELECT REPEAT('x', 16), {_OUTCOME} FROM command_outcomes "
        f"WHERE {_PLACED}",
    ),
    (
        3,
        "two answers",
        f"INSERT INTO command_outcomes SELECT id, {_OUTCOME} FROM command_outcomes "
        "WHERE type = 'eventhub.order.cancel.v1'",
    ),
    (3, "a cancelled order that lives", _retarget("held", "eventhub.order.cancel.v1")),
    (3, "a cancelled event that lives", _retarget("event_id", "eventhub.event.cancel.v1")),
    (3, "a confirmed payment that is not", _retarget("late", "eventhub.payment.confirm.v1")),
    (3, "items nobody was told of", f"DELETE FROM command_outcomes WHERE {_ITEMS}"),
    (3, "items under another order", _retell("location = '/api/orders/0'", _ITEMS)),
    (3, "an event nobody was told of", _forget("events", "id = {event_id}")),
    (3, "a type nobody was told of", _forget("ticket_types", "id = {seats}")),
    (3, "a quote nobody was told of", _forget("payments", "id = {late}")),
    (3, "a receipt nobody was told of", _forget("payment_receipts", "payment_id = {late}")),
]
MONEY = [
    (4, "a little too much", _payment(f"amount_crypto = amount_crypto + {_UNIT}", "late")),
    (4, "a little too little", _payment(f"amount_crypto = amount_crypto - {_UNIT}", "late")),
    (4, "another rate", _payment("quote_rate = quote_rate + 0.00000001", "paid")),
    (
        4,
        "another total, exactly priced",
        _payment("total_cost = total_cost * 2, amount_crypto = amount_crypto * 2", "exact"),
    ),
    (4, "paid without a receipt", "DELETE FROM payment_receipts WHERE payment_id = {paid}"),
    (
        4,
        "paid with late money",
        "UPDATE payment_receipts SET status = 'LATE' WHERE payment_id = {paid}",
    ),
    (4, "late without a receipt", "DELETE FROM payment_receipts WHERE payment_id = {late}"),
    (
        4,
        "a receipt of nobody",
        "UPDATE payment_receipts SET payment_id = 10000000 WHERE payment_id = {late}",
    ),
    (4, "late and waiting", _payment("status = 'PENDING'", "late")),
    (4, "a cancelled order paid", _payment("status = 'CONFIRMED'", "late")),
    (
        4,
        "one hash, two receipts",
        "INSERT INTO payment_receipts (tx_hash, payment_id, status, command_id, created_at) "
        "SELECT UPPER(tx_hash), payment_id, 'LATE', command_id, created_at FROM payment_receipts "
        "WHERE payment_id = {paid}",
    ),
    (
        4,
        "a total that is no sum",
        "UPDATE orders SET total_cost = total_cost + 0.01 WHERE id = {held}",
    ),
]
MOVES = [
    (
        5,
        "a cancelled order without a move",
        "DELETE FROM order_history WHERE order_id = {cancelled} AND status = 'CANCELLED'",
    ),
    (
        5,
        "a dead order that was paid",
        f"INSERT INTO order_history SELECT {{cancelled}}, 9, 'CONFIRMED', 'x', {_NOW}",
    ),
    (
        5,
        "a move to another end",
        "UPDATE order_history SET status = 'CANCELLED' WHERE order_id = {expired}",
    ),
    (5, "a version too far", "UPDATE orders SET version = version + 1 WHERE id = {held}"),
    (
        5,
        "a step missing in between",
        "UPDATE order_history SET version = 9 WHERE order_id = {held}",
    ),
    (
        5,
        "expired before its time",
        "UPDATE order_history SET created_at = created_at - INTERVAL 1 DAY WHERE order_id = {expired}",
    ),
    (
        5,
        "cancelled over a paid order",
        "UPDATE events SET status = 'CANCELLED' WHERE id = {event_id}",
    ),
    (
        5,
        "owed although it is back",
        f"INSERT INTO pending_returns SELECT {{cancelled}}, {_NOW}",
    ),
    (5, "owed by an order that lives", f"INSERT INTO pending_returns SELECT id, {_NOW}"),
    (5, "half given back", _line("{cancelled}", "{seats}", 0, _KIND.format("TAKE"))),
]
SILENCE = [
    (
        6,
        "an event that waits",
        "INSERT INTO outbox (stream, aggregate, routing_key, body, created_at) "
        f"SELECT 1, 'order:1', 'order.placed', '', {_NOW}",
    ),
    (
        6,
        "an order past its deadline",
        "UPDATE orders SET expires_at = UTC_TIMESTAMP(6) WHERE id = {held}",
    ),
    (6, "an order of a cancelled event", "UPDATE orders SET event_id = {off} WHERE id = {held}"),
    (
        6,
        "a dead letter",
        "INSERT INTO dead_letters (digest, queue, reason, headers, body, created_at, updated_at) "
        f"SELECT REPEAT('x', 32), 'q', 'r', '[]', 'b', created_at, {_NOW}",
    ),
]
_COPIED = "order_id, event_id, ticket_type_id, holder_id, issued_at, updated_at"


def _ticket(change: str, row: str = "spare") -> str:
    return f"UPDATE tickets SET {change} WHERE id = {{{row}}}"


def _conflict(change: str) -> str:
    return f"UPDATE scans SET {change} WHERE ruling = 'CONFLICT'"


TICKETS = [
    (7, "a place without a ticket", "DELETE FROM tickets WHERE id = {spare}"),
    (7, "a paid place whose ticket is void", _ticket("status = 'VOID'")),
    (
        7,
        "a ticket too many",
        f"INSERT INTO tickets (order_detail_id, number, {_COPIED}) "
        f"SELECT order_detail_id, 2, {_COPIED} FROM tickets WHERE id = {{spare}}",
    ),
    (
        7,
        "a ticket of an unpaid order",
        f"INSERT INTO tickets (order_detail_id, number, {_COPIED}) SELECT d.id, 1, d.order_id, "
        "o.event_id, d.ticket_type_id, o.user_id, o.created_at, o.created_at "
        "FROM order_details d JOIN orders o ON o.id = d.order_id WHERE o.id = {held} LIMIT 1",
    ),
    (7, "a ticket of another place", _ticket("number = 2")),
    (7, "a ticket of another type", _ticket("ticket_type_id = {boxes}")),
    (7, "a ticket of another event", _ticket("event_id = {off}")),
    (7, "a ticket of another order", _ticket("order_id = {held}")),
    (7, "a ticket of nobody", _ticket("holder_id = 10000000")),
    (7, "used, and nobody scanned it", _ticket("status = 'USED', used_at = updated_at")),
    (7, "admitted, and still good", _ticket("status = 'VALID', used_at = NULL", "used")),
    (7, "used at another time", _ticket("used_at = used_at + INTERVAL 1 SECOND", "used")),
    (7, "admitted twice", _conflict("ruling = 'ADMITTED'")),
    (7, "an entry that was refused", _conflict("ruling = 'ALREADY_USED'")),
    (7, "a question that is a conflict", _conflict("offline = 0")),
    (7, "a conflict with nobody", _conflict("ticket_id = {spare}")),
    (7, "an entry with a code that never was", _conflict("version = 9")),
    (7, "an entry without a ticket", _conflict("ticket_id = 10000000, ruling = 'VOID_ADMITTED'")),
    (
        7,
        "an entry at another event's gate",
        "UPDATE gates SET event_id = {off} WHERE name = 'South'",
    ),
]
WRONG = [*STOCK, *ANSWERS, *MONEY, *MOVES, *SILENCE, *TICKETS]
