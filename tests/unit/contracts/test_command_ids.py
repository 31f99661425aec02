"""A command id says what it carries to its own caller, and nothing to anybody else."""

import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from contracts.command_ids import IDEMPOTENCY_PURPOSE, STREAM_LIFE, CommandId, CommandIds
from contracts.commands import COMMANDS, KINDS, type_of_kind
from contracts.messaging.signing import derived_keys

IDS = CommandIds("a secret of at least thirty-two bytes")
AT = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize("kind", [0, 1, 255])
def test_what_was_sealed_opens_again(kind: int) -> None:
    """UUID, time to the microsecond and kind survive the way through the client."""
    command = CommandId(IDS.fresh(), AT, kind)
    text = IDS.seal(command, 7)
    assert len(text) == 54
    assert IDS.open(text, 7) == command


def test_nobody_else_can_open_it_and_no_bit_of_it_can_be_changed() -> None:
    """Another caller, another deployment and every changed character see nothing."""
    text = IDS.seal(CommandId(IDS.fresh(), AT, 1), 7)
    assert IDS.open(text, 8) is None
    assert CommandIds("another secret of thirty-two bytes!").open(text, 7) is None
    for position in range(len(text)):
        other = "A" if text[position] != "A" else "B"
        assert IDS.open(text[:position] + other + text[position + 1 :], 7) is None


@pytest.mark.parametrize("text", ["", "x", "é" * 54, "A" * 54, "A" * 5000, "====", "a b"])
def test_what_is_no_id_opens_to_nothing(text: str) -> None:
    """Whatever stands in the path: None, never an exception."""
    assert IDS.open(text, 7) is None


def test_a_keyed_uuid_depends_on_caller_key_and_attempt_alone() -> None:
    """Every gateway derives the same one, and no two of them meet."""
    assert IDS.keyed(7, "k", 1) == CommandIds("a secret of at least thirty-two bytes").keyed(
        7, "k", 1
    )
    others = {
        IDS.keyed(7, "k", 1),
        IDS.keyed(7, "k", 2),
        IDS.keyed(8, "k", 1),
        IDS.keyed(7, "l", 1),
    }
    assert len(others) == 4


def test_kinds_are_numbered_for_good() -> None:
    """Ids outlive a release: a type's number never changes, new ones come at the end."""
    assert list(KINDS.values()) == list(range(1, len(COMMANDS) + 1))
    assert KINDS["eventhub.order.place.v1"] == 1
    assert KINDS["eventhub.rate.accept.v1"] == 13
    assert type_of_kind(1) == "eventhub.order.place.v1"
    assert type_of_kind(200) == "unknown"


def test_an_id_looks_the_same_to_every_release() -> None:
    """Gateways of two releases stand side by side during an update: each opens what the other sealed."""
    sealed = IDS.seal(CommandId(bytes(range(16)), AT.replace(minute=30), 3), 7)
    assert sealed == "AAECAwQFBgcICQoLDA0ODwMGUMC9TKRAtA1q-xENcnITYo9KcHVEkA"


def test_fresh_uuids_grow_with_time() -> None:
    """Version 7, variant of RFC 9562, never the same twice; a later moment's sorts behind."""
    made = [uuid.UUID(bytes=IDS.fresh()) for _ in range(100)]
    assert {one.version for one in made} == {7}
    assert {one.variant for one in made} == {uuid.RFC_4122}
    assert len(set(made)) == 100
    moments = [one.int >> 80 for one in made]
    assert moments == sorted(moments)
    assert abs(moments[0] / 1000 - time.time()) < 60


def test_a_stream_token_opens_one_stream_for_some_minutes() -> None:
    """It says who was given it; read twice within a minute it is the same; after five to six it opens nothing."""
    token = IDS.seal_stream("a-command", 7, AT)
    assert IDS.seal_stream("a-command", 7, AT + timedelta(seconds=59)) == token
    listener = IDS.open_stream("a-command", token, AT + STREAM_LIFE)
    assert listener is not None
    assert listener.user_id == 7
    assert AT - timedelta(minutes=1) < listener.since <= AT
    assert IDS.open_stream("a-command", token, AT + STREAM_LIFE + timedelta(minutes=1)) is None
    assert IDS.open_stream("another-command", token, AT) is None
    assert (
        CommandIds("another secret of thirty-two bytes!").open_stream("a-command", token, AT)
        is None
    )
    for position in range(len(token)):
        other = "A" if token[position] != "A" else "B"
        forged = token[:position] + other + token[position + 1 :]
        assert IDS.open_stream("a-command", forged, AT) is None
    for text in ("", "x", "é" * 38, "A" * 38, "====", "A" * 5000):
        assert IDS.open_stream("a-command", text, AT) is None


def test_ids_and_keys_survive_a_rotation_of_the_secret() -> None:
    """Old ids and streams open while the old secret is named; a keyed request's UUID is the same in every step."""
    old, new = "a secret of at least thirty-two bytes", "another secret of thirty-two bytes!"
    key = derived_keys(old, IDEMPOTENCY_PURPOSE)[0]
    before, both = CommandIds(old), CommandIds(f"{new},{old}", key)
    after = CommandIds(new, key)
    command = CommandId(before.fresh(), AT)
    early, late = before.seal(command, 7), both.seal(command, 7)
    assert both.open(early, 7) == both.open(late, 7) == after.open(late, 7) == command
    assert after.open(early, 7) is None
    assert both.open(early, 8) is None
    assert before.keyed(7, "k", 1) == both.keyed(7, "k", 1) == after.keyed(7, "k", 1)
    stream = before.seal_stream(early, 7, AT)
    assert both.open_stream(early, stream, AT) is not None
    assert after.open_stream(early, stream, AT) is None
