"""`scripts/up`: from a checkout to a running EventHub; on a running one, apply what changed.

In: EVENTHUB_* settings, URLs of servers to use instead of ours. Out: processes that answer /readyz,
`.run/eventhub.json`. Must stay true: safe to run again at any time; what did not change is not
restarted; without --detach the system lives exactly as long as this command.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Mapping
from types import FrameType, MappingProxyType

from scripts.stack import accounts
from scripts.stack.commands import compose, follow
from scripts.stack.home import CHECKOUT, Home, SetupError, State
from scripts.stack.private_servers import servers
from scripts.stack.supervised import ports, processes
from scripts.stack.supervised.supervision import Supervision

READY_SECONDS = 90


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="scripts/up", description="Start EventHub.")
    parser.add_argument("--detach", action="store_true", help="return when everything is ready")
    parser.add_argument("--compose", action="store_true", help="in containers, by Docker Compose")
    options = parser.parse_args()
    os.umask(0o077)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _interrupt)
    home = Home(CHECKOUT / ".run")
    try:
        if options.compose:
            return compose.up(home, detach=options.detach)
        return _up(home, options.detach)
    except (SetupError, OSError) as error:
        print(f"{error}\nscripts/down stops what runs.", file=sys.stderr)
        return 1


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _up(home: Home, detach: bool) -> int:
    began = time.monotonic()
    ran_before = bool(_eventhubs(_look(home)[2]))
    try:
        with home.lock():
            changed = bring_up(home, dict(os.environ))
        report(home, changed, ran_before, time.monotonic() - began)
        if not detach and not ran_before:
            follow.follow(home)
    except KeyboardInterrupt:
        if ran_before or detach:
            return 130
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Stopping is bounded; let it end.
        print("\nstopping", file=sys.stderr)
        servers.stop(home, home.load())
    return 0


def bring_up(home: Home, environment: dict[str, str]) -> list[str]:
    """Start what does not run, change what should run differently; return the changed names.

    Raises SetupError that names what does not become ready, with the end of its log.
    """
    state, supervision, running = _look(home)
    before = state.ports.get("gateway")
    state.compose, state.urls = False, servers.given_urls(environment)
    processes.adopt(home, state, environment)
    asked = bool(environment.get("EVENTHUB_PORT"))
    processes.free_gateway_port(state, asked, before if processes.KEEPER in running else None)
    own, urls = servers.plan(home, state, running)
    supervision = Supervision(home, state)
    # The port is kept from here on, or another checkout's `up` might choose it meanwhile.
    changed = supervision.apply([*own, processes.port_keeper(state)], keep_others=True)
    servers.await_ready(supervision, servers.checks(urls), servers.START_SECONDS)
    secrets = home.secrets()
    said = _prepare_data(state, secrets, urls)
    if "exists" in said and not processes.described(home):
        print(f"note: {said}; its password is the one it had", file=sys.stderr)
    changed += start_processes(home, state, running)
    # Only now: what the release before needed and this one does not, a process of it may have needed until just now.
    _make_accounts("db.privileges.grants", state, secrets, urls, accounts.TIDY)
    processes.write_description(home, state, secrets, urls)
    return changed


def start_processes(home: Home, state: State, running: set[str]) -> list[str]:
    """Make EventHub's processes run as state says; wait for them; return the changed names."""
    secrets = home.secrets()
    supervision = Supervision(home, state)
    own, urls = servers.plan(home, state, running | set(servers.RANKS))
    ports.assign(state.ports, processes.names(state), running)
    home.save(state)
    changed = supervision.apply([*own, *processes.plan(state, secrets, urls)])
    servers.await_ready(supervision, processes.checks(state), READY_SECONDS)
    supervision.settle()
    return changed


def report(home: Home, changed: list[str], ran_before: bool, seconds: float) -> None:
    """Tell the operator where everything is."""
    state = home.load()
    if ran_before:
        done = f"started or changed: {', '.join(sorted(set(changed)))}" if changed else "unchanged"
        print(f"EventHub was running already; {done}.")
    else:
        print(f"EventHub is ready after {seconds:.0f} s.")
    url = f"http://127.0.0.1:{state.ports['gateway']}"
    print(f"  gateway  {url}\n  docs     {url}/docs")
    print(f"  admin    {home.secrets()['adminEmail']} (password: {home.root / 'eventhub.json'})")
    print(f"  logs     {home.logs}", flush=True)


def _look(home: Home) -> tuple[State, Supervision, set[str]]:
    state = home.load()
    supervision = Supervision(home, state)
    return state, supervision, {p.name for p in supervision.processes() if p.pid}


def _eventhubs(running: set[str]) -> set[str]:
    """Return the processes that are EventHub's own, not servers."""
    return {name for name in running if name.rpartition("-")[0] in processes.KINDS}


def _prepare_data(state: State, secrets: dict[str, str], urls: dict[str, str]) -> str:
    """Bring the tables up to date and see that there is an admin; return what is said of the admin."""
    env = processes.environment(state, secrets, urls) | {"EVENTHUB_PROCESS": "setup-1"}
    said = processes.run_step("contracts.runtime.settings_check", env)
    print(said, *accounts.warnings(state), sep="\n", end="", file=sys.stderr)
    own = {kind: accounts.own_urls(state, secrets, urls, kind) for kind in ("migration", "gateway")}
    # Twice: the migration needs its account, and the others' rights are rights on tables.
    _make_accounts("db.privileges.grants", state, secrets, urls)
    processes.run_step("db.migrate", env | own["migration"])
    _make_accounts("db.privileges.grants", state, secrets, urls)
    _make_accounts("contracts.messaging.accounts", state, secrets, urls)
    admin = {name: secrets[kept] for name, kept in processes.ADMIN.items()}
    return processes.run_step("gateway.first_admin", env | own["gateway"] | admin).strip()


def _make_accounts(
    module: str,
    state: State,
    secrets: dict[str, str],
    urls: dict[str, str],
    more: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Run one of the steps that make accounts, if there is a server for it that is ours."""
    told = accounts.step_environment(state, secrets, urls)
    if any(name.startswith(accounts.STEPS[module]) for name in told):
        env = processes.environment(state, secrets, urls) | {"EVENTHUB_PROCESS": "setup-1"}
        processes.run_step(module, env | told | dict(more))


if __name__ == "__main__":
    sys.exit(main())
