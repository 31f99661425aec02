-- Who locks whom out, whose sessions have ended, who changed what, and keys that outlive the master secret.

-- Sessions: a family of refresh tokens is one sign-in on one device. The number stands in its access tokens (`sid`).
ALTER TABLE refresh_families
    ADD COLUMN session_id BIGINT NOT NULL AUTO_INCREMENT,
    ADD COLUMN address VARCHAR(45) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    ADD COLUMN user_agent VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NULL,
    -- Null: not since this column is there.
    ADD COLUMN last_used_at DATETIME(6) NULL,
    ADD UNIQUE KEY uq_refresh_families_session (session_id),
    -- Gateways ask every two seconds which sessions have ended.
    ADD KEY ix_refresh_families_revoked (revoked_at);

-- What a network (IPv4 /24, IPv6 /48) has done at an account: wrong passwords, and whether it ever signed in.
-- No foreign key: the rows of accounts below zero are written for failures that count for nobody, so that these take as long.
CREATE TABLE account_networks (
    user_id BIGINT NOT NULL,
    network VARCHAR(43) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    failures INT NOT NULL DEFAULT 0,
    locked_until DATETIME(6) NULL,
    signed_in_at DATETIME(6) NULL,
    updated_at DATETIME(6) NOT NULL,
    PRIMARY KEY (user_id, network),
    KEY ix_account_networks_age (signed_in_at, updated_at),
    CONSTRAINT ck_account_networks_failures CHECK (failures >= 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;

-- For the admins' search: an address is found however it is spelt (case, accents, width).
ALTER TABLE users
    ADD COLUMN email_folded VARCHAR(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci
        GENERATED ALWAYS AS (email) STORED,
    ADD KEY ix_users_email_folded (email_folded, id);

-- Who changed what, in the transaction that changed it. Rows are inserted and read, never changed or deleted; what is
-- forgotten (a network address is a person's datum) stands beside them.
CREATE TABLE audit_log (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at DATETIME(6) NOT NULL,
    -- Null: an operator, by a command on the machine.
    actor_id BIGINT NULL,
    action VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    subject VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    -- JSON, or null where there was (or is) nothing.
    value_before TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NULL,
    value_after TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NULL,
    request_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    KEY ix_audit_log_at (at),
    KEY ix_audit_log_actor (actor_id, id),
    KEY ix_audit_log_subject (subject, id),
    KEY ix_audit_log_action (action, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;

CREATE TABLE audit_log_addresses (
    entry_id BIGINT NOT NULL PRIMARY KEY,
    address VARCHAR(45) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    at DATETIME(6) NOT NULL,
    KEY ix_audit_log_addresses_at (at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;

-- Keys that must stay the same when the master secret is rotated, derived from the one that was there first.
CREATE TABLE derived_keys (
    purpose VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
    derived BINARY(32) NOT NULL,
    created_at DATETIME(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
