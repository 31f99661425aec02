"""What must be true of a simulated world that has come to rest: the rules of the audit, and what clients were told.

In: its tables, the commands that were sent, the quotas. Out: what is wrong, each a sentence.
Must stay true: nothing here asks the code that is judged; each rule is written from api.md and the audit's.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from contracts.commands import Command, ConfirmPayment
from contracts.outcomes import Outcome
from contracts.problems import Code

Tables = Mapping[str, Mapping[Any, dict[str, Any]]]


def problems(tables: Tables, sent: Mapping[bytes, Command], quotas: Mapping[int, int]) -> list[str]:
    """Everything that is wrong."""
    outcomes = {row["id"]: row for row in tables["command_outcomes"].values()}
    if set(outcomes) != set(sent):
        return ["a command has no outcome, or an outcome no command"]
    found = list(_orders(tables, outcomes))
    for type_id in quotas:
        found += _stock(tables, tables["ticket_types"][type_id])
    return [
        *found,
        *_payments(tables),
        *_tickets(tables),
        *_confirmations(tables, sent, outcomes),
    ]


def untrue(tables: Tables, told: Sequence[Outcome]) -> list[str]:
    """Answers of gateways that are not what stands in the table, now and for ever."""
    rows = {row["id"]: row for row in tables["command_outcomes"].values()}
    return [
        f"told {one.status_code} {one.code} of a command, stored is {row and row['status_code']}"
        for one in told
        if (row := rows.get(one.command)) is None
        or (one.status_code, one.code, one.body.decode())
        != (row["status_code"], row["code"], row["body"])
    ]


def _orders(tables: Tables, outcomes: Mapping[bytes, dict[str, Any]]) -> Iterator[str]:
    placed = {row["command_id"]: row["id"] for row in tables["orders"].values()}
    said = {
        uuid: orjson.loads(row["body"])["id"]
        for uuid, row in outcomes.items()
        if row["type"].startswith("eventhub.order.place.") and row["status_code"] == 201
    }
    if placed != said:
        yield f"orders {placed} are not what clients were told: {said}"
    for order_id, order in tables["orders"].items():
        rows = [one for one in tables["order_history"].values() if one["order_id"] == order_id]
        versions = sorted(row["version"] for row in rows)
        if versions != list(range(2, order["version"] + 1)):
            yield f"history of order {order_id}: {versions}, it has version {order['version']}"
        for line in tables["order_details"].values():
            is_back = line["returned_version"] is not None
            if line["order_id"] == order_id and is_back is not (order["status"] != "CONFIRMED"):
                yield f"order {order_id} is {order['status']}, its tickets do not add up"


def _stock(tables: Tables, row: dict[str, Any]) -> Iterator[str]:
    lines = [one for one in tables["order_details"].values() if one["ticket_type_id"] == row["id"]]
    held = sum(one["quantity"] for one in lines if one["returned_version"] is None)
    if row["available"] < 0:
        yield f"oversold: {row}"
    if row["available"] + held != row["quota"]:
        yield f"{held} held do not add up: {row}"
    own_database = {
        one["version"]: one["delta"]
        for one in tables["stock_ledger"].values()
        if one["ticket_type_id"] == row["id"]
    }
    if sorted(own_database) != list(range(2, row["version"] + 1)):
        yield f"gaps in the ledger of {row}"
    if row["quota"] + sum(own_database.values()) != row["available"]:
        yield f"ledger of {row}"


def _payments(tables: Tables) -> Iterator[str]:
    """Paid once, by a hash that is on a receipt, and only the total that the order has."""
    payments, receipts = tables["payments"].values(), tables["payment_receipts"].values()
    for order in tables["orders"].values():
        paid = [
            one
            for one in payments
            if one["order_id"] == order["id"] and one["status"] == "CONFIRMED"
        ]
        if len(paid) != (order["status"] == "CONFIRMED"):
            yield f"order {order['id']} is {order['status']} and paid {len(paid)} times"
        if any(one["total_cost"] != order["total_cost"] for one in paid):
            yield f"order {order['id']} was paid with another total"
    hashes = [one["tx_hash"] for one in receipts]
    if len(set(hashes)) != len(hashes):
        yield f"a hash is on two receipts: {sorted(hashes)}"
    applied = {
        (one["payment_id"], one["tx_hash"]) for one in receipts if one["status"] == "APPLIED"
    }
    confirmed = {(one["id"], one["tx_hash"]) for one in payments if one["status"] == "CONFIRMED"}
    if applied != confirmed:
        yield f"receipts say {applied} were paid, payments say {confirmed}"


def _tickets(tables: Tables) -> Iterator[str]:
    """One for each place of a confirmed order, none for any other."""
    status = {order["id"]: order["status"] for order in tables["orders"].values()}
    places = sorted(
        (line["id"], number)
        for line in tables["order_details"].values()
        if status[line["order_id"]] == "CONFIRMED"
        for number in range(1, line["quantity"] + 1)
    )
    issued = sorted(
        (ticket["order_detail_id"], ticket["number"]) for ticket in tables["tickets"].values()
    )
    if places != issued:
        yield f"places {places} were paid, tickets are there for {issued}"


def _confirmations(
    tables: Tables, sent: Mapping[bytes, Command], outcomes: Mapping[bytes, dict[str, Any]]
) -> Iterator[str]:
    """What was said of each hash that was shown is what its receipt says."""
    receipts = {one["tx_hash"]: one for one in tables["payment_receipts"].values()}
    for uuid, command in sent.items():
        if not isinstance(command, ConfirmPayment):
            continue
        row = outcomes[uuid]
        receipt = receipts.get(command.tx_hash)
        found: tuple[bool, str] | None = None
        if receipt:
            found = (receipt["payment_id"] == command.payment_id, receipt["status"])
        if row["status_code"] == 200 and found != (True, "APPLIED"):
            yield f"{command.tx_hash} was said to have paid {command.payment_id}: {receipt}"
        if row["code"] in (Code.ORDER_NOT_PENDING, Code.QUOTE_EXPIRED) and found != (True, "LATE"):
            yield f"{command.tx_hash} was said to be late for {command.payment_id}: {receipt}"
        if row["code"] == Code.TX_HASH_USED and (found is None or found[0]):
            yield f"{command.tx_hash} was said to be another payment's: {receipt}"
        if row["status_code"] >= 500 and receipt and receipt["command_id"] == uuid:
            yield f"{command.tx_hash} was said to have done nothing: {receipt}"
