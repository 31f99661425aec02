-- Events that are not public yet, whose sale rests, or that name their time zone.
-- `concealed`: shown to nobody but its organizer and admins. A draft is; one that was cancelled as a draft stays so.
ALTER TABLE events
    MODIFY COLUMN status ENUM ('PUBLISHED', 'CANCELLED', 'DRAFT') CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL
        DEFAULT 'PUBLISHED',
    ADD COLUMN timezone VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT 'UTC',
    ADD COLUMN sales_paused TINYINT(1) NOT NULL DEFAULT 0,
    ADD COLUMN refund_until DATETIME(6) NULL,
    ADD COLUMN concealed TINYINT(1) NOT NULL DEFAULT 0,
    ADD CONSTRAINT ck_events_draft CHECK (status <> 'DRAFT' OR concealed = 1);

-- What was bought, by name, as it was called when it was ordered.
ALTER TABLE orders
    ADD COLUMN event_name VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NOT NULL DEFAULT '';
ALTER TABLE order_details
    ADD COLUMN ticket_type_name VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NOT NULL DEFAULT '';

-- Orders of before know no other names than today's.
UPDATE orders o JOIN events e ON e.id = o.event_id SET o.event_name = e.name;
UPDATE order_details d JOIN ticket_types t ON t.id = d.ticket_type_id SET d.ticket_type_name = t.name;
