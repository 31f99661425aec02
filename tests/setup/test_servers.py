"""The private servers: what they promise, that they come back, and that they go."""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
import redis

from scripts.stack import readiness
from tests.setup.standin import Checkout, environment, eventually, runs

Urls = dict[str, str]


@pytest.fixture(scope="module")
def own(make_checkout) -> Iterator[tuple[Checkout, Urls]]:
    """A checkout whose own three servers run."""
    checkout = make_checkout()
    shown = _servers(checkout, "start")
    yield checkout, _assigned(shown)
    _servers(checkout, "stop", "--purge")


def _servers(checkout: Checkout, *arguments: str) -> str:
    without = {key: value for key, value in environment().items() if not key.endswith("_URL")}
    command = [checkout.root / "scripts" / "servers", *arguments]
    done = subprocess.run(
        command, env=without, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _assigned(shown: str) -> Urls:
    pairs = [line.removeprefix("export ").split("=", 1) for line in shown.splitlines()]
    return {name: value.strip("'") for name, value in pairs}


def _connect(url: str, **other: Any) -> pymysql.Connection:
    parts = urllib.parse.urlsplit(url)
    account = {
        "user": parts.username,
        "password": parts.password,
        "database": parts.path[1:],
    } | other
    return pymysql.connect(host=parts.hostname, port=parts.port, autocommit=True, **account)


def _pid(checkout: Checkout, name: str) -> int:
    return int((checkout.root / ".run" / "servers" / "pids" / name).read_text().split()[0])


def test_the_database_keeps_what_it_has_acknowledged(own) -> None:
    """Durability, isolation and mode are what the design asks for, on a bare MariaDB and MySQL alike."""
    wanted = {
        "innodb_flush_log_at_trx_commit": "1",
        "innodb_doublewrite": "ON",
        "innodb_lock_wait_timeout": "5",
        "log_bin": "OFF",
        "character_set_server": "utf8mb4",
        "bind_address": "127.0.0.1",
    }
    with _connect(own[1]["MYSQL_URL"]) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW VARIABLES")
        found = dict(cursor.fetchall())
    assert {name: found[name] for name in wanted} == wanted
    assert "REPEATABLE-READ" in (found.get("tx_isolation"), found.get("transaction_isolation"))


def test_nobody_gets_in_without_the_password(own) -> None:
    """Neither the database's root, nor the broker's guest, nor an anonymous Redis client."""
    urls = own[1]
    for account in ({"user": "root", "password": ""}, {"user": "eventhub", "password": ""}):
        with pytest.raises(pymysql.err.OperationalError):
            _connect(urls["MYSQL_URL"], **account)
    broker = urllib.parse.urlsplit(urls["AMQP_MANAGEMENT_URL"])
    guest = broker._replace(netloc=f"guest:guest@127.0.0.1:{broker.port}").geturl()
    assert readiness.amqp_management(guest) == "the management API answers 401"
    cache = urllib.parse.urlsplit(urls["REDIS_URL"])
    with pytest.raises(redis.AuthenticationError), redis.Redis(port=cache.port) as client:
        client.ping()


def test_a_killed_server_comes_back_with_its_data(own) -> None:
    """kill -9 of all three: they are restarted on their ports, and an acknowledged row is there."""
    checkout, urls = own
    with _connect(urls["MYSQL_URL"]) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (id INT PRIMARY KEY)")
        cursor.execute("INSERT INTO kept VALUES (1)")
    before = {name: _pid(checkout, name) for name in ("mysql", "rabbitmq", "redis", "epmd")}
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    ask = {
        "MYSQL_URL": readiness.mysql,
        "AMQP_URL": readiness.amqp,
        "AMQP_MANAGEMENT_URL": readiness.amqp_management,
        "REDIS_URL": readiness.redis,
    }
    for name, question in ask.items():
        eventually(lambda q=question, url=urls[name]: _ready(q, url), f"{name} answers again", 60)
    with _connect(urls["MYSQL_URL"]) as connection, connection.cursor() as cursor:
        assert cursor.execute("SELECT id FROM kept") == 1
    assert not [name for name, pid in before.items() if _pid(checkout, name) == pid]


def _ready(question, url: str) -> bool:
    try:
        return question(url) is None
    except OSError:
        return False


def test_starting_again_changes_nothing(own) -> None:
    """`start` and `env` on running servers give the same URLs and restart nobody."""
    checkout, urls = own
    before = {name: _pid(checkout, name) for name in ("mysql", "rabbitmq", "redis", "epmd")}
    assert _assigned(_servers(checkout, "start")) == urls
    assert _assigned(_servers(checkout, "env")) == urls
    assert {name: _pid(checkout, name) for name in before} == before


def test_the_test_command_starts_and_ends_its_own_servers(own) -> None:
    """`scripts/test` without URLs: the tests get servers of their own, apart from all others; pytest
    has the last word and the exit code; afterwards nothing of it is left."""
    checkout, urls = own
    folder = checkout.root / "tests" / "unit"
    folder.mkdir(parents=True)
    (folder / "test_urls.py").write_text(
        '"""Writes down what it was given."""\n'
        "import json, os, pathlib\n"
        "def test_given():\n"
        "    given = {k: os.environ[k] for k in os.environ if k.endswith('_URL')}\n"
        "    pathlib.Path('given.json').write_text(json.dumps(given))\n"
        "def test_failing():\n"
        "    assert False\n"
    )
    without = {key: value for key, value in environment().items() if not key.endswith("_URL")}
    command = [checkout.root / "scripts" / "test", "unit", "-q"]
    done = subprocess.run(
        command, env=without, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("1 failed, 1 passed in")
    given = json.loads((checkout.root / "given.json").read_text())
    assert set(given) == set(urls)
    assert not set(given.values()) & set(urls.values())
    assert not (checkout.root / ".run" / "test").exists()
    for url in given.values():
        assert not _reachable(url)
    assert runs(_pid(checkout, "mysql"))


def _reachable(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    try:
        readiness.get("127.0.0.1", parts.port or 0, "/", {})
    except ConnectionRefusedError:
        return False
    except (OSError, urllib.error.URLError):
        return True
    return True
