"""What really travels: a tap on every exchange, and the AsyncAPI document as the judge of each message.

In: a topology and a document. Out: the messages that passed; `Undocumented` for one that is not described.
"""

import contextlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aio_pika
import orjson
from aio_pika.abc import AbstractIncomingMessage
from jsonschema import Draft7Validator, FormatChecker
from jsonschema.exceptions import best_match

from contracts.messaging.topology import BROADCAST_EXCHANGE, Topology


class Undocumented(AssertionError):
    """A message that the document does not describe; the text says why not."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A message as it passed an exchange."""

    exchange: str
    key: str
    content_type: str
    headers: Mapping[str, Any]
    body: bytes

    @property
    def types(self) -> list[str]:
        """The types of the CloudEvents inside."""
        parsed = orjson.loads(self.body)
        return [one["type"] for one in (parsed if isinstance(parsed, list) else [parsed])]


class Judge:
    """Looks a message up in an AsyncAPI document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def judge(self, passed: Passed) -> str:
        """The name of the message that this is. Raises Undocumented."""
        channels = [c for c in self._document["channels"].values() if self._carries(c, passed)]
        if not channels:
            raise Undocumented(f"no channel {passed.exchange}/{passed.key}")
        reasons: list[str] = []
        for reference in (name for channel in channels for name in channel["messages"]):
            message = self._document["components"]["messages"][reference]
            if message["contentType"] != passed.content_type and reference not in (
                "DeadLetter",
                "Retried",
            ):
                continue
            reason = self.why_not(message, passed)
            if reason is None:
                return str(reference)
            reasons.append(f"{reference}: {reason}")
        raise Undocumented(
            f"{passed.exchange}/{passed.key} {passed.content_type}: {'; '.join(reasons) or 'no message'}"
        )

    def why_not(self, message: Mapping[str, Any], passed: Passed) -> str | None:
        """Why a message is not the described one, None when it is."""
        try:
            value: Any = orjson.loads(passed.body)
        except orjson.JSONDecodeError:
            value = passed.body.decode(errors="replace")
        if found := self.fault(message["payload"], value):
            return found
        return self.fault(message.get("headers", {}), dict(passed.headers))

    def fault(self, schema: Mapping[str, Any], value: Any) -> str | None:
        """What is wrong with a value under a schema of the document, None when nothing is."""
        whole = {**schema, "components": self._document["components"]}
        if "$ref" in schema:
            whole = {"allOf": [dict(schema)], "components": self._document["components"]}
        error = best_match(
            Draft7Validator(whole, format_checker=FormatChecker()).iter_errors(value)
        )
        return f"{list(error.absolute_path)}: {error.message[:200]}" if error else None

    @staticmethod
    def _carries(channel: Mapping[str, Any], passed: Passed) -> bool:
        bound = channel.get("bindings", {}).get("amqp", {}).get("exchange", {}).get("name")
        if bound != passed.exchange:
            return False
        # A queue's name has dots, a shard's number or a provider's name has none.
        parameters = {"queue": r".+"}
        pattern = re.sub(
            r"\\\{(\w+)\\\}",
            lambda found: parameters.get(found.group(1), r"[^.]+"),
            re.escape(channel["address"]),
        )
        return re.fullmatch(pattern, passed.key) is not None


@dataclass(slots=True)
class Tap:
    """Everything that has passed since the tap was opened."""

    passed: list[Passed] = field(default_factory=list)

    @property
    def types(self) -> set[str]:
        """The types of all CloudEvents that passed."""
        return {
            type_ for one in self.passed if "cloudevents" in one.content_type for type_ in one.types
        }

    async def take(self, message: AbstractIncomingMessage) -> None:
        """Write a message down."""
        self.passed.append(
            Passed(
                message.exchange or "",
                message.routing_key or "",
                message.content_type or "",
                dict(message.headers),
                message.body,
            )
        )


@contextlib.asynccontextmanager
async def tapping(amqp_url: str, everything: Topology) -> AsyncIterator[Tap]:
    """A queue of one's own, bound to every exchange under every key that reaches somebody."""
    connection = await aio_pika.connect(amqp_url)
    try:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True, auto_delete=True)
        for exchange, key in _keys(everything):
            await queue.bind(exchange, key)
        tap = Tap()
        await queue.consume(tap.take, no_ack=True)
        yield tap
    finally:
        await connection.close()


def _keys(everything: Topology) -> Sequence[tuple[str, str]]:
    keys = {(binding.exchange, binding.key) for binding in everything.bindings}
    keys |= {
        (one.name, "#")
        for one in everything.exchanges
        if one.kind == "topic" or one.name == BROADCAST_EXCHANGE
    }
    return sorted(keys)
