"""One command makes a system that sells: real servers, real processes, through the front door."""

import json
import os
import secrets
import signal
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any

import pymysql
import pytest
import redis

from scripts.stack import readiness
from tests.setup.standin import Checkout, eventually
from workers import KINDS

SERVERS = ("mysql", "rabbitmq", "redis", "epmd")


@dataclass
class Client:
    """One signed-in person at the gateway."""

    url: str
    email: str
    password: str = "correct horse battery"
    token: str = field(default="", repr=False)

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return status and JSON of one call; commands are waited for."""
        headers = {"Content-Type": "application/json", "Prefer": "wait=20"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def done(self, status: int, method: str, path: str, body: object = None) -> Any:
        """Make a call that has to end with this status; return its JSON."""
        answered, said = self.call(method, path, body)
        assert answered == status, said
        return said

    def sign_in(self) -> "Client":
        """Get a token."""
        account = {"email": self.email, "password": self.password}
        self.token = self.done(200, "POST", "/api/auth/login", account)["accessToken"]
        return self


def _described(checkout: Checkout) -> dict[str, str]:
    return json.loads((checkout.root / ".run" / "eventhub.json").read_text())


def _newcomer(url: str) -> Client:
    client = Client(url, f"{secrets.token_hex(6)}@example.com")
    client.done(
        201, "POST", "/api/auth/register", {"email": client.email, "password": client.password}
    )
    return client.sign_in()


def _ticket_type(described: dict[str, str]) -> int:
    """An organizer, made by the admin that `up` described, puts ten tickets on sale."""
    url = described["gatewayUrl"]
    admin = Client(url, described["adminEmail"], described["adminPassword"]).sign_in()
    organizer = _newcomer(url)
    user = organizer.done(200, "GET", "/api/auth/me")
    admin.done(200, "PUT", f"/api/admin/users/{user['id']}/roles", {"roles": ["USER", "ORGANIZER"]})
    organizer.sign_in()
    times = {"startTime": "2099-05-01T18:00:00Z", "endTime": "2099-05-01T22:00:00Z"}
    event = organizer.done(201, "POST", "/api/events", {"name": "First night", **times})
    wanted = {"name": "Floor", "price": "49.90", "quota": 10}
    return organizer.done(201, "POST", f"/api/events/{event['id']}/ticket-types", wanted)["id"]


def _buy(buyer: Client, ticket_type: int) -> dict[str, Any]:
    wanted = {"items": [{"ticketTypeId": ticket_type, "quantity": 2}]}
    return buyer.done(201, "POST", "/api/orders", wanted)


def _pid(checkout: Checkout, name: str) -> int:
    return int((checkout.root / ".run" / "pids" / name).read_text().split()[0])


def _connect(url: str, **other: Any) -> pymysql.Connection:
    parts = urllib.parse.urlsplit(url)
    account = {
        "user": parts.username,
        "password": parts.password,
        "database": parts.path[1:],
    } | other
    return pymysql.connect(host=parts.hostname, port=parts.port, autocommit=True, **account)


def test_what_up_started_sells_a_ticket_and_takes_its_payment(real: Checkout) -> None:
    """From the admin's first login to a confirmed order: every process plays its part."""
    described = _described(real)
    ticket_type = _ticket_type(described)
    buyer = _newcomer(described["gatewayUrl"])
    order = _buy(buyer, ticket_type)
    assert (order["status"], order["totalCost"]) == ("PENDING_PAYMENT", "99.80")
    wanted = {"orderId": order["id"], "asset": "BTC"}
    path = "/api/public/payment/create-quote"
    eventually(lambda: buyer.call("POST", path, wanted)[0] == 201, "a first rate prices a quote")
    payment = buyer.done(200, "POST", path, wanted)
    paid = {"txHash": f"0x{secrets.token_hex(32)}"}
    buyer.done(200, "POST", f"/api/public/payment/confirm-payment/{payment['id']}", paid)
    assert buyer.done(200, "GET", f"/api/orders/{order['id']}")["status"] == "CONFIRMED"


def test_the_database_keeps_what_it_has_acknowledged(real: Checkout) -> None:
    """Durability, isolation and mode are what the design asks for, on MariaDB and MySQL alike."""
    wanted = {
        "innodb_flush_log_at_trx_commit": "1",
        "innodb_doublewrite": "ON",
        "innodb_lock_wait_timeout": "5",
        "log_bin": "OFF",
        "character_set_server": "utf8mb4",
        "bind_address": "127.0.0.1",
    }
    with _connect(_described(real)["mysqlUrl"]) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW VARIABLES")
        found = dict(cursor.fetchall())
    assert {name: found[name] for name in wanted} == wanted
    assert "REPEATABLE-READ" in (found.get("tx_isolation"), found.get("transaction_isolation"))


def test_nobody_gets_in_without_the_password(real: Checkout) -> None:
    """Neither the database's root, nor the broker's guest, nor an anonymous Redis client."""
    described = _described(real)
    for account in ({"user": "root", "password": ""}, {"user": "eventhub", "password": ""}):
        with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
            _connect(described["mysqlUrl"], **account)
    sockets = {"unix_socket": f"{real.state()['sockets']}/mysql.sock", "password": ""}
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        _connect(described["mysqlUrl"], user="root", **sockets)
    broker = urllib.parse.urlsplit(described["amqpManagementUrl"])
    guest = broker._replace(netloc=f"guest:guest@127.0.0.1:{broker.port}").geturl()
    assert readiness.amqp_management(guest) == "the management API answers 401"
    cache = urllib.parse.urlsplit(described["redisUrl"])
    with redis.Redis(port=cache.port or 0) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_it_sells_again_after_everything_was_killed(real: Checkout) -> None:
    """kill -9 of every server and every process at once: all come back by themselves, with their data."""
    described = _described(real)
    ticket_type = _ticket_type(described)
    buyer = _newcomer(described["gatewayUrl"])
    _buy(buyer, ticket_type)
    names = [*SERVERS, "gateway-1", *(f"{worker}-1" for worker in KINDS)]
    before = {name: _pid(real, name) for name in names}
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    eventually(
        lambda: not [n for n in names if _pid(real, n) == before[n]], "all were started again"
    )
    real.up()
    _buy(buyer, ticket_type)
    left = buyer.done(200, "GET", f"/api/ticket-types/{ticket_type}")
    assert left["available"] == 6


def test_a_second_up_and_more_processes_disturb_nobody(real: Checkout) -> None:
    """`up` on the running system changes nothing; `scale` adds gateways on the same port."""
    before = {name: _pid(real, name) for name in SERVERS}
    pids = real.pids()
    assert "running already; unchanged" in real.up().stdout
    assert real.run("scale", "gateway=2", "inventory=2").returncode == 0
    assert {name: _pid(real, name) for name in before} == before
    assert {name: pid for name, pid in real.pids().items() if name in pids} == pids
    described = _described(real)
    _buy(_newcomer(described["gatewayUrl"]), _ticket_type(described))
