-- A webhook hears nothing before it has answered a ping: PENDING until then. Those that are there have been heard from
-- and stay as they are. OWNER: its owner switched it off.
ALTER TABLE webhook_endpoints
    MODIFY COLUMN status ENUM ('PENDING', 'ACTIVE', 'DISABLED', 'DELETED')
        CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT 'PENDING',
    MODIFY COLUMN disabled_reason ENUM ('GONE', 'FAILING', 'OWNER') CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    -- When the receiver at the present URL last agreed; null: it has to be asked (again).
    ADD COLUMN verified_at DATETIME(6) NULL AFTER disabled_reason;

UPDATE webhook_endpoints SET verified_at = UTC_TIMESTAMP(6)
WHERE status = 'ACTIVE' OR (status = 'DISABLED' AND disabled_reason = 'FAILING');

-- Secrets that were replaced and still sign, however many. previous_secret and previous_until of webhook_endpoints are
-- empty from here on; they stay for processes of the release before.
CREATE TABLE webhook_old_secrets (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    endpoint_id BIGINT NOT NULL,
    -- Sealed as webhook_endpoints.secret is.
    secret VARBINARY(128) NOT NULL,
    valid_until DATETIME(6) NOT NULL,
    KEY ix_webhook_old_secrets_endpoint (endpoint_id, valid_until),
    KEY ix_webhook_old_secrets_age (valid_until)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO webhook_old_secrets (endpoint_id, secret, valid_until)
SELECT id, previous_secret, previous_until FROM webhook_endpoints
WHERE status <> 'DELETED' AND previous_until > UTC_TIMESTAMP(6);

UPDATE webhook_endpoints SET previous_secret = NULL, previous_until = NULL WHERE previous_secret IS NOT NULL;

-- Pings that somebody caused in the last hour: a receiver that has agreed to nothing is asked a few times, not thousands.
CREATE TABLE webhook_pings (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id BIGINT NOT NULL,
    endpoint_id BIGINT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    KEY ix_webhook_pings_user (user_id, created_at),
    KEY ix_webhook_pings_age (created_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
