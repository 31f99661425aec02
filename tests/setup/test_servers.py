"""Servers that last as long as a command: for the tests, and for development."""

import json
import urllib.parse
from pathlib import Path

import pytest

from scripts.stack.private_servers import readiness
from tests.setup import substitute
from tests.setup.substitute import Checkout

FAILING_SUITE = '''"""Writes down what it was given, then fails."""
import json, os, pathlib

def test_given():
    given = {key: value for key, value in os.environ.items() if key.endswith("_URL")}
    pathlib.Path("given.json").write_text(json.dumps(given))

def test_failing():
    assert False
'''


@pytest.fixture
def alone(tmp_path: Path) -> Checkout:
    """A checkout that knows of no servers."""
    return substitute.make_real(tmp_path / "eventhub")


def test_the_test_command_starts_and_ends_its_own_servers(alone: Checkout) -> None:
    """`scripts/test` without URLs: the tests get servers of their own; pytest has the last word and the
    exit code; afterwards nothing of it is left, though a test failed."""
    suite = alone.root / "tests" / "integration"
    suite.mkdir(parents=True)
    (suite / "test_urls.py").write_text(FAILING_SUITE)
    done = alone.run("test", "integration", "-q")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("1 failed, 1 passed in")
    assert not done.stderr
    given = json.loads((alone.root / "given.json").read_text())
    assert {"MYSQL_URL", "AMQP_URL", "AMQP_MANAGEMENT_URL", "REDIS_URL"} <= set(given)
    assert not (alone.root / ".run" / "test").exists()
    for name in ("MYSQL_URL", "AMQP_URL", "AMQP_MANAGEMENT_URL", "REDIS_URL"):
        with pytest.raises(ConnectionRefusedError):
            readiness.get("127.0.0.1", urllib.parse.urlsplit(given[name]).port or 0, "/", {})


def test_servers_that_do_not_run_have_no_urls(alone: Checkout) -> None:
    """`scripts/servers env` without servers says how to start them instead of printing dead URLs."""
    done = alone.run("servers", "env")
    assert done.returncode == 1
    assert "scripts/servers start" in done.stderr
    assert not done.stdout


def test_pure_tests_start_no_server(alone: Checkout) -> None:
    """`scripts/test unit` is for the seconds between two edits: nothing is started for it."""
    suite = alone.root / "tests" / "unit"
    suite.mkdir(parents=True)
    (suite / "test_urls.py").write_text(FAILING_SUITE)
    assert (
        alone.run("test", "unit", "-q").stdout.splitlines()[-1].startswith("1 failed, 1 passed in")
    )
    assert not [
        name for name in json.loads((alone.root / "given.json").read_text()) if "AMQP" in name
    ]
