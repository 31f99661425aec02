"""The containers: the file is valid, holds no secret and keeps up with the code."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.runtime.settings import Settings
from scripts.stack.commands import compose
from scripts.stack.home import CHECKOUT, Home
from scripts.stack.supervised import processes
from scripts.stack.supervised.programs import PYTHON
from workers import KINDS

FILE = CHECKOUT / "docker-compose.yml"
PER_PROCESS = {
    "EVENTHUB_PROCESS",
    "EVENTHUB_PORT",
    "EVENTHUB_HEALTH_PORT",
    "EVENTHUB_JWT_KEYS",
    "EVENTHUB_LOG_FILE",
}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services, anchors and merge keys resolved."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]
    return found


def test_the_file_follows_the_compose_specification() -> None:
    """Docker Compose would accept it: it satisfies the specification's own schema."""
    command = [str(PYTHON), "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(FILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_there_is_one_service_for_each_kind_of_process(services: dict[str, Any]) -> None:
    """What `scripts/up` starts, Compose starts, too; each with a probe and servers that are ready."""
    ours = {name for name, one in services.items() if one.get("image") == "eventhub:local"}
    assert ours - {"gateway"} >= set(KINDS)
    assert {name for name in ours if "workers." in str(services[name]["command"])} == set(KINDS)
    for kind in processes.KINDS:
        assert "/readyz" in services[kind]["healthcheck"]["test"][-1]
        assert services[kind]["depends_on"]["mysql"] == {"condition": "service_healthy"}
        assert services[kind]["depends_on"]["rabbitmq"] == {"condition": "service_healthy"}
        finished = {"condition": "service_completed_successfully"}
        assert services[kind]["depends_on"]["flyway"] == finished
        module = kind if kind == "gateway" else f"workers.{kind}"
        assert services[kind]["command"][-1].endswith(f"exec python -m {module}")


def test_every_setting_can_be_passed_on(services: dict[str, Any]) -> None:
    """A variable that the code reads is not lost on the way into the container."""
    prefix = str(Settings.model_config["env_prefix"])
    read = {
        f"{prefix}{name}".upper()
        for name, field in Settings.model_fields.items()
        if not field.validation_alias
    }
    for kind in processes.KINDS:
        assert read - PER_PROCESS <= set(services[kind]["environment"])
    assert "EVENTHUB_JWT_KEYS" in services["gateway"]["environment"]
    assert "EVENTHUB_JWT_KEYS" not in services["inventory"]["environment"]


def test_each_kind_has_accounts_of_its_own(services: dict[str, Any]) -> None:
    """As `scripts/up` gives them: no process may do everything, one step makes them all and may."""
    for kind in processes.KINDS:
        told = services[kind]["environment"]
        for name in ("MYSQL_URL", "AMQP_URL"):
            assert f"//eventhub_{kind}:${{{kind.upper()}_PASSWORD" in told[name]
            made = services["accounts"]["environment"][f"{name}_{kind.upper()}"]
            assert told[name] == made
        assert told["EVENTHUB_TOPOLOGY"] == "expect"
        assert "AMQP_MANAGEMENT_URL" in told or kind != "gateway"
        assert "ROOT" not in str(told)
        finished = {"condition": "service_completed_successfully"}
        assert services[kind]["depends_on"]["accounts"] == finished


def test_no_secret_has_a_default() -> None:
    """Each secret is a required variable: Compose stops without it instead of inventing one."""
    text = FILE.read_text()
    secret = r"\$\{(\w*(?:PASSWORD|SECRET|JWT_KEYS|ADMIN_EMAIL)\w*)(:\?)?"
    found = re.findall(secret, text)
    assert {name for name, _ in found} >= {"MYSQL_PASSWORD", "AMQP_PASSWORD", "REDIS_PASSWORD"}
    assert not [name for name, required in found if not required]


def test_the_written_variables_are_those_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`up --compose` writes every required variable to .env, mode 0600, and keeps what is there."""
    target = tmp_path / ".env"
    target.write_text("MYSQL_PASSWORD=mine\n# a remark\n")
    monkeypatch.setattr(compose, "ENV_FILE", target)
    home = Home(tmp_path / "home")
    home.prepare()
    compose.write_env(home)
    compose.write_env(home)
    lines = target.read_text().splitlines()
    assert lines[:2] == ["MYSQL_PASSWORD=mine", "# a remark"]
    names = [line.partition("=")[0] for line in lines if not line.startswith("#")]
    assert sorted(names) == sorted(set(re.findall(r"\$\{(\w+):\?", FILE.read_text())))
    assert target.stat().st_mode & 0o777 == 0o600


def test_the_durability_of_both_ways_is_the_same(services: dict[str, Any]) -> None:
    """The containers' database is as durable as the private one."""
    command = services["mysql"]["command"]
    assert "--innodb-flush-log-at-trx-commit=1" in command
    assert "--innodb-doublewrite=ON" in command
    assert "--transaction-isolation=REPEATABLE-READ" in command
