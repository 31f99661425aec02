"""The AsyncAPI document: valid, complete, its examples true; the page shows all of it."""

from collections.abc import Iterator
from html import escape
from typing import Any

import orjson
import pytest
from asyncapi3 import AsyncAPI3
from pydantic import ValidationError

from contracts.commands import COMMANDS
from contracts.events import EVENTS
from contracts.messaging.envelope import (
    BATCH,
    SINGLE,
    Codec,
    envelope_from_json,
)
from contracts.messaging.topology import topology
from contracts.webhooks.messages import WEBHOOK_TYPES
from gateway.documents.asyncapi import (
    build,
    document,
    page,
    topic_matches,
)
from tests.harness.wire import Judge, Passed, Undocumented

SHARDS = 4
DOCUMENT = orjson.loads(document(SHARDS))
EVERYTHING = topology(SHARDS, 100)
EXAMPLES = [
    (name, example)
    for name, message in DOCUMENT["components"]["messages"].items()
    for example in message.get("examples", [])
]


def references(value: Any) -> Iterator[str]:
    """Every `$ref` in a document."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref" and isinstance(inner, str):
                yield inner
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_it_is_a_valid_asyncapi_3_document() -> None:
    """The specification's object model takes it, and would not take it broken."""
    AsyncAPI3.model_validate(DOCUMENT)
    with pytest.raises(ValidationError):
        AsyncAPI3.model_validate({**DOCUMENT, "operations": {"a": {"action": "shout"}}})
    with pytest.raises(ValidationError):
        AsyncAPI3.model_validate({**DOCUMENT, "chanels": {}})


def test_every_reference_leads_somewhere_and_stands_alone() -> None:
    """Draft 07 ignores what stands beside a `$ref`."""
    for reference in references(DOCUMENT):
        target: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
        assert target
    text = orjson.dumps(DOCUMENT).decode()
    assert text.count('{"$ref":') == text.count('"$ref":') == len(list(references(DOCUMENT)))


def test_every_exchange_queue_and_message_of_the_contracts_stands_in_it() -> None:
    """What the topology declares is a channel; each command, event and webhook type is a message of one."""
    bindings = [c["bindings"]["amqp"] for c in DOCUMENT["channels"].values() if "bindings" in c]
    exchanges = {b["exchange"]["name"] for b in bindings if "exchange" in b}
    assert exchanges == {exchange.name for exchange in EVERYTHING.exchanges}
    templates = {b["queue"]["name"] for b in bindings if "queue" in b}
    shards = {f".{n}" for n in range(SHARDS)}
    for queue in EVERYTHING.queues:
        name = queue.name
        for shard in shards:
            if name.startswith("inventory"):
                name = name.replace(shard, ".{shard}")
        assert name in templates
    said = {name for channel in DOCUMENT["channels"].values() for name in channel["messages"]}
    assert {m.__name__ for m in (*COMMANDS.values(), *EVENTS.values())} <= said
    assert {
        f"webhook-{n.replace('.', '-').replace('_', '-')}" for n in WEBHOOK_TYPES.values()
    } <= said
    assert set(DOCUMENT["components"]["messages"]) == said


def test_every_channel_is_sent_to_or_received_from() -> None:
    """A channel without an operation would be a dead end; only the ladder's queues are nobody's."""
    used = {operation["channel"]["$ref"] for operation in DOCUMENT["operations"].values()}
    for name in DOCUMENT["channels"]:
        assert (f"#/channels/{name}" in used) != name.startswith("queue-retry-")


def test_a_queue_receives_what_its_bindings_let_in() -> None:
    """Computed from the topology: notify hears every event, payment what ends a quote, a shard its returns."""
    channels = DOCUMENT["channels"]
    singles = {n for n in channels["queue-notify"]["messages"] if not n.endswith("Batch")}
    assert singles == {model.__name__ for model in EVENTS.values()}
    payment = {n for n in channels["queue-payment-events"]["messages"] if not n.endswith("Batch")}
    assert payment == {"OrderItemsAdded", "OrderCancelled", "OrderExpired"}
    returns = {
        n for n in channels["queue-inventory-shard-returns"]["messages"] if not n.endswith("Batch")
    }
    assert returns == {"OrderCancelled", "OrderExpired"}
    fewer = build(topology(1, 100))
    assert set(fewer["channels"]) == set(channels)


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("#", "a.b.c", True),
        ("#", "", True),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("a.#", "a", True),
        ("a.#", "a.b.c", True),
        ("#.c", "c", True),
        ("#.c", "a.b.c", True),
        ("a.b", "axb", False),
        ("rates.#", "rates.acme.BTC", True),
    ],
)
def test_topics_match_as_the_broker_matches_them(pattern: str, key: str, matches: bool) -> None:
    """`*` is one word, `#` any number of words."""
    assert topic_matches(pattern, key) == matches


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_an_example_is_what_its_message_says(name: str, example: dict[str, Any]) -> None:
    """Payload and headers fit; what is an envelope can be opened, and its data is the model's."""
    message = DOCUMENT["components"]["messages"][name]
    judge = Judge(DOCUMENT)
    assert judge.fault(message["payload"], example["payload"]) is None
    assert judge.fault(message.get("headers", {}), example.get("headers", {})) is None
    if name in {m.__name__ for m in (*COMMANDS.values(), *EVENTS.values())}:
        envelope = envelope_from_json(example["payload"])
        model = {**COMMANDS, **EVENTS}[envelope.type]
        assert model.model_validate(envelope.data)


def test_each_message_with_a_payload_of_its_own_has_an_example() -> None:
    """Only what is passed on as it came has none."""
    without = {n for n, m in DOCUMENT["components"]["messages"].items() if not m.get("examples")}
    assert without == {"Retried", "DeadLetter"}


def test_the_judge_refuses_what_is_not_described() -> None:
    """The control of the tap's test: another member, type, key, exchange or content type is found out."""
    judge = Judge(DOCUMENT)
    example = next(e for n, e in EXAMPLES if n == "OrderPlaced")["payload"]
    envelope = envelope_from_json(example)
    body = Codec("a master secret for tests only, long enough").encode(envelope)
    good = Passed("eventhub.events", "order.placed", SINGLE, {}, body)
    assert judge.judge(good) == "OrderPlaced"
    both = Passed(good.exchange, good.key, BATCH, {}, b"[" + body + b"," + body + b"]")
    assert judge.judge(both) == "OrderPlacedBatch"
    more = orjson.loads(body)
    more["data"]["order"]["colour"] = "red"
    other = orjson.loads(body) | {"type": "eventhub.order.placed.v2"}
    for bad in (
        Passed(good.exchange, good.key, good.content_type, {}, orjson.dumps(more)),
        Passed(good.exchange, good.key, good.content_type, {}, orjson.dumps(other)),
        Passed(good.exchange, "order.lost", good.content_type, {}, body),
        Passed("eventhub.commands", good.key, good.content_type, {}, body),
        Passed(good.exchange, good.key, "application/json", {}, body),
    ):
        with pytest.raises(Undocumented):
            judge.judge(bad)


def test_the_page_shows_everything_and_asks_nobody() -> None:
    """Each channel, operation and message is on it; no script, no picture, no address but our own."""
    html, policy = page(SHARDS)
    for name, channel in DOCUMENT["channels"].items():
        assert f'id="channel-{name}"' in html
        assert escape(channel["description"]) in html
    for name in DOCUMENT["components"]["messages"]:
        assert f'id="message-{name}"' in html
    for operation in DOCUMENT["operations"].values():
        assert escape(operation["summary"]) in html
    for forbidden in ("<script", "<img", "<link", 'href="http', 'src="', "url("):
        assert forbidden not in html
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
