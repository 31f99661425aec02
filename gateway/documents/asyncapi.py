"""The whole AsyncAPI 3.0 document: what travels between EventHub's processes, to it and from it.

In: `contracts.messaging.topology` (exchanges, queues, bindings), `gateway.documents.asyncapi_messages`.
Out: the document as plain JSON values; `gateway.documents.asyncapi_served` serves it, and the part of it that is
everybody's.
Must stay true: each exchange and each queue of the topology is a channel here; which messages a queue receives is
computed from its bindings, never written down a second time.

Source: AsyncAPI Specification 3.0.0; AMQP bindings 0.3.0, HTTP bindings 0.3.0.
"""

import re
from collections.abc import Iterable
from typing import Any

from contracts.commands import COMMANDS
from contracts.events import BROADCAST_EVENTS, EVENTS
from contracts.messaging.topology import (
    AGAIN_EXCHANGE,
    BROADCAST_EXCHANGE,
    CATALOGUE_QUEUE,
    COMMANDS_EXCHANGE,
    DEAD_EXCHANGE,
    DEAD_QUEUE,
    EVENTS_EXCHANGE,
    EXCHANGES,
    RATES_EXCHANGE,
    Exchange,
    Topology,
)
from contracts.webhooks.messages import PING, WEBHOOK_TYPES
from gateway.documents.asyncapi_messages import RETRY_HEADERS, Messages, Schema, webhook_key

BINDING_VERSION = "0.3.0"
_BROKER = {"$ref": "#/servers/broker"}
_PARAMETERS: dict[str, Schema] = {
    "shard": {
        "description": "The event's shard: its id modulo the number of shards.",
        "examples": ["0"],
    },
    "provider": {"description": "The provider's name; also its broker user.", "examples": ["acme"]},
    "asset": {"description": "What the rate is of.", "examples": ["BTC"]},
    "queue": {
        "description": "The queue that the message came from and goes back to.",
        "examples": ["order"],
    },
}
_PARAMETER = re.compile(r"\{(\w+)\}")
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.|$)")


def build(everything: Topology) -> dict[str, Any]:
    """The whole document as plain JSON values."""
    writer = _Writer(everything)
    writer.write()
    return {
        "asyncapi": "3.0.0",
        "id": "urn:eventhub",
        "info": {
            "title": "EventHub, inside",
            "version": "1.0.0",
            "description": (
                "Commands from the gateway to the workers, events from the workers to whoever listens, rates from "
                "providers, webhooks to their receivers. On the broker each body is CloudEvents 1.0 JSON, one "
                "(`application/cloudevents+json`) or several (`application/cloudevents-batch+json`), persistent and "
                "signed; delivery is at least once. The broadcast to gateways (`eventhub.news`) may be lost."
            ),
        },
        "defaultContentType": "application/cloudevents+json",
        "servers": {
            "broker": {
                "host": "{host}:5672",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
                "description": "RabbitMQ. A provider's user may write its rates and nothing else.",
                "variables": {"host": {"default": "localhost"}},
            },
            "receiver": {
                "host": "{host}",
                "protocol": "https",
                "description": "Whatever URL a webhook names.",
                "variables": {"host": {"default": "example.com"}},
            },
        },
        "channels": writer.channels,
        "operations": writer.operations,
        "components": {"messages": writer.messages.messages, "schemas": writer.messages.schemas},
    }


def _worker_of(owner: str) -> str:
    """Who consumes the queues of a name."""
    return {DEAD_QUEUE: "relay", CATALOGUE_QUEUE: "inventory"}.get(owner, owner)


class _Writer:
    """Builds channels and operations out of a topology."""

    def __init__(self, everything: Topology) -> None:
        self._topology = everything
        self.messages = Messages()
        self.channels: dict[str, Schema] = {}
        self.operations: dict[str, Schema] = {}

    def write(self) -> None:
        """Everything, once."""
        self._publishing()
        self._receiving()
        self._webhooks()

    # -- what is published -----------------------------------------------------------------------

    def _publishing(self) -> None:
        exchanges = {exchange.name: exchange for exchange in EXCHANGES}
        for owner in sorted({model.OWNER for model in COMMANDS.values()}):
            names = [m.__name__ for m in COMMANDS.values() if owner == m.OWNER]
            address = str(owner) if owner != "inventory" else "inventory.{shard}"
            names.append(self.messages.batch(f"{owner.capitalize()}CommandBatch", names))
            summary = (
                f"The gateway asks the {_worker_of(owner)} worker; confirmed before it answers 202."
            )
            self._exchange(
                f"commands-{owner}", exchanges[COMMANDS_EXCHANGE], address, names, summary
            )
        for event in EVENTS.values():
            address = event.TOPIC + (".{shard}" if event.SHARDED else "")
            names = [
                event.__name__,
                self.messages.batch(f"{event.__name__}Batch", [event.__name__]),
            ]
            summary = "The relay publishes it after the commit that made it true."
            self._exchange(
                "events-" + event.TOPIC.replace(".", "-"),
                exchanges[EVENTS_EXCHANGE],
                address,
                names,
                summary,
            )
            if event in BROADCAST_EVENTS:
                summary = "The relay tells all gateways, unconfirmed; who misses it reads MySQL."
                self._exchange(
                    "news-" + event.TOPIC.replace(".", "-"),
                    exchanges[BROADCAST_EXCHANGE],
                    event.TOPIC,
                    names,
                    summary,
                )
        rates = ["ProviderRate", "ProviderRateCloudEvent"]
        summary = "A provider reports a rate, persistent, with `user_id` and `message_id` set."
        self._exchange(
            "rates",
            exchanges[RATES_EXCHANGE],
            "rates.{provider}.{asset}",
            rates,
            summary,
            ours=False,
        )
        self._retry_channels(exchanges)

    def _retry_channels(self, exchanges: dict[str, Exchange]) -> None:
        """The retry ladder, the way back from it, and the dead letters."""
        again = {
            "anyOf": [*self.messages.envelopes(), {"$ref": "#/components/schemas/ProviderRate"}]
        }
        retried = self.messages.anything(
            "Retried",
            "A message that could not be dealt with yet, as it came.",
            again,
            RETRY_HEADERS,
        )
        dead = self.messages.anything(
            "DeadLetter",
            "Whatever could not be dealt with at all, as it came; it need not be readable.",
            {"description": "Any bytes, under the content type they came with."},
            RETRY_HEADERS,
        )
        for name, exchange in exchanges.items():
            if name.startswith("eventhub.retry."):
                summary = "A worker puts a message aside for this long."
                self._exchange(
                    name.removeprefix("eventhub.").replace(".", "-"),
                    exchange,
                    "{queue}",
                    [retried],
                    summary,
                )
        summary = "The broker brings a message back to its queue when its time is over."
        self._exchange("again", exchanges[AGAIN_EXCHANGE], "{queue}", [retried], summary)
        summary = "A worker, or the broker after too many deliveries, gives a message up."
        self._exchange("dead", exchanges[DEAD_EXCHANGE], "{queue}", [dead], summary)

    def _exchange(
        self,
        name: str,
        exchange: Exchange,
        address: str,
        messages: Iterable[str],
        summary: str,
        *,
        ours: bool = True,
    ) -> None:
        binding = {"is": "routingKey", "exchange": _exchange_binding(exchange)}
        self._channel(name, address, messages, f"Exchange `{exchange.name}`.", binding)
        if ours:
            self._operation(f"send-{name}", "send", name, summary)
        else:
            self._operation(f"receive-{name}", "receive", name, summary)

    # -- what is consumed ------------------------------------------------------------------------

    def _receiving(self) -> None:
        for queue in self._topology.queues:
            template = _template(queue.name)
            name = "queue-" + re.sub(r"[{}]", "", template).replace(".", "-")
            if name in self.channels:
                continue
            heard = sorted(self._heard(queue.name))
            if "x-message-ttl" in queue.arguments:
                summary = (
                    "Nobody consumes it: the broker moves each message on when its time is over."
                )
            else:
                summary = f"The {_worker_of(template.split('.')[0])} worker consumes it."
            binding = {
                "is": "queue",
                "queue": {
                    "name": template,
                    "durable": True,
                    "exclusive": False,
                    "autoDelete": False,
                    "vhost": "/",
                },
            }
            arguments = ", ".join(
                f"`{k}={v}`" for k, v in queue.arguments.items() if k != "x-max-length"
            )
            self._channel(name, template, heard, f"Quorum queue. {arguments}.", binding)
            if "x-message-ttl" not in queue.arguments:
                self._operation(f"receive-{name}", "receive", name, summary)

    def _heard(self, queue: str) -> set[str]:
        """The messages that reach a queue, by its bindings."""
        heard: set[str] = set()
        for binding in self._topology.bindings:
            if binding.queue != queue:
                continue
            for channel in self.channels.values():
                bound = channel["bindings"]["amqp"].get("exchange", {}).get("name")
                if bound != binding.exchange or binding.exchange == AGAIN_EXCHANGE:
                    continue
                if _reaches(_template(binding.key), channel["address"], channel):
                    heard |= set(channel["messages"])
        return heard

    def _webhooks(self) -> None:
        names = [webhook_key(name) for name in (*WEBHOOK_TYPES.values(), PING)]
        self.channels["webhooks"] = {
            "address": None,
            "title": "webhooks",
            "description": "The URL of each webhook that may hear of it and asked to.",
            "servers": [{"$ref": "#/servers/receiver"}],
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        }
        self._operation(
            "send-webhooks", "send", "webhooks", "The notify worker tells a receiver, signed."
        )
        self.operations["send-webhooks"]["bindings"] = {
            "http": {"method": "POST", "bindingVersion": BINDING_VERSION}
        }

    # -- parts -----------------------------------------------------------------------------------

    def _channel(
        self, name: str, address: str, messages: Iterable[str], description: str, binding: Schema
    ) -> None:
        channel: Schema = {
            "address": address,
            "title": name,
            "description": description,
            "servers": [_BROKER],
            "messages": {one: {"$ref": f"#/components/messages/{one}"} for one in messages},
            "bindings": {"amqp": binding | {"bindingVersion": BINDING_VERSION}},
        }
        if parameters := _PARAMETER.findall(address):
            channel["parameters"] = {one: _PARAMETERS[one] for one in parameters}
        self.channels[name] = channel

    def _operation(self, name: str, action: str, channel: str, summary: str) -> None:
        self.operations[name] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "summary": summary,
            "messages": [
                {"$ref": f"#/channels/{channel}/messages/{one}"}
                for one in self.channels[channel]["messages"]
            ],
        }


def _exchange_binding(exchange: Exchange) -> Schema:
    return {
        "name": exchange.name,
        "type": exchange.kind,
        "durable": True,
        "autoDelete": False,
        "vhost": "/",
    }


def _template(text: str) -> str:
    """`inventory.3.returns` is one of `inventory.{shard}.returns`."""
    return _NUMBER.sub("{shard}", text)


def _reaches(key: str, address: str, channel: Schema) -> bool:
    """Whether what is published under `address` reaches a binding's key, by the exchange's kind."""
    kind = channel["bindings"]["amqp"]["exchange"]["type"]
    if kind == "fanout":
        return True
    if kind == "direct":
        return key == address
    return topic_matches(key, address)


def topic_matches(pattern: str, key: str) -> bool:
    """AMQP's topic match: `*` stands for one word, `#` for any number of them."""
    words = [{"*": r"[^.]+", "#": r".*"}.get(word, re.escape(word)) for word in pattern.split(".")]
    expression = r"\.".join(words).replace(r"\..*", r"(\..*)?").replace(r".*\.", r"(.*\.)?")
    return re.fullmatch(expression, key) is not None
