"""Who hears what: signed, once, in the contract's form, by those who may."""

import json

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from contracts.events import (
    EventCancelled,
    EventChanged,
    OrderCancelled,
    PaymentLate,
    QuoteCreated,
    StockChanged,
)
from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.resources import a_payment, an_event
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.integration.notify.conftest import (
    EventPublisher,
    confirmed,
    delivery_rows,
    envelope_of,
    hook,
    placed,
)
from tests.integration.notify.receiver import Receiver

pytestmark = pytest.mark.usefixtures("notify")


async def test_an_order_reaches_its_buyer_signed(
    system: System, database: Database, receiver: Receiver, event_publisher: EventPublisher
) -> None:
    """The body is `{type, timestamp, data, sequence}`, data the order; id and signature are Standard Webhooks'."""
    buyer = await person(database)
    made = await hook(system, buyer, receiver, "/buyer")
    event = placed(buyer)
    envelope = await event_publisher.tell_order(event)
    (call,) = await receiver.heard("/buyer")
    assert call.verified_by(made.secret) == {
        "type": "order.placed",
        "timestamp": "2026-05-01T12:00:00.000005Z",
        "data": event.order,
        "sequence": 1,
    }
    assert call.id == envelope.id
    assert call.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        call.verified_by("whsec_" + "A" * 43 + "=")


async def test_each_hears_only_what_they_may(
    system: System, database: Database, receiver: Receiver, event_publisher: EventPublisher
) -> None:
    """Buyer, organizer and admin hear of an order; another buyer, organizer or a former admin does not."""
    buyer, organizer = await person(database), await person(database, "ORGANIZER")
    admin, former = await person(database, "ADMIN"), await person(database, "ADMIN")
    stranger, rival = await person(database), await person(database, "ORGANIZER")
    accounts = {"buyer": buyer, "organizer": organizer, "admin": admin}
    others = {"stranger": stranger, "rival": rival, "former": former}
    for name, who in {**accounts, **others}.items():
        await hook(system, who, receiver, f"/{name}")
    await database.write("DELETE FROM user_roles WHERE user_id = %s", former.id)
    first = await event_publisher.tell_order(placed(buyer, organizer))
    for name in accounts:
        await receiver.heard_of(f"/{name}", first.id)
    # What the others hear next is their own: nothing came before it.
    for name, who in others.items():
        own = await event_publisher.tell_order(placed(who))
        assert [call.id for call in await receiver.heard(f"/{name}")] == [own.id]


async def test_events_of_payments_reach_their_owners(
    system: System, database: Database, receiver: Receiver, event_publisher: EventPublisher
) -> None:
    """A payment reaches buyer and organizer, an event its organizer; quotes and stock reach nobody."""
    buyer, organizer = await person(database), await person(database, "ORGANIZER")
    await hook(system, buyer, receiver, "/buyer")
    await hook(system, organizer, receiver, "/organizer")
    payment = a_payment(id=5, orderId=9, status="LATE")
    about = {"payment": payment, "user_id": buyer.id, "event_id": 3, "organizer_id": organizer.id}
    await event_publisher.tell(QuoteCreated(**about), "payment:5", 1)
    stock = {"ticket_type_id": 8, "event_id": 3, "version": 2, "quota": 10, "available": 9}
    await event_publisher.tell(StockChanged(**stock), "ticket_type:8", 2)
    await event_publisher.tell(PaymentLate(**about, tx_hash="0x" + "a" * 64), "payment:5", 2)
    concert = an_event(id=3, status="CANCELLED")
    await event_publisher.tell(
        EventCancelled(event=concert, organizer_id=organizer.id), "event:3", 2
    )
    late = payment | {"receipt": "0x" + "a" * 64}
    (call,) = await receiver.heard("/buyer")
    assert (call.body["type"], call.body["data"]) == ("payment.late", late)
    calls = await receiver.heard("/organizer", 2)
    told = {call.body["type"]: call.body["data"] for call in calls}
    assert told == {"payment.late": late, "event.cancelled": concert}


async def test_an_event_that_changed_reaches_who_holds_its_tickets(
    system: System, database: Database, receiver: Receiver, event_publisher: EventPublisher
) -> None:
    """Whoever holds one now; not who gave it back, unless the event is off; nobody else."""
    organizer = await person(database, "ORGANIZER")
    names = ("holder", "refunded", "elsewhere")
    people = {name: await person(database) for name in names}
    for name, who in people.items():
        await hook(system, who, receiver, f"/{name}")
    event_id = 700_001
    for number, (name, status) in enumerate(zip(names, ("VALID", "VOID", "VALID"), strict=True), 1):
        await database.write(
            "INSERT INTO tickets (order_id, order_detail_id, number, event_id, ticket_type_id, holder_id, status, "
            "version, issued_at, updated_at) "
            "VALUES (1, 700001, %s, %s, 1, %s, %s, 1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))",
            number,
            event_id if name != "elsewhere" else event_id + 1,
            people[name].id,
            status,
        )
    concert = an_event(id=event_id)
    about = {"event": concert, "organizer_id": organizer.id}
    changed = await event_publisher.tell(EventChanged(**about), f"event:{event_id}", 2)
    off = await event_publisher.tell(EventCancelled(**about), f"event:{event_id}", 3)
    calls = await receiver.heard("/holder", 2)
    assert [(call.id, call.body["data"]) for call in calls] == [
        (changed.id, concert),
        (off.id, concert),
    ]
    assert [call.id for call in await receiver.heard("/refunded")] == [off.id]
    own = await event_publisher.tell_order(placed(people["elsewhere"]))
    assert [call.id for call in await receiver.heard("/elsewhere")] == [own.id]
    # They belong to no order: the audit would say so.
    await database.write("DELETE FROM tickets WHERE order_detail_id = 700001")


async def test_a_webhook_hears_the_types_it_asked_for(
    system: System, database: Database, receiver: Receiver, event_publisher: EventPublisher
) -> None:
    """Other types make no delivery."""
    buyer = await person(database)
    await hook(system, buyer, receiver, "/paid", "order.confirmed", "order.expired")
    first = placed(buyer)
    await event_publisher.tell_order(first)
    await event_publisher.tell_order(confirmed(first, buyer))
    (call,) = await receiver.heard("/paid")
    assert call.body["type"] == "order.confirmed"


async def test_an_event_seen_twice_is_one_delivery(
    system: System, database: Database, receiver: Receiver, event_publisher: EventPublisher
) -> None:
    """Delivery from the broker is at least once; the receiver hears it once, and the next event after it."""
    buyer = await person(database)
    made = await hook(system, buyer, receiver, "/once")
    event = placed(buyer)
    envelope = envelope_of(event, f"order:{event.order['id']}", 1)
    for _ in range(3):
        await event_publisher.publish(envelope, event)
    after = await event_publisher.tell_order(confirmed(event, buyer))
    assert [call.id for call in await receiver.heard("/once", 2)] == [envelope.id, after.id]
    assert len(await delivery_rows(database, made)) == 2


async def test_no_account_of_ours_hears_after_it_was_disabled(
    system: System, database: Database, receiver: Receiver, event_publisher: EventPublisher
) -> None:
    """A disabled account's webhooks are silent."""
    buyer, admin = await person(database), await person(database, "ADMIN")
    made = await hook(system, buyer, receiver, "/disabled")
    await hook(system, admin, receiver, "/admin")
    await database.write("UPDATE users SET status = 'DISABLED' WHERE id = %s", buyer.id)
    told = await event_publisher.tell_order(placed(buyer))
    await receiver.heard_of("/admin", told.id)
    assert await delivery_rows(database, made) == []


async def test_a_state_change_is_one_log_line_with_its_ids(
    database: Database, event_publisher: EventPublisher, capsys: pytest.CaptureFixture[str]
) -> None:
    """Order, request, command and correlation ids tie the line to the request that led to it."""
    buyer = await person(database)
    before = placed(buyer)
    event = OrderCancelled(order=before.order, organizer_id=buyer.id, reason="buyer")
    envelope = await event_publisher.tell_order(event)
    printed: list[str] = []

    async def look() -> list[dict[str, object]]:
        printed.extend(capsys.readouterr().out.splitlines())
        return [json.loads(one) for one in printed if f'"event_id":"{envelope.id}"' in one]

    (line,) = await eventually(look)
    assert line["event"] == "order.cancelled"
    assert line["order_id"] == before.order["id"]
    assert line["user_id"] == buyer.id
    assert line["request_id"] == line["correlation_id"] == "request-of-the-test"
    assert line["command_id"] == envelope.causationid
    assert line["level"] == "info"
