"""The containers: the file is valid, holds no secret and keeps up with the code."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.runtime.settings import Settings
from scripts.stack import compose, processes
from scripts.stack.home import CHECKOUT, Home
from scripts.stack.programs import PYTHON
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
    return yaml.safe_load(FILE.read_text())["services"]


def test_the_file_follows_the_compose_specification() -> None:
    """Docker Compose would accept it: it satisfies the specification's own schema."""
    command = [PYTHON, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", FILE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_there_is_one_service_for_each_kind_of_process(services) -> None:
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


def test_every_setting_can_be_passed_on(services) -> None:
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


def test_the_durability_of_both_ways_is_the_same(services) -> None:
    """The containers' database is as durable as the private one."""
    command = services["mysql"]["command"]
    assert "--innodb-flush-log-at-trx-commit=1" in command
    assert "--innodb-doublewrite=ON" in command
    assert "--transaction-isolation=REPEATABLE-READ" in command
