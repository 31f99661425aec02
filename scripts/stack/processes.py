"""EventHub's own processes: how many of each, with which environment.

In: settings of the caller, secrets and URLs. Out: Programs named `<kind>-<number>`, and how to ask
each whether it is ready. Must stay true: a process keeps its name and its health port over restarts;
only the gateway gets the token keys, and no process gets the first admin's password; one count
changed leaves all other programs as they were.
"""

import hashlib
import json
import os
import subprocess
import sys
from functools import partial

import workers
from scripts.stack import ports, readiness
from scripts.stack.home import CHECKOUT, Home, SetupError, State, write_private
from scripts.stack.programs import PYTHON, Program

KINDS = ("gateway", *workers.KINDS)
MOST = 32
GATEWAY_PORT = 8080
PACKAGES = ("contracts", "db", "gateway", "workers")
# Ours to set for each process, or for `gateway.first_admin` alone.
NOT_PASSED_ON = ("EVENTHUB_PROCESS", "EVENTHUB_HEALTH_PORT", "EVENTHUB_PORT", "EVENTHUB_LOG_FILE")
ADMIN = {"EVENTHUB_ADMIN_EMAIL": "adminEmail", "EVENTHUB_ADMIN_PASSWORD": "adminPassword"}
STEP_SECONDS = 120
DESCRIPTION = "eventhub.json"
KEEPER = "port"
KEEPER_SOURCE = CHECKOUT / "scripts" / "stack" / "port_keeper.py"


def adopt(home: Home, state: State, environment: dict[str, str]) -> None:
    """Take the caller's EVENTHUB_* variables as the settings from now on.

    Those of the last time are forgotten, but for the port, the admin's account and the secrets.
    """
    said = {key: value for key, value in environment.items() if key.startswith("EVENTHUB_")}
    _adopt_admin(home, {kept: said[name] for name, kept in ADMIN.items() if said.get(name)})
    skipped = (*NOT_PASSED_ON, *ADMIN)
    state.settings = {key: value for key, value in said.items() if key not in skipped}
    state.sources = sources()
    _choose_gateway_port(state, said.get("EVENTHUB_PORT", ""))


def _adopt_admin(home: Home, chosen: dict[str, str]) -> None:
    """Keep the caller's admin account; an account that was made already keeps its password."""
    known = home.secrets()
    made = described(home) and chosen.get("adminEmail", known["adminEmail"]) == known["adminEmail"]
    if made and chosen.get("adminPassword", known["adminPassword"]) != known["adminPassword"]:
        print(
            f"note: {known['adminEmail']} was made before and keeps its password", file=sys.stderr
        )
    else:
        home.keep_secrets(chosen)


def described(home: Home) -> bool:
    """True when this home was up before."""
    return (home.root / DESCRIPTION).exists()


def _choose_gateway_port(state: State, asked: str) -> None:
    """Keep the asked port; else the one of last time; else 8080, or a free one if that is taken."""
    if asked:
        if not asked.isdecimal() or not 0 < int(asked) < 65536:
            raise SetupError(f"EVENTHUB_PORT must be a port (1 to 65535), not {asked!r}")
        state.ports["gateway"] = int(asked)
    state.ports.setdefault("gateway", GATEWAY_PORT)


def free_gateway_port(state: State, asked: bool, kept_port: int | None) -> None:
    """See to it that the gateway's port is ours (kept_port: the one that our keeper holds now) or free.

    Raises SetupError when the caller asked for a port that somebody else has.
    """
    port = state.ports["gateway"]
    if port == kept_port or ports.is_free(port, "0.0.0.0"):  # noqa: S104 - where it listens
        return
    if asked:
        raise SetupError(f"EVENTHUB_PORT={port} is in use by another process on this machine")
    state.ports["gateway"] = ports.pick(set(state.ports.values()))


def port_keeper(state: State) -> Program:
    """Return the program that keeps the gateways' port."""
    argv = (str(PYTHON), "-IS", str(KEEPER_SOURCE), str(state.ports["gateway"]))
    return Program(KEEPER, argv, rank=3)


def sources() -> str:
    """Return a fingerprint of EventHub's code, so that `up` after a change runs the new one."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((CHECKOUT / package).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(f"{path.relative_to(CHECKOUT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def names(state: State) -> list[str]:
    """Return the name of every process that should run."""
    counts = {kind: state.counts.get(kind, 1) for kind in KINDS}
    return [f"{kind}-{number + 1}" for kind in KINDS for number in range(counts[kind])]


def environment(state: State, secrets: dict[str, str], urls: dict[str, str]) -> dict[str, str]:
    """Return what every process is told."""
    return {
        "EVENTHUB_LIMITS_OFF_FOR": "127.0.0.0/8",
        "EVENTHUB_SECRET": secrets["secret"],
        "EVENTHUB_JWT_KEYS": secrets["jwtKeys"],
        **state.settings,
        **urls,
        "EVENTHUB_PORT": str(state.ports["gateway"]),
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
    }


def plan(state: State, secrets: dict[str, str], urls: dict[str, str]) -> list[Program]:
    """Return the programs; every name has its health port in state already."""
    common = environment(state, secrets, urls)
    without_keys = {key: value for key, value in common.items() if key != "EVENTHUB_JWT_KEYS"}
    programs = [port_keeper(state)]
    for name in names(state):
        kind = name.rpartition("-")[0]
        module = kind if kind == "gateway" else f"workers.{kind}"
        own = {"EVENTHUB_PROCESS": name, "EVENTHUB_HEALTH_PORT": str(state.ports[name])}
        env = (common if kind == "gateway" else without_keys) | own
        argv = (str(PYTHON), "-m", module)
        programs.append(Program(name, argv, env, stamp=state.sources, keeps_log=True))
    return programs


def checks(state: State) -> dict[str, readiness.Check]:
    """Return how to ask each process whether it is ready."""
    return {name: partial(readiness.process, state.ports[name]) for name in names(state)}


def run_step(module: str, env: dict[str, str]) -> str:
    """Run one of EventHub's preparing modules to its end; return what it printed.

    Raises SetupError with its output when it fails or takes longer than two minutes.
    """
    base = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TZ") if key in os.environ}
    argv = [str(PYTHON), "-m", module]
    try:
        done = subprocess.run(
            argv,
            cwd=CHECKOUT,
            env=base | env,
            capture_output=True,
            text=True,
            timeout=STEP_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"{module} has not ended within {STEP_SECONDS} s") from error
    if done.returncode:
        raise SetupError(f"{module} failed:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def write_description(
    home: Home, state: State, secrets: dict[str, str], urls: dict[str, str]
) -> dict[str, str]:
    """Write `eventhub.json`: where everything is and how to sign in. Return its content."""
    content = {
        "gatewayUrl": f"http://127.0.0.1:{state.ports['gateway']}",
        "mysqlUrl": urls["MYSQL_URL"],
        "amqpUrl": urls["AMQP_URL"],
        "amqpManagementUrl": urls["AMQP_MANAGEMENT_URL"],
        "redisUrl": urls["REDIS_URL"],
        "adminEmail": secrets["adminEmail"],
        "adminPassword": secrets["adminPassword"],
    }
    write_private(home.root / DESCRIPTION, json.dumps(content, indent=2) + "\n")
    return content
