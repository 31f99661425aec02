-- The data model of a sale: accounts, catalogue, orders, money, and the road's memory (outcomes, outbox, dead letters).
-- Portable between MySQL 8.4+/9 and MariaDB 10.11+. Times are naive UTC. Foreign keys point only at rows that the
-- inserting transaction has locked already (or, for users, that no transaction locks together with others).

CREATE TABLE roles (
    id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
    role_name VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    UNIQUE KEY uq_roles_name (role_name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

INSERT INTO roles (id, role_name) VALUES (1, 'ADMIN'), (2, 'ORGANIZER'), (3, 'USER'), (4, 'PROVIDER');

CREATE TABLE users (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    email VARCHAR(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    password_hash VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    status ENUM ('ACTIVE', 'DISABLED') NOT NULL DEFAULT 'ACTIVE',
    failed_login_count INT NOT NULL DEFAULT 0,
    locked_until DATETIME(6) NULL,
    -- When status or roles last changed: tokens issued before are looked at again.
    access_changed_at DATETIME(6) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    UNIQUE KEY uq_users_email (email),
    KEY ix_users_access_changed (access_changed_at),
    CONSTRAINT ck_users_failed CHECK (failed_login_count >= 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE user_roles (
    user_id BIGINT NOT NULL,
    role_id TINYINT UNSIGNED NOT NULL,
    created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    PRIMARY KEY (user_id, role_id),
    CONSTRAINT fk_user_roles_user FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT fk_user_roles_role FOREIGN KEY (role_id) REFERENCES roles (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE events (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    organizer_id BIGINT NOT NULL,
    name VARCHAR(200) NOT NULL,
    description TEXT NULL,
    venue VARCHAR(200) NULL,
    start_time DATETIME(6) NOT NULL,
    end_time DATETIME(6) NOT NULL,
    status ENUM ('PUBLISHED', 'CANCELLED') NOT NULL DEFAULT 'PUBLISHED',
    version BIGINT NOT NULL DEFAULT 1,
    command_id BINARY(16) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    UNIQUE KEY uq_events_command (command_id),
    KEY ix_events_listing (status, start_time, id),
    KEY ix_events_organizer (organizer_id, id),
    CONSTRAINT fk_events_organizer FOREIGN KEY (organizer_id) REFERENCES users (id),
    CONSTRAINT ck_events_times CHECK (start_time < end_time),
    CONSTRAINT ck_events_version CHECK (version >= 1)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE ticket_types (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    event_id BIGINT NOT NULL,
    name VARCHAR(200) NOT NULL,
    price DECIMAL(18, 2) NOT NULL,
    currency CHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    quota INT NOT NULL,
    available INT NOT NULL,
    max_per_order INT NOT NULL,
    sales_start DATETIME(6) NULL,
    sales_end DATETIME(6) NULL,
    -- Stock and description alike: every change is one step, and one row of stock_ledger.
    version BIGINT NOT NULL DEFAULT 1,
    deleted_at DATETIME(6) NULL,
    command_id BINARY(16) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    UNIQUE KEY uq_ticket_types_command (command_id),
    KEY ix_ticket_types_event (event_id, id),
    CONSTRAINT fk_ticket_types_event FOREIGN KEY (event_id) REFERENCES events (id),
    CONSTRAINT ck_ticket_types_price CHECK (price >= 0.01),
    CONSTRAINT ck_ticket_types_stock CHECK (available >= 0 AND available <= quota),
    CONSTRAINT ck_ticket_types_limit CHECK (max_per_order >= 1),
    CONSTRAINT ck_ticket_types_window CHECK (sales_start IS NULL OR sales_end IS NULL OR sales_start < sales_end),
    CONSTRAINT ck_ticket_types_version CHECK (version >= 1)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- One row per version step of a ticket type. delta moves `available`; quota_delta moves `quota` (QUOTA and CREATE steps).
CREATE TABLE stock_ledger (
    ticket_type_id BIGINT NOT NULL,
    version BIGINT NOT NULL,
    kind ENUM ('CREATE', 'TAKE', 'RETURN', 'QUOTA', 'EDIT') NOT NULL,
    delta INT NOT NULL,
    quota_delta INT NOT NULL DEFAULT 0,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (ticket_type_id, version),
    CONSTRAINT fk_stock_ledger_type FOREIGN KEY (ticket_type_id) REFERENCES ticket_types (id),
    CONSTRAINT ck_stock_ledger_sign CHECK (
        (kind = 'CREATE' AND version = 1 AND delta = quota_delta AND delta >= 0)
        OR (kind = 'TAKE' AND delta < 0 AND quota_delta = 0)
        OR (kind = 'RETURN' AND delta > 0 AND quota_delta = 0)
        OR (kind = 'QUOTA' AND delta = quota_delta AND delta <> 0)
        OR (kind = 'EDIT' AND delta = 0 AND quota_delta = 0)
    )
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE orders (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id BIGINT NOT NULL,
    event_id BIGINT NOT NULL,
    status ENUM ('PENDING_PAYMENT', 'CONFIRMED', 'CANCELLED', 'EXPIRED') NOT NULL DEFAULT 'PENDING_PAYMENT',
    total_cost DECIMAL(18, 2) NOT NULL,
    currency CHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    command_id BINARY(16) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    UNIQUE KEY uq_orders_command (command_id),
    KEY ix_orders_user (user_id, id),
    KEY ix_orders_event (event_id, status, expires_at),
    KEY ix_orders_expiry (status, expires_at),
    CONSTRAINT fk_orders_user FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT fk_orders_event FOREIGN KEY (event_id) REFERENCES events (id),
    CONSTRAINT ck_orders_total CHECK (total_cost >= 0.01),
    CONSTRAINT ck_orders_version CHECK (version >= 1),
    CONSTRAINT ck_orders_expiry CHECK (expires_at > created_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- One row per item of a command, never changed but for returned_version. Clients see them summed per type and price.
CREATE TABLE order_details (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    order_id BIGINT NOT NULL,
    ticket_type_id BIGINT NOT NULL,
    quantity INT NOT NULL,
    unit_price DECIMAL(18, 2) NOT NULL,
    cost DECIMAL(18, 2) NOT NULL,
    -- The version step of the ticket type that took these tickets, and the one that gave them back.
    taken_version BIGINT NOT NULL,
    returned_version BIGINT NULL,
    command_id BINARY(16) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    UNIQUE KEY uq_order_details_item (order_id, command_id, ticket_type_id),
    KEY ix_order_details_type (ticket_type_id, taken_version),
    KEY ix_order_details_returned (ticket_type_id, returned_version),
    CONSTRAINT fk_order_details_order FOREIGN KEY (order_id) REFERENCES orders (id),
    CONSTRAINT fk_order_details_type FOREIGN KEY (ticket_type_id) REFERENCES ticket_types (id),
    CONSTRAINT ck_order_details_quantity CHECK (quantity >= 1),
    CONSTRAINT ck_order_details_cost CHECK (cost = unit_price * quantity),
    CONSTRAINT ck_order_details_returned CHECK (returned_version IS NULL OR returned_version > taken_version)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- Every change of an order after its first row (version 1, PENDING_PAYMENT).
CREATE TABLE order_history (
    order_id BIGINT NOT NULL,
    version BIGINT NOT NULL,
    status ENUM ('PENDING_PAYMENT', 'CONFIRMED', 'CANCELLED', 'EXPIRED') NOT NULL,
    reason VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (order_id, version),
    CONSTRAINT fk_order_history_order FOREIGN KEY (order_id) REFERENCES orders (id),
    CONSTRAINT ck_order_history_version CHECK (version >= 2)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE payments (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    order_id BIGINT NOT NULL,
    asset VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    quote_rate DECIMAL(18, 8) NOT NULL,
    amount_crypto DECIMAL(38, 18) NOT NULL,
    -- What the quote priced: it pays for exactly this and nothing else.
    total_cost DECIMAL(18, 2) NOT NULL,
    tx_hash CHAR(66) CHARACTER SET ascii COLLATE ascii_bin NULL,
    status ENUM ('PENDING', 'CONFIRMED', 'EXPIRED', 'LATE') NOT NULL DEFAULT 'PENDING',
    expires_at DATETIME(6) NOT NULL,
    rate_source VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    rate_observed_at DATETIME(6) NOT NULL,
    command_id BINARY(16) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    -- No partial unique indexes here: these are null unless the row counts.
    confirmed_order BIGINT GENERATED ALWAYS AS (CASE WHEN status = 'CONFIRMED' THEN order_id END) STORED,
    pending_order BIGINT GENERATED ALWAYS AS (CASE WHEN status = 'PENDING' THEN order_id END) STORED,
    UNIQUE KEY uq_payments_command (command_id),
    UNIQUE KEY uq_payments_confirmed (confirmed_order),
    UNIQUE KEY uq_payments_pending (pending_order, asset),
    KEY ix_payments_order (order_id, id),
    CONSTRAINT fk_payments_order FOREIGN KEY (order_id) REFERENCES orders (id),
    CONSTRAINT ck_payments_amounts CHECK (quote_rate > 0 AND amount_crypto > 0 AND total_cost >= 0.01),
    CONSTRAINT ck_payments_hash CHECK (status <> 'CONFIRMED' OR tx_hash IS NOT NULL),
    CONSTRAINT ck_payments_expiry CHECK (expires_at > created_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- Every well-formed transaction hash that a payment's owner showed. tx_hash is lower case.
CREATE TABLE payment_receipts (
    tx_hash CHAR(66) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    payment_id BIGINT NOT NULL,
    status ENUM ('APPLIED', 'LATE') NOT NULL,
    command_id BINARY(16) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    applied_payment BIGINT GENERATED ALWAYS AS (CASE WHEN status = 'APPLIED' THEN payment_id END) STORED,
    UNIQUE KEY uq_receipts_applied (applied_payment),
    KEY ix_receipts_payment (payment_id),
    CONSTRAINT fk_receipts_payment FOREIGN KEY (payment_id) REFERENCES payments (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE command_outcomes (
    id BINARY(16) NOT NULL PRIMARY KEY,
    user_id BIGINT NOT NULL,
    type VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    fingerprint CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    status_code SMALLINT NOT NULL,
    code VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL,
    location VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL,
    request_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    body MEDIUMTEXT NOT NULL,
    accepted_at DATETIME(6) NOT NULL,
    decided_at DATETIME(6) NOT NULL,
    KEY ix_outcomes_decided (decided_at),
    CONSTRAINT ck_outcomes_code CHECK ((code IS NULL) = (status_code < 300))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- Events not yet confirmed by the broker. The relay deletes what it has published: a quiet outbox is an empty table.
CREATE TABLE outbox (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    stream TINYINT UNSIGNED NOT NULL,
    aggregate VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    routing_key VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    body MEDIUMTEXT NOT NULL,
    created_at DATETIME(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE dead_letters (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    -- SHA-256 over origin and body: the same message written twice is one row.
    digest BINARY(32) NOT NULL,
    queue VARCHAR(128) NOT NULL,
    reason TEXT NOT NULL,
    exchange_name VARCHAR(128) NOT NULL DEFAULT '',
    routing_key VARCHAR(255) NOT NULL DEFAULT '',
    content_type VARCHAR(128) NULL,
    message_id VARCHAR(255) NULL,
    message_type VARCHAR(128) NULL,
    correlation_id VARCHAR(128) NULL,
    headers JSON NOT NULL,
    body LONGBLOB NOT NULL,
    seen INT NOT NULL DEFAULT 1,
    status ENUM ('DEAD', 'REDRIVEN', 'DROPPED') NOT NULL DEFAULT 'DEAD',
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    UNIQUE KEY uq_dead_letters_digest (digest),
    KEY ix_dead_letters_status (status, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- Who may do what alone for a while: inventory shards, outbox streams, single jobs; and who is present (kind 'presence').
CREATE TABLE leases (
    kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    holder VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    incarnation CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    PRIMARY KEY (kind, name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;
