-- Limits per person: tickets of a type per account, and what an account holds of an event, found by one index.
ALTER TABLE ticket_types
    ADD COLUMN max_per_user INT NULL,
    ADD CONSTRAINT ck_ticket_types_person CHECK (max_per_user IS NULL OR max_per_user >= 1);

ALTER TABLE orders
    ADD KEY ix_orders_person (user_id, event_id, status, expires_at);
