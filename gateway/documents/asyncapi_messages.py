"""Every message of EventHub as AsyncAPI describes it: schemas, headers, an example each. Generated from the contracts.

In: `contracts.commands`, `contracts.events`, `contracts.webhooks.messages`, the resource models of the HTTP contract.
Out: the `schemas` and `messages` of an AsyncAPI document's components.
Must stay true: a message that is not described here does not travel; the schemas are closed (no member that
they do not name) and are plain JSON Schema draft 07, the default of AsyncAPI: a `$ref` stands alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from datetime import datetime
from typing import Annotated, Any, get_args, get_type_hints

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from contracts.commands import COMMANDS, Command
from contracts.events import EVENTS, DomainEvent, PaymentLate, TicketConflict
from contracts.messaging.envelope import BATCH, SINGLE, Envelope
from contracts.models import Asset, Currency, Wire
from contracts.rates import QuarantinedReport, RateResource
from contracts.resources import EventResource, IdNumber, LatePayment, Order, Payment
from contracts.shapes import Answer
from contracts.tickets.scans import ConflictFacts, TicketConflictResource
from contracts.tickets.ticket import IssuedTickets, TicketResource
from contracts.webhooks.messages import PING, WEBHOOK_TYPES
from gateway.documents.openapi_examples import example_of

Schema = dict[str, Any]
JSON = "application/json"
_REF = "#/components/schemas/{model}"
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": 1024}


class ProviderRate(Wire):
    """What one unit of an asset costs, by a provider. Unknown members are ignored."""

    asset: Asset
    currency: Currency
    rate: str = Field(examples=["64000.50"])
    observed_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Pinged(Answer):
    """Which webhook was tried out."""

    webhook_id: IdNumber


_RESOURCES: dict[str, type[BaseModel]] = {
    "order": Order,
    "payment": Payment,
    "event": EventResource,
    "rate": RateResource,
    "tickets": IssuedTickets,
    "ticket": TicketResource,
    "conflict": ConflictFacts,
}
"""Events carry resources of the HTTP contract as plain JSON: what stands behind the member's name."""

_WEBHOOK_DATA: dict[type[DomainEvent], type[BaseModel]] = {
    PaymentLate: LatePayment,
    TicketConflict: TicketConflictResource,
}
"""Webhooks whose data is more than the one resource of their event."""

_ATTRIBUTES = {
    "specversion": "The version of CloudEvents.",
    "id": "Of a command: the opaque command id. Of an event: a UUID; a repeat has the same one.",
    "type": "What it is; a new meaning is a new version.",
    "source": "The kind of process that said it.",
    "time": "When a command was accepted, or an event became true: the database's time.",
    "datacontenttype": "Always JSON.",
    "subject": "What it is about.",
    "correlationid": "The id of the HTTP request at the beginning of it all.",
    "causationid": "The id of the command or event that led to it.",
    "traceparent": "W3C Trace Context.",
    "expirytime": "A command that nobody took up by then is never executed.",
    "sequence": "Rises with each event of one aggregate (CloudEvents extension `sequence`).",
    "partitionkey": "The aggregate: messages with the same key keep their order.",
    "replyto": "The gateway that waits for the outcome.",
    "signature": "MAC over id, type, time, expirytime and data; only EventHub's processes can make it.",
}

_EXAMPLES = {
    "id": "6f9ba6b8-5a3e-4c52-9a51-5c8b5e3a1f02",
    "source": "/eventhub/inventory",
    "subject": "order:17",
    "correlationid": "9f1c2a7be0d94c5c8f4e",
    "sequence": "1",
    "partitionkey": "order:17",
    "signature": "q1FvJ2uD0cS0mQ4n8m3hVw",
}


def data_schemas() -> dict[str, Schema]:
    """The schemas of all data and of the resources inside, by the model's name."""
    models: list[type[BaseModel]] = [*COMMANDS.values(), *EVENTS.values(), *_RESOURCES.values()]
    models += [QuarantinedReport, ProviderRate, Pinged, *_WEBHOOK_DATA.values()]
    _, document = models_json_schema(
        [(model, "serialization") for model in models], by_alias=True, ref_template=_REF
    )
    schemas: dict[str, Schema] = document["$defs"]
    for name, schema in schemas.items():
        _without_titles(schema)
        if name != ProviderRate.__name__:
            schema["additionalProperties"] = False
    for event in EVENTS.values():
        for member, resource in _RESOURCES.items():
            if member in event.model_fields:
                schemas[event.__name__]["properties"][member] = _ref(resource.__name__)
    schemas["RateQuarantined"]["properties"]["rate"] = _ref(QuarantinedReport.__name__)
    return schemas


def _without_titles(schema: Any) -> None:
    """Drop generated titles, and what stands beside a `$ref` (draft 07 ignores it)."""
    if isinstance(schema, list):
        for item in schema:
            _without_titles(item)
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("title"), str):
        del schema["title"]
    if isinstance(reference := schema.get("$ref"), str):
        schema.clear()
        schema["$ref"] = reference
    for value in schema.values():
        _without_titles(value)


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def envelope_schema(type_: str, data: Schema, description: str) -> Schema:
    """One CloudEvent of ours: the attributes of `contracts.messaging.envelope.Envelope`, this type, this data."""
    hints = get_type_hints(Envelope)
    properties: dict[str, Schema] = {"specversion": {"const": "1.0"}}
    required = ["specversion", "datacontenttype", "signature", "data"]
    for attribute in fields(Envelope):
        name = attribute.name
        if attribute.default is MISSING and name != "data":
            required.append(name)
        is_moment = datetime in (hints[name], *get_args(hints[name]))
        properties[name] = dict(_MOMENT if is_moment else _TEXT)
    properties |= {
        "type": {"const": type_},
        "datacontenttype": {"const": JSON},
        "data": data,
    }
    for name, text in _ATTRIBUTES.items():
        properties[name] = {**properties[name], "description": text}
        if name in _EXAMPLES:
            properties[name]["examples"] = [_EXAMPLES[name]]
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": sorted(required),
        "additionalProperties": False,
    }


def story_of(model: type[BaseModel]) -> str:
    """The first line of a model's docstring, or of its nearest ancestor's that has one."""
    for one in model.__mro__:
        if one.__doc__ and one not in (BaseModel, object):
            return one.__doc__.strip().splitlines()[0]
    return ""


def subject_model(event: type[DomainEvent]) -> type[BaseModel]:
    """The model of the resource that an announced event is about, as webhooks hear it."""
    if event in _WEBHOOK_DATA:
        return _WEBHOOK_DATA[event]
    return next(model for member, model in _RESOURCES.items() if member in event.model_fields)


def _message(name: str, title: str, summary: str, content_type: str, payload: Schema) -> Schema:
    return {
        "name": name,
        "title": title,
        "summary": summary,
        "contentType": content_type,
        "payload": payload,
    }


def webhook_key(name: str) -> str:
    """The key of a webhook's message: keys have no dots."""
    return "webhook-" + name.replace(".", "-").replace("_", "-")


class Messages:
    """All messages with their schemas; channels name messages out of here."""

    def __init__(self) -> None:
        self.schemas = data_schemas()
        self.messages: dict[str, Schema] = {}
        for command in COMMANDS.values():
            self._add_envelope(command)
        for told in EVENTS.values():
            self._add_envelope(told)
        self._add_rates()
        for event, name in WEBHOOK_TYPES.items():
            self._add_webhook(name, event)
        self._add_webhook(PING, None)

    def batch(self, name: str, of: Iterable[str]) -> str:
        """A message that carries several of these at once; its name."""
        items = [_ref(f"{one}Envelope") for one in of]
        payload = {"type": "array", "minItems": 2, "items": {"anyOf": items}}
        summary = "Several of this channel's messages in one, in their order."
        message = _message(name, "Batch", summary, BATCH, payload)
        message["examples"] = [
            {"name": name, "payload": [self._example(items[0]), self._example(items[-1])]}
        ]
        self.messages[name] = message
        return name

    def anything(self, name: str, summary: str, payload: Schema, headers: Schema) -> str:
        """A message that is another one on its way again; its name."""
        message = _message(name, name, summary, SINGLE, payload)
        message["headers"] = headers
        self.messages[name] = message
        return name

    def envelopes(self) -> list[Schema]:
        """References to every envelope."""
        return [_ref(f"{one.__name__}Envelope") for one in (*COMMANDS.values(), *EVENTS.values())]

    def _add_envelope(self, model: type[Command] | type[DomainEvent]) -> None:
        name = model.__name__
        schema = envelope_schema(model.TYPE, _ref(name), story_of(model))
        self.schemas[f"{name}Envelope"] = schema
        message = _message(model.TYPE, name, story_of(model), SINGLE, _ref(f"{name}Envelope"))
        message["correlationId"] = {"location": "$message.payload#/correlationid"}
        message["examples"] = [{"name": name, "payload": self._example(message["payload"])}]
        self.messages[name] = message

    def _add_rates(self) -> None:
        summary = "A provider's report, as plain JSON; a missing content type is JSON."
        plain = _message("ProviderRate", "ProviderRate", summary, JSON, _ref("ProviderRate"))
        plain["examples"] = [{"name": "ProviderRate", "payload": self._example(plain["payload"])}]
        wrapped: Schema = {
            "type": "object",
            "description": "A CloudEvent of any type around a report; it carries no signature of ours.",
            "properties": {"specversion": {"const": "1.0"}, "data": _ref("ProviderRate")},
            "required": ["specversion", "id", "type", "source"],
            "anyOf": [{"required": ["data"]}, {"required": ["data_base64"]}],
        }
        wrapped["properties"]["data_base64"] = _TEXT | {
            "description": "The report as JSON in base64, in the place of `data`."
        }
        for attribute in ("id", "type", "source"):
            wrapped["properties"][attribute] = dict(_TEXT)
        example = {"specversion": "1.0", "id": "6f9ba6b8", "type": "rate", "source": "/acme"}
        wrapped["examples"] = [example | {"data": self._example(_ref("ProviderRate"))}]
        self.schemas["ProviderRateCloudEvent"] = wrapped
        summary = "A provider's report in a CloudEvent."
        reference = _ref("ProviderRateCloudEvent")
        event = _message(
            "ProviderRateCloudEvent", "ProviderRateCloudEvent", summary, SINGLE, reference
        )
        event["examples"] = [
            {"name": "ProviderRateCloudEvent", "payload": self._example(reference)}
        ]
        for message in (plain, event):
            message["bindings"] = {"amqp": {"messageType": "rate", "bindingVersion": "0.3.0"}}
            self.messages[message["name"]] = message

    def _add_webhook(self, name: str, event: type[DomainEvent] | None) -> None:
        data = _ref((subject_model(event) if event else Pinged).__name__)
        payload: Schema = {
            "type": "object",
            "properties": {
                "type": {"const": name},
                "timestamp": _MOMENT,
                "data": data,
                "sequence": {"type": "integer", "minimum": 0},
            },
            "required": ["type", "timestamp", "data", "sequence"],
            "additionalProperties": False,
        }
        summary = (
            story_of(event) if event else "Its owner wants to know whether the webhook answers."
        )
        message = _message(name, name, summary, JSON, payload)
        message["headers"] = _ref("StandardWebhooksHeaders")
        example = {"payload": self._example(payload), "headers": WEBHOOK_HEADERS_EXAMPLE}
        message["examples"] = [{"name": name, **example}]
        self.schemas["StandardWebhooksHeaders"] = _WEBHOOK_HEADERS
        self.messages[webhook_key(name)] = message

    def _example(self, schema: Mapping[str, Any]) -> Any:
        return example_of(schema, self.schemas)


_WEBHOOK_HEADERS: Schema = {
    "type": "object",
    "description": "Standard Webhooks 1.0.",
    "properties": {
        "webhook-id": {
            "type": "string",
            "description": "The event's id: the same at each attempt.",
        },
        "webhook-timestamp": {"type": "string", "pattern": "^[0-9]+$"},
        "webhook-signature": {"type": "string", "pattern": "^v1,"},
    },
    "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
}
WEBHOOK_HEADERS_EXAMPLE = {
    "webhook-id": "6f9ba6b8-5a3e-4c52-9a51-5c8b5e3a1f02",
    "webhook-timestamp": "1893520800",
    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
}
RETRY_HEADERS: Schema = {
    "type": "object",
    "properties": {
        "x-eventhub-attempt": {
            "type": "integer",
            "minimum": 1,
            "description": "How often it was put aside.",
        },
        "x-eventhub-reason": {"type": "string", "description": "Why."},
        "x-eventhub-queue": {"type": "string", "description": "Where it came from."},
    },
}
