"""Which kind of process may do what to which table: the whole of its database account's rights.

In: nothing, this is data. Out: `RIGHTS`, read by `db.privileges.grants`, which makes the accounts.
Must stay true: a process can do what it owns (docs/architecture.md) and read what it needs, and nothing else: no
process can change tables, accounts or another's rows. Whoever adds a table gives it to somebody here, or no process
can use it; `tests/integration/rights` tries the rest.

Letters: S select, I insert, U update, D delete. `ON DUPLICATE KEY UPDATE` asks for U although it may change nothing.
"""

from collections.abc import Mapping

COLUMNS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("order", "users"): ("id", "status"),
    ("quote", "users"): ("id", "status", "email"),
    ("notify", "users"): ("id", "status"),
}
"""(kind, table) whose S is for these columns alone: password hashes are the gateway's."""

MIGRATION = "migration"
"""The account that changes the schema: everything on the database's tables, and nothing beside it."""

_DECIDES = {"command_outcomes": "SI", "outbox": "SI", "leases": "SIUD"}
"""What every process that decides commands or reacts to events needs."""
_ALL = {"flyway_schema_history": "S"}
"""The schema's version: who is newer or older does not start."""

_UNPAID_ORDER = {"events": "I", "orders": "I", "order_details": "I"}
MADE_UP: Mapping[str, Mapping[str, str]] = {
    "order": _UNPAID_ORDER | {"tickets": "I"},
    "admission": _UNPAID_ORDER | {"tickets": "I", "gates": "I"},
    "payment": _UNPAID_ORDER | {"rates": "I"},
}
"""What a self-test makes up and takes back (`workers/runtime/made_up.py`): an order that the worker's real statements
can end or price. Nothing else of theirs inserts such rows, and none may change or delete them by this."""

_OWN: Mapping[str, Mapping[str, str]] = {
    "gateway": _ALL
    | {
        "users": "SIU",
        "roles": "S",
        "user_roles": "SID",
        "login_decoys": "SU",
        "refresh_families": "SIU",
        "refresh_tokens": "SIU",
        "events": "S",
        "event_terms": "S",
        "ticket_types": "S",
        "orders": "S",
        "order_details": "S",
        "payments": "S",
        "payment_receipts": "S",
        "rates": "SD",
        "rate_spans": "SD",
        "rate_quarantine": "S",
        "providers": "S",
        "provider_reports": "S",
        "account_networks": "SIU",
        "audit_log": "SI",
        "audit_log_addresses": "SI",
        "derived_keys": "SI",
        "tickets": "S",
        "ticket_keys": "SIU",
        "gates": "SIU",
        "scans": "S",
        "command_outcomes": "SI",
        "webhook_endpoints": "SIU",
        "webhook_old_secrets": "SIUD",
        "webhook_pings": "SI",
        "webhook_deliveries": "SIU",
        "webhook_attempts": "S",
    },
    "inventory": _ALL
    | _DECIDES
    | {
        "events": "SIU",
        "event_terms": "SID",
        "ticket_types": "SIU",
        "stock_ledger": "SI",
        "orders": "SIU",
        "order_details": "SIU",
        "order_history": "SI",
        "pending_returns": "SID",
        "tickets": "SI",
        "audit_log": "I",
    },
    "order": _ALL
    | _DECIDES
    | {
        "events": "S",
        "ticket_types": "S",
        "orders": "SU",
        "order_details": "S",
        "order_history": "SI",
        "pending_returns": "SI",
        "tickets": "SU",
        "users": "S",
    },
    "payment": _ALL
    | _DECIDES
    | {
        "events": "S",
        "ticket_types": "S",
        "orders": "SU",
        "order_details": "S",
        "order_history": "SI",
        "payments": "SIU",
        "payment_receipts": "SI",
        "rates": "S",
        "tickets": "SI",
        "ticket_backfill": "SU",
    },
    "admission": _ALL
    | _DECIDES
    | {
        "events": "S",
        "orders": "S",
        "order_details": "S",
        "tickets": "SU",
        "ticket_keys": "SIUD",
        "gates": "S",
        "scans": "SI",
    },
    "quote": _ALL
    | _DECIDES
    | {
        "users": "S",
        "roles": "S",
        "user_roles": "S",
        "providers": "S",
        "rates": "SIU",
        "rate_spans": "SIUD",
        "rate_quarantine": "SIUD",
        "provider_messages": "SIUD",
        "provider_reports": "SIUD",
        "audit_log": "I",
    },
    "notify": _ALL
    | {
        "leases": "SIUD",
        "tickets": "S",
        "users": "S",
        "roles": "S",
        "user_roles": "S",
        "webhook_endpoints": "SU",
        "webhook_old_secrets": "S",
        "webhook_deliveries": "SIUD",
        "webhook_attempts": "SIUD",
    },
    "relay": _ALL
    | {
        "leases": "SIUD",
        "outbox": "SD",
        "dead_letters": "SIUD",
        "command_outcomes": "SID",
        "rates": "SD",
        "account_networks": "SD",
        "audit_log_addresses": "SD",
        "refresh_families": "SD",
        "refresh_tokens": "SD",
        "webhook_endpoints": "SD",
        "webhook_old_secrets": "SD",
        "webhook_pings": "SD",
        "webhook_deliveries": "S",
    },
}

KINDS = tuple(_OWN)
"""Every kind of process: the gateway and the workers."""

RIGHTS: Mapping[str, Mapping[str, str]] = {
    kind: {
        table: "".join(dict.fromkeys(own.get(table, "") + MADE_UP.get(kind, {}).get(table, "")))
        for table in (*own, *(table for table in MADE_UP.get(kind, {}) if table not in own))
    }
    for kind, own in _OWN.items()
}
