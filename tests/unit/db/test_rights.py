"""Who writes what, by hand, held against the rights: a right too many in the data is seen here."""

import pytest

import workers
from contracts.messaging.rights import BROKER_RIGHTS
from db.privileges.rights import KINDS, MADE_UP, RIGHTS

WRITERS = {
    "users": {"gateway"},
    "user_roles": {"gateway"},
    "roles": set[str](),
    "events": {"inventory"},
    "event_terms": {"inventory"},
    "ticket_types": {"inventory"},
    "stock_ledger": {"inventory"},
    "order_details": {"inventory"},
    "orders": {"inventory", "order", "payment"},
    "order_history": {"inventory", "order", "payment"},
    "payments": {"payment"},
    "payment_receipts": {"payment"},
    "rates": {
        "quote",
        "relay",
        "gateway",
    },  # the gateway deletes those of who is no provider any more
    "tickets": {"inventory", "order", "payment", "admission"},
    "ticket_keys": {
        "gateway",
        "admission",
    },  # the gateway makes the first, and seals them anew while the master secret is rotated
    "gates": {"gateway"},
    "scans": {"admission"},
    "audit_log": {"gateway", "inventory", "quote"},
    "providers": set[str](),
    "webhook_endpoints": {"gateway", "notify", "relay"},
    "webhook_deliveries": {"gateway", "notify"},
    "flyway_schema_history": set[str](),
}
BOOKS = (
    "audit_log",
    "tickets",
    "scans",
    "orders",
    "order_details",
    "order_history",
    "stock_ledger",
    "payments",
    "payment_receipts",
)


def test_every_kind_of_process_has_its_rights() -> None:
    """At the database and at the broker: a worker without any could not even start."""
    kinds = {"gateway", *workers.KINDS}
    assert set(KINDS) == kinds
    assert set(BROKER_RIGHTS) == kinds


@pytest.mark.parametrize("table", WRITERS)
def test_only_its_owners_write_a_table(table: str) -> None:
    """As docs/architecture.md has it; made-up rows of self-tests apart, which are inserted and nothing else."""
    found = {kind for kind in KINDS if set(_own(kind, table)) & set("IUD")}
    assert found == WRITERS[table]


def _own(kind: str, table: str) -> set[str]:
    made_up = MADE_UP.get(kind, {}).get(table, "")
    assert made_up in ("", "I")
    return set(RIGHTS[kind].get(table, "")) - set(made_up)


@pytest.mark.parametrize("table", BOOKS)
def test_nobody_deletes_from_the_books(table: str) -> None:
    """Nor changes a step of the ledger, of an order's history, or a receipt."""
    for kind in KINDS:
        rights = RIGHTS[kind].get(table, "")
        assert "D" not in rights
        if table in ("stock_ledger", "order_history", "payment_receipts"):
            assert "U" not in rights


def test_passwords_and_sessions_are_read_by_the_gateway_alone() -> None:
    """Refresh tokens are nobody else's but the relay's, which forgets them."""
    readers = {kind for kind in KINDS if "refresh_tokens" in RIGHTS[kind]}
    assert readers == {"gateway", "relay"}
