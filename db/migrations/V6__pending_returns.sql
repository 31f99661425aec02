-- Ended orders whose tickets are not back on sale yet. Written with the order's end, deleted with the return: what is
-- still here a while later has lost its event (a queue was deleted or purged) and is given back without it.
CREATE TABLE pending_returns (
    order_id BIGINT NOT NULL PRIMARY KEY,
    ended_at DATETIME(6) NOT NULL,
    KEY ix_pending_returns_ended (ended_at),
    CONSTRAINT fk_pending_returns_order FOREIGN KEY (order_id) REFERENCES orders (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

INSERT INTO pending_returns (order_id, ended_at)
SELECT DISTINCT o.id, o.updated_at
FROM order_details d JOIN orders o ON o.id = d.order_id
WHERE d.returned_version IS NULL AND o.status IN ('CANCELLED', 'EXPIRED');
