-- Refresh tokens: one family per sign-in, one row per token ever given out in it. Only hashes are stored: who reads
-- this table can sign in as nobody.

CREATE TABLE refresh_families (
    id BINARY(16) NOT NULL PRIMARY KEY,
    user_id BIGINT NOT NULL,
    revoked_at DATETIME(6) NULL,
    -- The life of the newest token; behind it the family is forgotten.
    expires_at DATETIME(6) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    KEY ix_refresh_families_user (user_id),
    KEY ix_refresh_families_expiry (expires_at),
    CONSTRAINT fk_refresh_families_user FOREIGN KEY (user_id) REFERENCES users (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE refresh_tokens (
    -- SHA-256 of the token: 256 random bits need no slow hash.
    token_hash BINARY(32) NOT NULL PRIMARY KEY,
    family_id BINARY(16) NOT NULL,
    spent_at DATETIME(6) NULL,
    expires_at DATETIME(6) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    KEY ix_refresh_tokens_family (family_id),
    CONSTRAINT fk_refresh_tokens_family FOREIGN KEY (family_id) REFERENCES refresh_families (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- A failed sign-in to an account that does not exist, is locked or disabled writes here what a counted one writes to
-- `users`, so that both take the same time. Rows are spread so that nobody waits for another.
CREATE TABLE login_decoys (
    id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
    attempts BIGINT NOT NULL DEFAULT 0
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

INSERT INTO login_decoys (id) VALUES
(0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15);
