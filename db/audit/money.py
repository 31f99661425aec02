"""Rule 4: paid is paid, once, and no money is forgotten."""

from db.audit.rule import AuditOptions, Check, Rule


def money(_: AuditOptions) -> Rule:
    """Rule 4: paid is paid, once, and no money is forgotten."""
    return Rule(
        4,
        "An order that costs something is CONFIRMED exactly when one of its payments is, with one APPLIED receipt and "
        "the exact amount; a free one has none; "
        "no txHash counts twice.",
        _MONEY,
    )


_MONEY = (
    Check(
        "order and payment do not agree",
        """
        SELECT o.id AS orderId, o.status, o.total_cost AS totalCost, COALESCE(p.confirmed, 0) AS confirmedPayments,
               p.priced
        FROM orders o
        LEFT JOIN (
            SELECT order_id, COUNT(*) AS confirmed, MAX(total_cost) AS priced
            FROM payments WHERE status = 'CONFIRMED' GROUP BY order_id
        ) p ON p.order_id = o.id
        WHERE (o.status = 'CONFIRMED' AND o.total_cost > 0) <> (COALESCE(p.confirmed, 0) = 1)
           OR p.confirmed > 1 OR p.priced <> o.total_cost
        """,
    ),
    Check(
        "a payment is not what its receipts say",
        """
        SELECT p.id AS payment, p.status, p.tx_hash AS txHash, r.applied, r.late, r.mine
        FROM payments p
        LEFT JOIN (
            SELECT x.payment_id, SUM(x.status = 'APPLIED') AS applied, SUM(x.status = 'LATE') AS late,
                   SUM(x.tx_hash = y.tx_hash) AS mine,
                   SUM(x.tx_hash = y.tx_hash AND x.status = 'APPLIED') AS mine_applied
            FROM payment_receipts x JOIN payments y ON y.id = x.payment_id GROUP BY x.payment_id
        ) r ON r.payment_id = p.id
        WHERE (p.status = 'CONFIRMED' AND (COALESCE(r.applied, 0) <> 1 OR COALESCE(r.mine_applied, 0) <> 1))
           OR (p.status <> 'CONFIRMED' AND r.applied > 0)
           OR (p.status = 'LATE' AND COALESCE(r.mine, 0) <> 1)
           OR (p.status IN ('PENDING', 'EXPIRED') AND (r.payment_id IS NOT NULL OR p.tx_hash IS NOT NULL))
        """,
    ),
    Check(
        "a receipt is for no payment",
        """
        SELECT r.payment_id AS payment, r.tx_hash AS txHash, r.status
        FROM payment_receipts r LEFT JOIN payments p ON p.id = r.payment_id WHERE p.id IS NULL
        """,
    ),
    Check(
        "a txHash counts twice",
        """
        SELECT LOWER(r.tx_hash) AS txHash, COUNT(*) AS receipts
        FROM payment_receipts r GROUP BY LOWER(r.tx_hash) HAVING COUNT(*) > 1
        """,
    ),
    Check(
        # amount >= total / rate, and one unit less (10^-18) would not be enough: rounded up, without dividing.
        "amountCrypto is not totalCost / quoteRate rounded up",
        """
        SELECT p.id AS payment, p.total_cost AS totalCost, p.quote_rate AS quoteRate, p.amount_crypto AS amountCrypto
        FROM payments p
        WHERE p.amount_crypto * p.quote_rate < p.total_cost
           OR (p.amount_crypto - 0.000000000000000001) * p.quote_rate >= p.total_cost
        """,
    ),
    Check(
        "totalCost is not the sum of the details",
        """
        SELECT o.id AS orderId, o.total_cost AS totalCost, s.cost
        FROM orders o
        LEFT JOIN (SELECT order_id, SUM(cost) AS cost FROM order_details GROUP BY order_id) s ON s.order_id = o.id
        WHERE s.cost IS NULL OR s.cost <> o.total_cost
        """,
    ),
)
