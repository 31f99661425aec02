"""The servers as one set: which are ours, which the caller gave, where they are.

In: a home and the URLs that the caller gave. Out: Programs, the four URLs, and waiting until they
answer. Must stay true: a server whose URL is given is neither started nor stopped.

Also the command `scripts/servers start|env|stop [--root DIR]`: only the servers, for development.
"""

import argparse
import os
import shlex
import shutil
import sys
import urllib.parse
from functools import partial
from pathlib import Path

from scripts.stack.home import CHECKOUT, Home, SetupError, State
from scripts.stack.private_servers import mysql_server, rabbitmq_server, readiness, redis_server
from scripts.stack.supervised import ports
from scripts.stack.supervised.programs import Program
from scripts.stack.supervised.supervision import Supervision

URLS = ("MYSQL_URL", "AMQP_URL", "AMQP_MANAGEMENT_URL", "REDIS_URL")
RANKS = {"epmd": 1, "mysql": 2, "redis": 2, "rabbitmq": 2, "port": 2}
START_SECONDS = 60


def given_urls(environment: dict[str, str]) -> dict[str, str]:
    """Return the URLs of servers that the caller runs, completed to what EventHub needs.

    A MYSQL_URL without a database names `eventhub`; without AMQP_MANAGEMENT_URL the broker's
    management API is looked for on its usual port (15672) with the same account.
    """
    given = {name: environment[name] for name in URLS if environment.get(name)}
    if "AMQP_URL" not in given:
        given.pop("AMQP_MANAGEMENT_URL", None)  # It belongs to a broker that we do not use.
    elif "AMQP_MANAGEMENT_URL" not in given:
        account, at, host = urllib.parse.urlsplit(given["AMQP_URL"]).netloc.rpartition("@")
        given["AMQP_MANAGEMENT_URL"] = f"http://{account}{at}{host.partition(':')[0]}:15672"
    mysql = urllib.parse.urlsplit(given.get("MYSQL_URL", "mysql://x/x"))
    if not mysql.path.strip("/"):
        given["MYSQL_URL"] = mysql._replace(path=f"/{mysql_server.DATABASE}").geturl()
    return given


def plan(home: Home, state: State, running: set[str]) -> tuple[list[Program], dict[str, str]]:
    """Prepare the servers that are ours; return their programs and all four URLs.

    Raises SetupError when one is not installed or cannot be prepared.
    """
    secrets = home.secrets()
    home.socket_folder(state)
    programs: list[Program] = []
    if "AMQP_URL" not in state.urls:
        alive = set(rabbitmq_server.PORTS) if rabbitmq_server.NAME in running else running
        ports.assign(state.ports, rabbitmq_server.PORTS, alive)
        programs += rabbitmq_server.prepare(home, state, secrets)
    for key, server in (("MYSQL_URL", mysql_server), ("REDIS_URL", redis_server)):
        if key not in state.urls:
            ports.assign(state.ports, [server.NAME], running)
            programs.append(server.prepare(home, state, secrets))
    home.save(state)
    return programs, urls(state, secrets)


def urls(state: State, secrets: dict[str, str]) -> dict[str, str]:
    """Return the URLs of all servers, ours and given ones, once `plan` has given ours their ports."""
    ours = {
        "MYSQL_URL": mysql_server.url,
        "AMQP_URL": rabbitmq_server.url,
        "AMQP_MANAGEMENT_URL": rabbitmq_server.management_url,
        "REDIS_URL": redis_server.url,
    }
    return {name: state.urls.get(name) or ours[name](state, secrets) for name in URLS}


def checks(urls: dict[str, str]) -> dict[str, readiness.Check]:
    """Return how to ask each server whether it is ready."""
    return {
        "mysql": partial(readiness.mysql, urls["MYSQL_URL"]),
        "rabbitmq": partial(readiness.amqp, urls["AMQP_URL"]),
        "rabbitmq-management": partial(readiness.amqp_management, urls["AMQP_MANAGEMENT_URL"]),
        "redis": partial(readiness.redis, urls["REDIS_URL"]),
    }


def start(home: Home, state: State) -> dict[str, str]:
    """Start the servers that are ours, wait for all four, return the URLs."""
    running = {p.name for p in Supervision(home, state).processes() if p.pid}
    programs, all_urls = plan(home, state, running)
    supervision = Supervision(home, state)
    if programs:
        supervision.apply(programs)
    await_ready(supervision, checks(all_urls), START_SECONDS)
    return all_urls


def await_ready(
    supervision: Supervision, asked: dict[str, readiness.Check], seconds: float
) -> None:
    """Wait until all of these are ready.

    Raises SetupError that names each one that is not, why, and the last lines of its log.
    """
    missing = readiness.wait_for(asked, seconds, supervision.doomed)
    if missing:
        told = [f"{n} is not ready: {why}{_tail(supervision, n)}" for n, why in missing.items()]
        raise SetupError("\n".join(told))


def _tail(supervision: Supervision, name: str, lines: int = 15) -> str:
    """Return the end of a process's log, "" when it is none of ours."""
    log = supervision.home.logs / f"{name}.log"
    if name not in {process.name for process in supervision.processes()} or not log.exists():
        return ""
    end = log.read_text(errors="replace").splitlines()[-lines:]
    return "\n  ".join([f"\n  last lines of {log}:", *end])


def stop(home: Home, state: State) -> None:
    """Stop whatever this home runs."""
    Supervision(home, state).shut_down(RANKS)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="scripts/servers", description="Servers only.")
    parser.add_argument("action", choices=["start", "env", "stop"])
    parser.add_argument("--root", type=Path, default=CHECKOUT / ".run" / "servers")
    parser.add_argument("--purge", action="store_true", help="with stop: delete the data, too")
    options = parser.parse_args()
    home = Home(options.root.absolute())
    try:
        return _run(home, options.action, options.purge)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1


def _run(home: Home, action: str, purge: bool) -> int:
    if action == "stop":
        stop(home, home.load())
        if purge:
            shutil.rmtree(home.root, ignore_errors=True)
        return 0
    with home.lock():
        state = home.load()
        if action == "start":
            shown = start(home, state)
        elif Supervision(home, state).alive():
            shown = urls(state, home.secrets())
        else:
            raise SetupError(f"none run: scripts/servers start --root {home.root}")
    for name, url in shown.items():
        print(f"export {name}={shlex.quote(url)}")
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
