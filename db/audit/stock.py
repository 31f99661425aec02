"""Rules 1 and 2: the tickets add up, and the ledger explains every step."""

from db.audit.rule import AuditOptions, Check, Rule


def balance(_: AuditOptions) -> Rule:
    """Rule 1: no ticket is sold twice and none is lost."""
    return Rule(
        1,
        "Every ticket type: quota = available + held + sold + releasing, none below zero.",
        (
            Check(
                "the tickets do not add up",
                """
                SELECT t.id AS ticketType, t.quota, t.available, COALESCE(s.held, 0) AS held,
                       COALESCE(s.sold, 0) AS sold, COALESCE(s.releasing, 0) AS releasing
                FROM ticket_types t
                LEFT JOIN (
                    SELECT d.ticket_type_id,
                           SUM(IF(o.status = 'PENDING_PAYMENT', d.quantity, 0)) AS held,
                           SUM(IF(o.status = 'CONFIRMED', d.quantity, 0)) AS sold,
                           SUM(IF(o.status IN ('CANCELLED', 'EXPIRED') AND d.returned_version IS NULL,
                                  d.quantity, 0)) AS releasing
                    FROM order_details d JOIN orders o ON o.id = d.order_id
                    GROUP BY d.ticket_type_id
                ) s ON s.ticket_type_id = t.id
                WHERE t.quota <> t.available + COALESCE(s.held, 0) + COALESCE(s.sold, 0) + COALESCE(s.releasing, 0)
                   OR t.available < 0 OR t.quota < 0
                """,
            ),
        ),
    )


def replay(_: AuditOptions) -> Rule:
    """Rule 2: the ledger explains every step of the stock."""
    return Rule(
        2,
        "The ledger replayed equals the ticket type at every version without a gap; each step equals its details.",
        _REPLAY,
    )


def _step_differs(kind: str, column: str, amount: str) -> str:
    return f"""
        SELECT l.ticket_type_id AS ticketType, l.version, l.delta, s.moved
        FROM stock_ledger l
        LEFT JOIN (
            SELECT d.ticket_type_id, d.{column} AS version, SUM({amount}) AS moved
            FROM order_details d WHERE d.{column} IS NOT NULL GROUP BY d.ticket_type_id, d.{column}
        ) s ON s.ticket_type_id = l.ticket_type_id AND s.version = l.version
        WHERE l.kind = '{kind}' AND (s.moved IS NULL OR s.moved <> l.delta)
        """


def _step_of_another_kind(kind: str, column: str) -> str:
    return f"""
        SELECT d.id AS detail, d.ticket_type_id AS ticketType, l.version, l.kind
        FROM order_details d
        JOIN stock_ledger l ON l.ticket_type_id = d.ticket_type_id AND l.version = d.{column}
        WHERE l.kind <> '{kind}'
        """


_REPLAY = (
    Check(
        "the ledger does not lead to the row",
        """
        SELECT t.id AS ticketType, t.version, t.quota, t.available, l.steps, l.first, l.last,
               l.quota AS ledgerQuota, l.available AS ledgerAvailable
        FROM ticket_types t
        LEFT JOIN (
            SELECT ticket_type_id, COUNT(*) AS steps, MIN(version) AS first, MAX(version) AS last,
                   SUM(quota_delta) AS quota, SUM(delta) AS available
            FROM stock_ledger GROUP BY ticket_type_id
        ) l ON l.ticket_type_id = t.id
        WHERE l.steps IS NULL OR l.first <> 1 OR l.last <> t.version OR l.steps <> t.version
           OR l.quota <> t.quota OR l.available <> t.available
        """,
    ),
    Check(
        "a version had a stock that cannot be",
        """
        SELECT r.ticket_type_id AS ticketType, r.version, r.quota, r.available
        FROM (
            SELECT ticket_type_id, version,
                   SUM(quota_delta) OVER (PARTITION BY ticket_type_id ORDER BY version) AS quota,
                   SUM(delta) OVER (PARTITION BY ticket_type_id ORDER BY version) AS available
            FROM stock_ledger
        ) r
        WHERE r.available < 0 OR r.available > r.quota
        """,
    ),
    Check(
        "a taking step is not its details",
        _step_differs("TAKE", "taken_version", "-d.quantity"),
    ),
    Check(
        "a returning step is not its details",
        _step_differs("RETURN", "returned_version", "d.quantity"),
    ),
    Check(
        "a detail was taken at a step of another kind",
        _step_of_another_kind("TAKE", "taken_version"),
    ),
    Check(
        "a detail came back at a step of another kind",
        _step_of_another_kind("RETURN", "returned_version"),
    ),
    Check(
        "a detail came back at a step that never was",
        """
        SELECT d.id AS detail, d.ticket_type_id AS ticketType, d.returned_version AS version
        FROM order_details d
        LEFT JOIN stock_ledger l ON l.ticket_type_id = d.ticket_type_id AND l.version = d.returned_version
        WHERE d.returned_version IS NOT NULL AND l.version IS NULL
        """,
    ),
)
