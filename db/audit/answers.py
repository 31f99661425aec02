"""Rule 3: what was answered is what was done."""

from contracts.commands import (
    AddItems,
    CancelEvent,
    CancelOrder,
    ConfirmPayment,
    CreateEvent,
    CreateQuote,
    CreateTicketType,
    PlaceOrder,
)
from db.audit.rule import AuditOptions, Check, Rule


def outcomes(options: AuditOptions) -> Rule:
    """Rule 3: what was answered is what was done."""
    checks = [
        Check(
            "a command has several outcomes",
            "SELECT HEX(id) AS command, COUNT(*) AS outcomes FROM command_outcomes GROUP BY id HAVING COUNT(*) > 1",
        )
    ]
    for command, table, location in _MADE:
        checks.append(_without_effect(command, table, location))
    for command, sql in _DONE.items():
        checks.append(Check("a success that its target does not show", sql, (command,)))
    for table, commands, least, below in _EFFECTS:
        checks.append(_without_outcome(options, table, commands, (least, below)))
    return Rule(
        3,
        "Each command has at most one outcome, each successful outcome its effect, each effect its outcome.",
        tuple(checks),
    )


_MADE = (
    (PlaceOrder.TYPE, "orders", "CONCAT('/api/orders/', x.id)"),
    (AddItems.TYPE, "order_details", "CONCAT('/api/orders/', x.order_id)"),
    (CreateEvent.TYPE, "events", "CONCAT('/api/events/', x.id)"),
    (CreateTicketType.TYPE, "ticket_types", "CONCAT('/api/ticket-types/', x.id)"),
    (CreateQuote.TYPE, "payments", "CONCAT('/api/payments/', x.id)"),
)
"""(command, the table its 201 makes a row in, the Location that names the row)."""


def _without_effect(command: str, table: str, location: str) -> Check:
    sql = f"""
        SELECT HEX(c.id) AS command, c.type, c.location AS said, '{table}' AS missing
        FROM command_outcomes c LEFT JOIN {table} x ON x.command_id = c.id
        WHERE c.type = %s AND c.status_code = 201 AND (x.id IS NULL OR c.location <> {location})
        """
    # order_details has no index that begins with its command: let the server hash or sort it once.
    if table == "order_details":
        sql = f"""
        SELECT HEX(c.id) AS command, c.type, c.location AS said, '{table}' AS missing
        FROM command_outcomes c LEFT JOIN (
            SELECT x.command_id, MIN(x.order_id) AS order_id FROM order_details x GROUP BY x.command_id
        ) x ON x.command_id = c.id
        WHERE c.type = %s AND c.status_code = 201 AND (x.order_id IS NULL OR c.location <> {location})
        """
    return Check("a success without its effect", sql, (command,))


_TARGET = "CAST(JSON_UNQUOTE(JSON_EXTRACT(c.body, '$.id')) AS SIGNED)"
_SUCCESS = "c.type = %s AND c.status_code < 300"
_DONE = {
    CancelOrder.TYPE: f"""
        SELECT HEX(c.id) AS command, c.type, {_TARGET} AS orderId, x.status
        FROM command_outcomes c LEFT JOIN orders x ON x.id = {_TARGET}
        WHERE {_SUCCESS} AND (x.id IS NULL OR x.status <> 'CANCELLED')
        """,
    CancelEvent.TYPE: f"""
        SELECT HEX(c.id) AS command, c.type, {_TARGET} AS eventId, x.status
        FROM command_outcomes c LEFT JOIN events x ON x.id = {_TARGET}
        WHERE {_SUCCESS} AND (x.id IS NULL OR x.status <> 'CANCELLED')
        """,
    ConfirmPayment.TYPE: f"""
        SELECT HEX(c.id) AS command, c.type, {_TARGET} AS paymentId, x.status
        FROM command_outcomes c LEFT JOIN payments x ON x.id = {_TARGET}
        WHERE {_SUCCESS} AND (x.id IS NULL OR x.status <> 'CONFIRMED')
        """,
}
"""Commands that change a thing which is there: its id is in the outcome's body."""

_EFFECTS = (
    ("orders", (PlaceOrder.TYPE,), 200, 300),
    ("order_details", (PlaceOrder.TYPE, AddItems.TYPE), 200, 300),
    ("events", (CreateEvent.TYPE,), 200, 300),
    ("ticket_types", (CreateTicketType.TYPE,), 200, 300),
    ("payments", (CreateQuote.TYPE,), 200, 300),
    # Late money leaves a receipt under a refusal.
    ("payment_receipts", (ConfirmPayment.TYPE,), 200, 500),
)
"""(table of effects, the commands that make them, the status of their outcomes: from, below)."""


def _without_outcome(
    options: AuditOptions, table: str, commands: tuple[str, ...], statuses: tuple[int, int]
) -> Check:
    """Effects whose outcome is missing or says otherwise.

    Outcomes are forgotten oldest first, and never before their time: younger effects must have theirs.
    """
    types = ", ".join(f"'{command}'" for command in commands)
    sql = f"""
        SELECT '{table}' AS effect, HEX(x.command_id) AS command, x.created_at AS at, c.type,
               c.status_code AS statusCode
        FROM {table} x LEFT JOIN command_outcomes c ON c.id = x.command_id
        WHERE c.id IS NULL AND (
                x.created_at > UTC_TIMESTAMP(6) - INTERVAL %s SECOND
                OR x.created_at >= (SELECT MIN(decided_at) FROM command_outcomes))
           OR c.type NOT IN ({types})
           OR c.status_code NOT BETWEEN %s AND %s
        """
    least, below = statuses
    return Check("an effect without its outcome", sql, (options.retention, least, below - 1))
