"""What is installed: from locks with hashes, and only what is missing."""

import itertools
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scripts.locating import locate
from scripts.stack import bootstrap
from scripts.stack.commands.testing import needs_no_servers, pytest_arguments
from scripts.stack.home import CHECKOUT
from scripts.stack.private_servers import servers

GIVEN = {"MYSQL_URL": "mysql://u:p@db", "AMQP_URL": "amqp://u:p@mq:5673/", "REDIS_URL": "redis://r"}


def _pins(lock: str) -> dict[str, str]:
    text = (CHECKOUT / lock).read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)(?: \\|$| ;)", text, re.MULTILINE))


@pytest.mark.parametrize(("small", "large"), list(itertools.pairwise(bootstrap.LOCKS)))
def test_a_larger_lock_holds_the_very_versions_of_the_smaller(small: str, large: str) -> None:
    """Tests and operators run what is shipped."""
    running, more = _pins(small), _pins(large)
    assert len(running) > 30
    assert {name: more.get(name) for name in running} == running


def _asked(part: str) -> set[str]:
    """The packages that pyproject.toml asks for: "product", or one of the extras."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] if part == "product" else extras[part]
    return {re.split(r"[\[<>=~!;\s]", text)[0].lower() for text in wanted}


def test_every_direct_dependency_is_locked() -> None:
    """What pyproject.toml asks for is in the locks, and no package of an extra in the product's."""
    product, operations, development = map(_pins, bootstrap.LOCKS)
    assert _asked("product") <= set(product)
    assert _asked("operations") <= set(operations) - set(product)
    assert _asked("dev") <= set(development) - set(operations)


ONLY_THE_PRODUCT = """
import importlib, importlib.metadata, json, pkgutil, re, sys
allowed = set(json.loads(sys.argv[1]))
owners = importlib.metadata.packages_distributions()
name_of = lambda text: re.sub(r"[-_.]+", "-", text).lower()

class OnlyTheProduct:
    def find_spec(self, name, path=None, target=None):
        owned = {name_of(one) for one in owners.get(name, ())} if path is None else set()
        if owned and not owned & allowed:
            raise ModuleNotFoundError(f"{name} is of {sorted(owned)}, which the image does not have")

sys.meta_path.insert(0, OnlyTheProduct())
count = 0
for package in ("contracts", "db", "gateway", "workers"):
    root = importlib.import_module(package)
    for found in pkgutil.walk_packages(root.__path__, package + "."):
        importlib.import_module(found.name)
        count += 1
print(count)
"""
"""Imports every module of the product as if nothing but the named packages were installed."""


def _import_all(packages: set[str]) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", ONLY_THE_PRODUCT, json.dumps(sorted(packages))]
    return subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def test_the_product_imports_with_the_packages_of_its_image_alone() -> None:
    """No module of the product needs an extra; and the check itself sees a package that is missing."""
    packages = set(_pins("requirements.lock"))
    done = _import_all(packages)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 150
    assert "structlog" in _import_all(packages - {"structlog"}).stderr


def test_the_image_installs_the_lock_of_the_product_alone() -> None:
    """The Dockerfile and what is sent to its builder know no other lock."""
    for name in ("Dockerfile", ".dockerignore"):
        assert set(re.findall(r"[\w-]+\.lock", (CHECKOUT / name).read_text())) == {
            "requirements.lock"
        }


def test_servers_that_are_given_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a bare machine only the packages of servers without a URL are missing."""
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert bootstrap.missing_packages(GIVEN) == []
    assert bootstrap.missing_packages({"MYSQL_URL": GIVEN["MYSQL_URL"]}) == [
        "rabbitmq-server",
        "redis-server",
    ]
    assert len(bootstrap.missing_packages({})) == 3


def test_without_the_right_to_install_the_command_to_run_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A plain user reads what to ask the machine's owner for."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(bootstrap.InstallError, match=r"apt-get install .* redis-server"):
        bootstrap.apt_install(["redis-server"])


def test_a_named_python_is_taken_or_missed_aloud() -> None:
    """EVENTHUB_PYTHON is used, and nothing else in its place."""

    def status(python: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [CHECKOUT / "scripts" / "status", "--help"],
            env=os.environ | {"EVENTHUB_PYTHON": python},
            capture_output=True,
            text=True,
        )

    assert status(sys.executable).returncode == 0
    missing = status("/nowhere/python")
    assert missing.returncode == 1
    assert "EVENTHUB_PYTHON" in missing.stderr


def test_given_urls_are_completed() -> None:
    """A database name and the management API's usual place are filled in, never overwritten."""
    urls = servers.given_urls(GIVEN)
    assert urls["MYSQL_URL"] == "mysql://u:p@db/eventhub"
    assert urls["AMQP_MANAGEMENT_URL"] == "http://u:p@mq:15672"
    named = GIVEN | {"MYSQL_URL": "mysql://u:p@db/mine", "AMQP_MANAGEMENT_URL": "https://mq/api"}
    assert servers.given_urls(named) == named
    assert servers.given_urls({"AMQP_MANAGEMENT_URL": "https://mq/api"}) == {}
    assert servers.given_urls({}) == {}


def test_every_command_finds_its_servers_as_up_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A URL without a database names the one that `up` makes; the rest comes from what `up` left."""
    for name in servers.URLS:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".run").mkdir()
    left = {"mysqlUrl": "mysql://a/b", "redisUrl": "redis://left/0"}
    (tmp_path / ".run" / "eventhub.json").write_text(json.dumps(left))
    assert locate(tmp_path).require_mysql() == "mysql://a/b"
    monkeypatch.setenv("MYSQL_URL", "mysql://u:p@db:3307")
    monkeypatch.setenv("AMQP_URL", GIVEN["AMQP_URL"])
    found = locate(tmp_path)
    assert found.require_mysql() == "mysql://u:p@db:3307/eventhub"
    assert found.require_management() == "http://u:p@mq:15672"
    assert found.redis == "redis://left/0"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], []),
        (["setup"], ["tests/setup"]),
        (["setup", "structure", "-x"], ["tests/setup", "tests/structure", "-x"]),
        (["full"], ["-m", "full or not full"]),
        (["full", "setup"], ["-m", "full or not full", "tests/setup"]),
        (["-k", "setup"], ["-k", "setup"]),
        (["tests/setup/test_install.py"], ["tests/setup/test_install.py"]),
    ],
)
def test_words_become_pytest_arguments(words: list[str], told: list[str]) -> None:
    """A name means its folder, `full` takes in what is left out otherwise, the rest is pytest's."""
    assert pytest_arguments(words) == told


@pytest.mark.parametrize(
    ("arguments", "pure"),
    [
        (["tests/unit"], True),
        (["tests/unit/", "tests/structure", "-x"], True),
        (["tests/unit", "tests/integration"], False),
        (["tests/unit/gateway/test_keys.py"], True),
        (["tests/unit", "tests"], False),
        (["-k", "unit"], False),
        ([], False),
    ],
)
def test_only_pure_folders_need_no_server(arguments: list[str], pure: bool) -> None:
    """In doubt servers are started: a test that needs one must not fail for the lack of it."""
    assert needs_no_servers(arguments) is pure


def test_a_lock_is_installed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A .venv that is up to date is left alone; one of another lock is brought up to date."""
    steps: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "run", lambda argv, *_: steps.append(argv))
    monkeypatch.setattr(
        bootstrap,
        "installed_locks",
        lambda: {lock: bootstrap.locked(lock) for lock in bootstrap.LOCKS[:1]},
    )
    bootstrap.make_venv("requirements.lock")
    assert steps == []
