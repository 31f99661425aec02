-- The ticket itself and the door: tickets, the keys that sign their codes, gates, what gates scanned.
-- tickets and scans have no foreign keys on purpose: the shared lock that an insert takes on a parent would break the one
-- lock order (events, ticket_types, orders, payments, tickets). The audit's rule 7 checks what keys would.

CREATE TABLE tickets (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    -- The place: the number-th of the line's quantity.
    order_detail_id BIGINT NOT NULL,
    number INT NOT NULL,
    order_id BIGINT NOT NULL,
    event_id BIGINT NOT NULL,
    ticket_type_id BIGINT NOT NULL,
    holder_id BIGINT NOT NULL,
    holder_name VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NULL,
    -- Rises with each transfer: codes of lower versions are void.
    version BIGINT NOT NULL DEFAULT 1,
    status ENUM ('VALID', 'USED', 'VOID') CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT 'VALID',
    used_at DATETIME(6) NULL,
    issued_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    -- What a gate's bundle has to name: everything but a fresh ticket.
    changed_at DATETIME(6) GENERATED ALWAYS AS (CASE WHEN status <> 'VALID' OR version > 1 THEN updated_at END) STORED,
    UNIQUE KEY uq_tickets_place (order_detail_id, number),
    KEY ix_tickets_holder (holder_id, id),
    KEY ix_tickets_event (event_id, id),
    KEY ix_tickets_changed (event_id, changed_at),
    CONSTRAINT ck_tickets_number CHECK (number >= 1),
    CONSTRAINT ck_tickets_version CHECK (version >= 1),
    CONSTRAINT ck_tickets_used CHECK (status <> 'USED' OR used_at IS NOT NULL),
    CONSTRAINT ck_tickets_valid CHECK (status <> 'VALID' OR used_at IS NULL)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE ticket_keys (
    kid VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
    -- Which key in order; its key makes two who rotate at once agree.
    generation INT NOT NULL,
    public_key BINARY(32) NOT NULL,
    -- AES-256-GCM under a key derived from the master secret; empty once the key signs no more.
    private_key VARBINARY(128) NOT NULL,
    signs_from DATETIME(6) NOT NULL,
    -- When the next one began to sign.
    retired_at DATETIME(6) NULL,
    created_at DATETIME(6) NOT NULL,
    UNIQUE KEY uq_ticket_keys_generation (generation)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE gates (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    event_id BIGINT NOT NULL,
    name VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NOT NULL,
    -- SHA-256 of the token: the table lets nobody in.
    token_digest BINARY(32) NOT NULL,
    created_by BIGINT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    last_seen_at DATETIME(6) NULL,
    revoked_at DATETIME(6) NULL,
    KEY ix_gates_event (event_id, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE scans (
    event_id BIGINT NOT NULL,
    -- The device's own UUID: the same again is the same scan.
    id BINARY(16) NOT NULL,
    -- A fact that has happened, told later; a question otherwise.
    offline BOOLEAN NOT NULL,
    gate_id BIGINT NOT NULL,
    ticket_id BIGINT NULL,
    version BIGINT NULL,
    ruling ENUM ('ADMITTED', 'ALREADY_USED', 'VOID', 'WRONG_EVENT', 'UNKNOWN', 'CONFLICT', 'VOID_ADMITTED')
        CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    -- By the device's clock, and by the database's.
    scanned_at DATETIME(6) NOT NULL,
    received_at DATETIME(6) NOT NULL,
    admitted_ticket BIGINT GENERATED ALWAYS AS (CASE WHEN ruling = 'ADMITTED' THEN ticket_id END) STORED,
    PRIMARY KEY (event_id, id, offline),
    UNIQUE KEY uq_scans_admitted (admitted_ticket),
    KEY ix_scans_ruling (event_id, ruling, received_at),
    CONSTRAINT ck_scans_ticket CHECK ((ticket_id IS NULL) = (ruling = 'UNKNOWN'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- How far the tickets of orders confirmed before this migration have been issued. No row: there were none.
CREATE TABLE ticket_backfill (
    id TINYINT NOT NULL PRIMARY KEY,
    -- Orders up to this id have been looked at in this pass.
    done_to BIGINT NOT NULL DEFAULT 0,
    issued_in_pass BIGINT NOT NULL DEFAULT 0,
    pass_began_at DATETIME(6) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    finished_at DATETIME(6) NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO ticket_backfill (id, pass_began_at, created_at)
SELECT 1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) FROM orders WHERE status = 'CONFIRMED' LIMIT 1;
