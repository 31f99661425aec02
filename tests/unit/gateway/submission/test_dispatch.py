"""Where a command goes, what it must keep its order in, and what makes two requests the same."""

import pytest

from contracts.catalogue import EventPatch
from contracts.commands import (
    AddItems,
    CancelOrder,
    Command,
    ConfirmPayment,
    CreateEvent,
    CreateQuote,
    OrderItem,
    PlaceOrder,
    PublishRate,
    UpdateEvent,
)
from contracts.models import Principal
from gateway.submission.dispatch import (
    fingerprint,
    partition_of,
    queue_of,
    valid_traceparent,
)

WHO = {"principal": Principal(user_id=1), "fingerprint": "f"}
ITEMS = (OrderItem(ticket_type_id=1, quantity=1),)
PLACE = PlaceOrder(**WHO, event_id=21, items=ITEMS)
ADD = AddItems(**WHO, event_id=21, order_id=4, items=ITEMS)
CREATE = CreateEvent(
    **WHO, name="x", start_time="2030-06-01T18:00:00Z", end_time="2030-06-01T23:00:00Z"
)
PAUSE = UpdateEvent(**WHO, event_id=21, patch=EventPatch.model_validate({"salesPaused": True}))
CANCEL = CancelOrder(**WHO, order_id=4)
QUOTE = CreateQuote(**WHO, order_id=4, asset="BTC")
CONFIRM = ConfirmPayment(**WHO, payment_id=8, tx_hash="0x" + "a" * 64)
RATE = PublishRate(**WHO, asset="BTC", currency="USD", rate="1", observed_at="a")


@pytest.mark.parametrize(
    ("command", "queue", "partition"),
    [
        (PLACE, "inventory.5", "event:21"),
        (ADD, "inventory.5", "order:4"),
        (CREATE, "catalogue", None),
        (PAUSE, "catalogue", "event:21"),
        (CANCEL, "order", "order:4"),
        (QUOTE, "payment", "order:4"),
        (CONFIRM, "payment", "payment:8"),
        (RATE, "quote", None),
    ],
)
def test_a_command_goes_to_its_owner_and_an_events_to_its_shard(
    command: Command, queue: str, partition: str | None
) -> None:
    """Shard = event id modulo the number of shards."""
    assert queue_of(command, 16) == queue
    assert partition_of(command) == partition


def test_the_fingerprint_is_over_method_path_and_meaning() -> None:
    """32 hex digits; the order of members does not count, everything else does."""
    base = fingerprint("POST", "/api/orders", {"a": 1, "b": [1, 2]})
    assert len(base) == 32
    assert int(base, 16) >= 0
    assert base == fingerprint("POST", "/api/orders", {"b": [1, 2], "a": 1})
    others = {
        fingerprint("PUT", "/api/orders", {"a": 1, "b": [1, 2]}),
        fingerprint("POST", "/api/orders/1", {"a": 1, "b": [1, 2]}),
        fingerprint("POST", "/api/orders", {"a": 1, "b": [2, 1]}),
        fingerprint("POST", "/api/orders", {"a": "1", "b": [1, 2]}),
        fingerprint("POST", "/api/orders", {"a": 1, "b": [1, 2], "c": None}),
    }
    assert base not in others
    assert len(others) == 5


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", False),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", False),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n", False),
        ("nonsense", False),
        (None, False),
    ],
)
def test_only_a_well_formed_traceparent_travels_on(given: str | None, kept: bool) -> None:
    """W3C Trace Context section 3.2: what is malformed starts no trace."""
    assert valid_traceparent(given) == (given if kept else None)
