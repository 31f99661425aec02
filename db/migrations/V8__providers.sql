-- What a provider may do to a price, to our memory and to us: spans, reports, bounds.

-- When an admin last accepted a report of this source: what was before it binds no later report.
ALTER TABLE rates ADD COLUMN accepted_at DATETIME(6) NULL AFTER received_at;

-- What rates since replaced were, minute by minute: a source that reports alone is held against ten of these minutes.
CREATE TABLE rate_spans (
    asset VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    currency CHAR(3) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    source VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    minute DATETIME NOT NULL,
    lowest DECIMAL(18, 8) NOT NULL,
    highest DECIMAL(18, 8) NOT NULL,
    PRIMARY KEY (asset, currency, source, minute),
    KEY ix_rate_spans_minute (minute),
    KEY ix_rate_spans_source (source),
    CONSTRAINT ck_rate_spans_order CHECK (lowest > 0 AND lowest <= highest)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The assets that the operator gave a provider, with commas between; NULL: those that another source quotes.
ALTER TABLE providers ADD COLUMN assets VARCHAR(1000) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL AFTER user_id;

-- SHA-256 of the body: the same message id with another body is another report, and is told so.
ALTER TABLE provider_messages ADD COLUMN content BINARY(32) NULL AFTER digest;

-- What became of the reports of each provider, the newest of them. Texts as they came, cut: they may be anything.
CREATE TABLE provider_reports (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    source VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    via ENUM ('HTTP', 'BROKER') CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    status ENUM ('ACCEPTED', 'QUARANTINED', 'UNREADABLE') CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    asset VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NOT NULL,
    currency VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NOT NULL,
    rate VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NOT NULL,
    observed_at VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NOT NULL,
    reason VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    detail VARCHAR(500) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NULL,
    message_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NULL,
    quarantine_id BIGINT NULL,
    received_at DATETIME(6) NOT NULL,
    KEY ix_provider_reports_source (source, id),
    KEY ix_provider_reports_status (source, status, id),
    KEY ix_provider_reports_quarantine (quarantine_id),
    KEY ix_provider_reports_received (received_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;

-- For the newest of one provider, of which so many are kept.
ALTER TABLE rate_quarantine ADD KEY ix_rate_quarantine_source (source, status, id);
ALTER TABLE dead_letters ADD KEY ix_dead_letters_origin (queue, routing_key);

-- Who is no provider any more has no rate any more.
DELETE FROM rates
WHERE source IN (
    SELECT CONVERT(CONCAT('provider:', p.name) USING utf8mb4) COLLATE utf8mb4_bin
    FROM providers p JOIN users u ON u.id = p.user_id
    WHERE p.removed_at IS NOT NULL
       OR u.status <> 'ACTIVE'
       OR NOT EXISTS (
           SELECT 1 FROM user_roles ur JOIN roles r ON r.id = ur.role_id
           WHERE ur.user_id = u.id AND r.role_name = 'PROVIDER'
       )
);
