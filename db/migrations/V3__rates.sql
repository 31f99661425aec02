-- What assets cost and who says so; what late money was told.

-- The code that a late hash was answered with: showing it again gives the same answer.
ALTER TABLE payment_receipts ADD COLUMN code VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL AFTER status;
ALTER TABLE payment_receipts ADD CONSTRAINT ck_receipts_code CHECK ((code IS NULL) = (status = 'APPLIED'));

-- For the sweep that shows pending quotes as EXPIRED when their time is over.
ALTER TABLE payments ADD KEY ix_payments_expiry (status, expires_at);

-- Who may report rates under which name. The account has the role PROVIDER, the broker user has the same name.
CREATE TABLE providers (
    name VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    user_id BIGINT NOT NULL,
    removed_at DATETIME(6) NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    UNIQUE KEY uq_providers_user (user_id),
    CONSTRAINT fk_providers_user FOREIGN KEY (user_id) REFERENCES users (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- The last good rate of each source. A row changes only to a later observation of the same source.
CREATE TABLE rates (
    asset VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    currency CHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    source VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    rate DECIMAL(18, 8) NOT NULL,
    observed_at DATETIME(6) NOT NULL,
    received_at DATETIME(6) NOT NULL,
    PRIMARY KEY (asset, currency, source),
    KEY ix_rates_source (source),
    CONSTRAINT ck_rates_rate CHECK (rate > 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- Reports that were put aside. asset, currency, rate and observed_at as they came: they may be anything.
CREATE TABLE rate_quarantine (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    source VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    asset VARCHAR(64) NULL,
    currency VARCHAR(64) NULL,
    rate VARCHAR(128) NULL,
    observed_at VARCHAR(64) NULL,
    reason VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    detail VARCHAR(500) NOT NULL,
    message_id VARCHAR(255) NULL,
    status ENUM ('QUARANTINED', 'ACCEPTED') NOT NULL DEFAULT 'QUARANTINED',
    accepted_by BIGINT NULL,
    received_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    KEY ix_rate_quarantine_received (received_at),
    CONSTRAINT ck_rate_quarantine_accepted CHECK ((accepted_by IS NULL) = (status = 'QUARANTINED'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- Messages of providers that were dealt with: a repeat is ignored. digest = SHA-256 over provider and message id.
CREATE TABLE provider_messages (
    digest BINARY(32) NOT NULL PRIMARY KEY,
    received_at DATETIME(6) NOT NULL,
    KEY ix_provider_messages_received (received_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;
