"""The running system as its load tests see it: where it is, its secrets, its processes.

In: the `.run` folder of a checkout. Out: a `System`. Must stay true: only a system on the loopback address is accepted;
nothing in it is changed.
"""

import ipaddress
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import click

from gateway.accounts.tokens import Tokens, parse_keys
from scripts.stack.home import CHECKOUT, Home
from scripts.stack.supervised.supervision import Supervision

TOKEN_SECONDS = 6 * 3600
"""Longer than any load: its tokens must not expire half-way."""


class NotRunning(click.ClickException):
    """There is no system to put load on; the message says how to start one."""


@dataclass(frozen=True, slots=True)
class System:
    """A local EventHub. `home` is None when somebody else than scripts/up started its processes."""

    gateway_url: str
    mysql_url: str
    redis_url: str
    amqp_url: str
    amqp_management_url: str | None
    jwt_keys: str
    shards: int = 16
    unpaid_orders: int = 0
    """Of an event that one account may have (EVENTHUB_UNPAID_ORDERS); 0: any number."""
    home: Home | None = None
    also: Mapping[str, int] = field(default_factory=dict)
    """Pids of servers that another home supervises, by name."""

    def __post_init__(self) -> None:
        require_loopback(self.gateway_url)

    @property
    def port(self) -> int:
        """The gateway's port."""
        port = urlsplit(self.gateway_url).port
        assert port is not None, "the gateway's URL names its port"
        return port

    def buyers_for(self, orders: float) -> int:
        """How many accounts it takes to place so many orders of one event, none of them paid."""
        return math.ceil(orders / self.unpaid_orders) if self.unpaid_orders else 1

    def tokens(self) -> Tokens:
        """Signs access tokens that outlive the load. Raises gateway.accounts.tokens.WeakKey."""
        return Tokens(parse_keys(self.jwt_keys), TOKEN_SECONDS)

    def secret(self) -> str:
        """The master secret that signs command ids. Raises click.ClickException when it is not ours to know."""
        if self.home is None:
            raise click.ClickException("only a system that scripts/up started tells its secret")
        return self.home.secrets()["secret"]

    def pids(self) -> dict[str, int]:
        """Pid of each supervised process and server by name, supervisord itself included."""
        if self.home is None:
            return {}
        supervision = Supervision(self.home, self.home.load())
        found = {state.name: state.pid for state in supervision.processes() if state.pid}
        return {**self.also, **found, "supervisord": supervision.call("getPID")}

    def health_ports(self) -> dict[str, int]:
        """Port of each of EventHub's processes that answers /metrics."""
        if self.home is None:
            return {}
        ports = self.home.load().ports
        return {name: ports[name] for name in self.pids() if "-" in name and name in ports}


def running_system(checkout: Path = CHECKOUT) -> System:
    """The system that `scripts/up` of this checkout started. Raises NotRunning."""
    return system_of(Home(checkout / ".run"))


def system_of(home: Home, also: Mapping[str, int] | None = None) -> System:
    """The system of a home; `also`: pids of servers that are supervised elsewhere. Raises NotRunning."""
    try:
        described = json.loads((home.root / "eventhub.json").read_text())
    except FileNotFoundError:
        raise NotRunning("EventHub is not running here: scripts/up --detach starts it.") from None
    if not any(name.state == "RUNNING" for name in Supervision(home, home.load()).processes()):
        raise NotRunning("EventHub has been stopped: scripts/up --detach starts it.")
    return System(
        gateway_url=described["gatewayUrl"],
        mysql_url=described["mysqlUrl"],
        redis_url=described["redisUrl"],
        amqp_url=described["amqpUrl"],
        amqp_management_url=described.get("amqpManagementUrl"),
        jwt_keys=home.secrets()["jwtKeys"],
        shards=int(home.load().settings.get("EVENTHUB_SHARDS", "16")),
        unpaid_orders=int(home.load().settings.get("EVENTHUB_UNPAID_ORDERS", "3")),
        home=home,
        also=also or {},
    )


def require_loopback(url: str) -> None:
    """Refuse to load anything but this machine. Raises click.ClickException."""
    host = urlsplit(url).hostname or ""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise click.ClickException(f"load tests only go to this machine's loopback, not to {host}")
