-- Webhooks: who wants to hear what, what is on its way to them, how each attempt went.
-- Deliveries have no foreign key to their endpoint on purpose: an insert would lock the endpoint's row in share mode while
-- the sender updates it (failures, pauses), and the two would deadlock.

CREATE TABLE webhook_endpoints (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id BIGINT NOT NULL,
    url VARCHAR(2048) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- A JSON array of webhook types, or of "*" alone.
    event_types TEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- AES-256-GCM under a key derived from the master secret; empty once deleted.
    secret VARBINARY(128) NOT NULL,
    previous_secret VARBINARY(128) NULL,
    previous_until DATETIME(6) NULL,
    status ENUM ('ACTIVE', 'DISABLED', 'DELETED') NOT NULL DEFAULT 'ACTIVE',
    disabled_reason ENUM ('GONE', 'FAILING') NULL,
    -- Attempts that failed since the last one that succeeded.
    failures INT NOT NULL DEFAULT 0,
    paused_until DATETIME(6) NULL,
    last_success_at DATETIME(6) NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    KEY ix_webhook_endpoints_user (user_id, status, id),
    KEY ix_webhook_endpoints_status (status, updated_at),
    CONSTRAINT fk_webhook_endpoints_user FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT ck_webhook_endpoints_failures CHECK (failures >= 0),
    CONSTRAINT ck_webhook_endpoints_reason CHECK (status = 'DELETED' OR (status = 'DISABLED') = (disabled_reason IS NOT NULL)),
    CONSTRAINT ck_webhook_endpoints_previous CHECK ((previous_secret IS NULL) = (previous_until IS NULL))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- One event on its way to one endpoint: an event seen twice is still one delivery.
CREATE TABLE webhook_deliveries (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    endpoint_id BIGINT NOT NULL,
    event_id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    event_type VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    aggregate VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    sequence BIGINT NOT NULL,
    -- Exactly the bytes that are signed and sent.
    body MEDIUMTEXT NOT NULL,
    status ENUM ('PENDING', 'DELIVERED', 'FAILED') NOT NULL DEFAULT 'PENDING',
    -- False once somebody asked for it again: it then goes out alone and holds nothing up.
    ordered BOOLEAN NOT NULL DEFAULT TRUE,
    attempts INT NOT NULL DEFAULT 0,
    -- Attempts of the present round; a resend begins a new one.
    tries INT NOT NULL DEFAULT 0,
    first_try_at DATETIME(6) NULL,
    next_attempt_at DATETIME(6) NULL,
    status_code SMALLINT NULL,
    error VARCHAR(255) NULL,
    delivered_at DATETIME(6) NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    UNIQUE KEY uq_webhook_deliveries_event (endpoint_id, event_id),
    KEY ix_webhook_deliveries_due (status, endpoint_id, next_attempt_at),
    KEY ix_webhook_deliveries_order (endpoint_id, status, aggregate),
    KEY ix_webhook_deliveries_age (status, updated_at),
    KEY ix_webhook_deliveries_log (endpoint_id, id),
    CONSTRAINT ck_webhook_deliveries_next CHECK ((status = 'PENDING') = (next_attempt_at IS NOT NULL)),
    CONSTRAINT ck_webhook_deliveries_delivered CHECK (status <> 'DELIVERED' OR delivered_at IS NOT NULL)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE webhook_attempts (
    delivery_id BIGINT NOT NULL,
    number INT NOT NULL,
    started_at DATETIME(6) NOT NULL,
    duration_ms INT NOT NULL,
    status_code SMALLINT NULL,
    error VARCHAR(255) NULL,
    PRIMARY KEY (delivery_id, number)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;
