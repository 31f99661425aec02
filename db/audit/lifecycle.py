"""Rules 5 and 6: orders move along the table of moves; a quiet system has nothing under way."""

from contracts.orders import ORDER_MOVES, OrderStatus
from contracts.runtime.times import to_sql
from db.audit.rule import AuditOptions, Check, Rule


def history(_: AuditOptions) -> Rule:
    """Rule 5: orders move along the table, and give back once."""
    legal = " OR ".join(
        f"(h.before_ = '{before}' AND h.status IN ({', '.join(map(repr, sorted(after)))}))"
        for before, after in _legal_steps().items()
    )
    return Rule(
        5,
        "Every order's history is a path of legal moves; an expired or cancelled order gave its stock back once, "
        "or owes it; no paid order's event is cancelled.",
        (
            Check(
                "an illegal move",
                f"""
                SELECT h.order_id AS orderId, h.version, h.before_ AS moved, h.status AS became
                FROM (
                    SELECT order_id, version, status,
                           COALESCE(LAG(status) OVER (PARTITION BY order_id ORDER BY version),
                                    'PENDING_PAYMENT') AS before_
                    FROM order_history
                ) h
                WHERE NOT ({legal})
                """,
            ),
            *_HISTORY,
        ),
    )


def _legal_steps() -> dict[str, set[str]]:
    """Moves of the table, and an unpaid order that stays one (items added, deadline moved)."""
    steps = {
        str(before): {str(after) for after in moves}
        for before, moves in ORDER_MOVES.items()
        if moves
    }
    steps[str(OrderStatus.PENDING_PAYMENT)].add(str(OrderStatus.PENDING_PAYMENT))
    return steps


_HISTORY = (
    Check(
        "the history does not lead to the order",
        """
        SELECT o.id AS orderId, o.status, o.version, h.steps, h.first, h.last, z.status AS lastStatus
        FROM orders o
        LEFT JOIN (
            SELECT order_id, COUNT(*) AS steps, MIN(version) AS first, MAX(version) AS last
            FROM order_history GROUP BY order_id
        ) h ON h.order_id = o.id
        LEFT JOIN order_history z ON z.order_id = o.id AND z.version = o.version
        WHERE COALESCE(h.steps, 0) <> o.version - 1 OR COALESCE(h.first, 2) <> 2
           OR COALESCE(h.last, 1) <> o.version OR COALESCE(z.status, 'PENDING_PAYMENT') <> o.status
        """,
    ),
    Check(
        "an order's lines came back in parts, or while it lives",
        """
        SELECT o.id AS orderId, o.status, COUNT(*) AS details, COUNT(d.returned_version) AS returned
        FROM orders o JOIN order_details d ON d.order_id = o.id
        GROUP BY o.id, o.status
        HAVING COUNT(d.returned_version) > 0
           AND (o.status IN ('PENDING_PAYMENT', 'CONFIRMED') OR COUNT(d.returned_version) <> COUNT(*))
        """,
    ),
    Check(
        "an ended order holds tickets that nothing will bring back",
        """
        SELECT o.id AS orderId, o.status, COUNT(*) AS details
        FROM order_details d JOIN orders o ON o.id = d.order_id
        LEFT JOIN pending_returns p ON p.order_id = o.id
        WHERE d.returned_version IS NULL AND o.status IN ('CANCELLED', 'EXPIRED') AND p.order_id IS NULL
        GROUP BY o.id, o.status
        """,
    ),
    Check(
        "an order owes tickets that it may keep, or that are back",
        """
        SELECT p.order_id AS orderId, o.status, p.ended_at AS endedAt
        FROM pending_returns p JOIN orders o ON o.id = p.order_id
        LEFT JOIN order_details d ON d.order_id = p.order_id AND d.returned_version IS NULL
        WHERE d.id IS NULL OR o.status NOT IN ('CANCELLED', 'EXPIRED')
        """,
    ),
    Check(
        "a cancelled event has a paid order",
        """
        SELECT e.id AS eventId, o.id AS orderId
        FROM events e JOIN orders o ON o.event_id = e.id AND o.status = 'CONFIRMED'
        WHERE e.status = 'CANCELLED'
        """,
    ),
    Check(
        "an order expired before its time",
        """
        SELECT o.id AS orderId, o.expires_at AS expiresAt, h.created_at AS expiredAt
        FROM orders o JOIN order_history h ON h.order_id = o.id AND h.status = 'EXPIRED'
        WHERE h.created_at < o.expires_at
        """,
    ),
)


def quiet_now(options: AuditOptions) -> Rule:
    """Rule 6: nothing is under way."""
    marks = ", ".join(["%s"] * len(options.expected_dead))
    return Rule(
        6,
        "Quiet: the outbox is empty, nothing is releasing, no unpaid order is past its deadline "
        "or of a cancelled event, no dead letters but the expected.",
        (
            Check(
                "an event waits for the broker",
                "SELECT id, aggregate, routing_key AS routingKey FROM outbox",
            ),
            Check(
                "tickets have not come back",
                """
                SELECT o.id AS orderId, o.status, d.id AS detail, d.quantity
                FROM order_details d JOIN orders o ON o.id = d.order_id
                WHERE d.returned_version IS NULL AND o.status IN ('CANCELLED', 'EXPIRED')
                """,
            ),
            Check(
                "an unpaid order is past its deadline",
                """
                SELECT id AS orderId, expires_at AS expiresAt FROM orders
                WHERE status = 'PENDING_PAYMENT' AND expires_at <= %s
                """,
                (to_sql(options.at),),
            ),
            Check(
                "a cancelled event has an unpaid order",
                """
                SELECT e.id AS eventId, o.id AS orderId
                FROM events e JOIN orders o ON o.event_id = e.id AND o.status = 'PENDING_PAYMENT'
                WHERE e.status = 'CANCELLED'
                """,
            ),
            Check(
                "a dead letter waits for a person",
                f"SELECT id AS letter, queue, reason FROM dead_letters WHERE status = 'DEAD' AND id NOT IN ({marks})",
                options.expected_dead,
            ),
        ),
    )
