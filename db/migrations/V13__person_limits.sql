-- Limits per person: tickets of a type per account, and what an account holds of an event, found by one index.
ALTER TABLE ticket_types
    ADD COLUMN max_per_user INT NULL,
    ADD CONSTRAINT ck_ticket_types_person CHECK (max_per_user IS NULL OR max_per_user >= 1);

-- Free tickets: a type, a line and an order may cost nothing.
ALTER TABLE ticket_types
    DROP CONSTRAINT ck_ticket_types_price,
    ADD CONSTRAINT ck_ticket_types_price CHECK (price >= 0);

ALTER TABLE orders
    ADD KEY ix_orders_person (user_id, event_id, status, expires_at),
    DROP CONSTRAINT ck_orders_total,
    ADD CONSTRAINT ck_orders_total CHECK (total_cost >= 0),
    -- Rises with each addition of items: a free one changes no total, and yet its quotes must be made anew.
    ADD COLUMN items_version INT NOT NULL DEFAULT 1;

ALTER TABLE order_details ADD COLUMN items_version INT NOT NULL DEFAULT 1;

ALTER TABLE payments ADD COLUMN items_version INT NOT NULL DEFAULT 1;
