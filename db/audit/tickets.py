"""Rule 7: each place of a confirmed order has its one ticket, and each ticket lets in once."""

from db.audit.rule import AuditOptions, Check, Rule

_RUNNING = "EXISTS (SELECT 1 FROM ticket_backfill b WHERE b.finished_at IS NULL)"
"""Orders confirmed before there were any may lack all of theirs until the back-fill has come to them."""


def tickets(_: AuditOptions) -> Rule:
    """Rule 7: tickets and what was scanned of them."""
    return Rule(
        7,
        "An order is CONFIRMED exactly when each of its places has one ticket that is not VOID; "
        "each ticket is ADMITTED at most once, and every later entry is a conflict.",
        (*_PLACES, *_SCANS),
        Check(
            "the back-fill",
            """
            SELECT CONCAT('the back-fill of tickets runs (orders up to ', b.done_to, ' are done in this pass): '
                          'confirmed orders without any ticket are not counted yet')
            FROM ticket_backfill b WHERE b.finished_at IS NULL
            """,
        ),
    )


_PLACES = (
    Check(
        "a confirmed order's places and its tickets differ",
        f"""
        SELECT o.id AS orderId, d.id AS detail, d.quantity, COALESCE(t.good, 0) AS tickets, COALESCE(t.last, 0) AS last
        FROM orders o JOIN order_details d ON d.order_id = o.id
        LEFT JOIN (
            SELECT order_detail_id, SUM(status <> 'VOID') AS good, COUNT(*) AS alltold, MAX(number) AS last
            FROM tickets GROUP BY order_detail_id
        ) t ON t.order_detail_id = d.id
        WHERE o.status = 'CONFIRMED'
          AND (COALESCE(t.good, 0) <> d.quantity OR t.alltold <> d.quantity OR t.last <> d.quantity)
          AND NOT (t.order_detail_id IS NULL AND {_RUNNING})
        """,
    ),
    Check(
        "an order that is not confirmed has a ticket that is not VOID",
        """
        SELECT t.id AS ticket, t.status, o.id AS orderId, o.status AS orderStatus
        FROM tickets t JOIN order_details d ON d.id = t.order_detail_id JOIN orders o ON o.id = d.order_id
        WHERE t.status <> 'VOID' AND o.status <> 'CONFIRMED'
        """,
    ),
    Check(
        "a ticket is not what its line says",
        """
        SELECT t.id AS ticket, t.order_detail_id AS detail, t.order_id AS orderId, t.event_id AS eventId,
               t.ticket_type_id AS ticketType
        FROM tickets t LEFT JOIN order_details d ON d.id = t.order_detail_id LEFT JOIN orders o ON o.id = d.order_id
        WHERE d.id IS NULL OR o.id IS NULL OR t.order_id <> d.order_id OR t.event_id <> o.event_id
           OR t.ticket_type_id <> d.ticket_type_id OR t.number > d.quantity
        """,
    ),
    Check(
        "a ticket has no holder",
        """
        SELECT t.id AS ticket, t.holder_id AS holder
        FROM tickets t LEFT JOIN users u ON u.id = t.holder_id WHERE u.id IS NULL
        """,
    ),
)
_SCANS = (
    Check(
        "a ticket was admitted several times",
        """
        SELECT s.ticket_id AS ticket, COUNT(*) AS admissions
        FROM scans s WHERE s.ruling = 'ADMITTED' GROUP BY s.ticket_id HAVING COUNT(*) > 1
        """,
    ),
    Check(
        "a ticket's status is not what was scanned",
        """
        SELECT t.id AS ticket, t.status, t.used_at AS usedAt, s.id AS scan
        FROM tickets t LEFT JOIN scans s ON s.admitted_ticket = t.id
        WHERE (t.used_at IS NOT NULL) <> (s.id IS NOT NULL) OR (t.status = 'USED' AND s.id IS NULL)
           OR (t.status = 'VALID' AND s.id IS NOT NULL) OR t.used_at <> s.scanned_at
        """,
    ),
    Check(
        "an admission is of no ticket, of another event's, or of a version that never was",
        """
        SELECT s.id AS scan, s.ticket_id AS ticket, s.event_id AS eventId, s.version
        FROM scans s LEFT JOIN tickets t ON t.id = s.ticket_id
        WHERE s.ruling IN ('ADMITTED', 'ALREADY_USED', 'VOID', 'CONFLICT', 'VOID_ADMITTED')
          AND (t.id IS NULL OR t.event_id <> s.event_id OR s.version NOT BETWEEN 1 AND t.version)
        """,
    ),
    Check(
        "an entry is neither an admission nor a conflict, or a question is a conflict",
        """
        SELECT s.id AS scan, s.ticket_id AS ticket, s.ruling, s.offline
        FROM scans s
        WHERE (s.offline AND s.ruling IN ('ALREADY_USED', 'VOID'))
           OR (NOT s.offline AND s.ruling IN ('CONFLICT', 'VOID_ADMITTED'))
        """,
    ),
    Check(
        "a second entry without a first",
        """
        SELECT s.id AS scan, s.ticket_id AS ticket, s.ruling
        FROM scans s LEFT JOIN scans f ON f.admitted_ticket = s.ticket_id
        WHERE s.ruling IN ('ALREADY_USED', 'CONFLICT') AND f.id IS NULL
        """,
    ),
    Check(
        "a scan is of a gate of another event",
        """
        SELECT s.id AS scan, s.gate_id AS gate, s.event_id AS eventId
        FROM scans s LEFT JOIN gates g ON g.id = s.gate_id
        WHERE g.id IS NULL OR g.event_id <> s.event_id
        """,
    ),
)
