"""scripts/up, down and status as an operator meets them, with stand-ins for EventHub's processes."""

import json
import os
import signal
import socket
import stat
from pathlib import Path

import pytest

from tests.setup.standin import Checkout, eventually, runs
from workers import KINDS

NAMES = {"port", "gateway-1", *(f"{worker}-1" for worker in KINDS)}


def test_status_lists_every_process_with_its_pid(running: Checkout) -> None:
    """`status --json` is {processes: [{name, pid, state}]}, each of them alive."""
    shown = json.loads(running.run("status", "--json").stdout)
    assert {tuple(sorted(process)) for process in shown["processes"]} == {("name", "pid", "state")}
    assert {process["name"] for process in shown["processes"]} == NAMES
    assert {process["state"] for process in shown["processes"]} == {"RUNNING"}
    assert all(runs(process["pid"]) for process in shown["processes"])
    assert running.run("status").returncode == 0


def test_status_of_nothing_is_an_empty_list(checkout: Checkout) -> None:
    """A checkout that was never up has a JSON answer, too; the table's exit code says 3."""
    assert json.loads(checkout.run("status", "--json").stdout) == {"processes": []}
    assert checkout.run("status").returncode == 3


def test_data_is_prepared_before_any_process_starts(running: Checkout) -> None:
    """Migrations run first, then the first admin is made, with the account that `up` shows."""
    steps = (running.root / "steps.txt").read_text().split()
    described = json.loads((running.root / ".run" / "eventhub.json").read_text())
    assert [Path(step).name for step in steps[::2]][:1] == ["migrate.py"]
    assert steps[-1] == described["adminEmail"]


def test_the_description_is_complete_and_private(running: Checkout) -> None:
    """.run/eventhub.json names all servers and the admin; nobody else on the machine can read it."""
    path = running.root / ".run" / "eventhub.json"
    assert set(json.loads(path.read_text())) == {
        "gatewayUrl",
        "mysqlUrl",
        "amqpUrl",
        "amqpManagementUrl",
        "redisUrl",
        "adminEmail",
        "adminPassword",
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_secret_is_readable_by_others_or_seen_in_arguments(running: Checkout) -> None:
    """Neither a file with open modes nor a command line holds any generated secret."""
    home = running.root / ".run"
    secrets = set(json.loads((home / "secrets.json").read_text()).values())
    secrets.remove(json.loads((home / "secrets.json").read_text())["adminEmail"])
    exposed = [p for p in home.rglob("*") if p.is_file() and p.stat().st_mode & 0o077]
    assert not [p for p in exposed if any(s in p.read_text(errors="replace") for s in secrets)]
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert not any(s in (home / "supervisord.conf").read_text() for s in secrets)
    for pid in running.pids().values():
        assert not any(s in Path(f"/proc/{pid}/cmdline").read_text() for s in secrets)


def test_processes_are_told_what_they_need_and_no_more(running: Checkout) -> None:
    """Only the gateway gets the token keys; nobody gets the admin's password."""
    gateway, worker = running.environment_of("gateway-1"), running.environment_of("order-1")
    assert gateway["EVENTHUB_PROCESS"] == "gateway-1"
    assert worker["EVENTHUB_PROCESS"] == "order-1"
    assert worker["EVENTHUB_LIMITS_OFF_FOR"] == "127.0.0.0/8"
    assert {"MYSQL_URL", "AMQP_URL", "AMQP_MANAGEMENT_URL", "REDIS_URL", "EVENTHUB_SECRET"} <= set(
        worker
    )
    assert "EVENTHUB_JWT_KEYS" in gateway
    assert "EVENTHUB_JWT_KEYS" not in worker
    assert not [key for key in {**gateway, **worker} if "ADMIN" in key]


def test_a_second_up_changes_nothing(running: Checkout) -> None:
    """On a running system `up` says so and restarts nobody."""
    running.up()
    before = running.pids()
    assert "running already; unchanged" in running.up().stdout
    assert running.pids() == before


def test_up_restarts_what_was_killed_and_supervision_does_so_alone(running: Checkout) -> None:
    """kill -9 of one process: it comes back with the same name and port, the others never notice."""
    before, port = running.pids(), running.state()["ports"]["payment-1"]
    os.kill(before["payment-1"], signal.SIGKILL)
    eventually(
        lambda: running.pids()["payment-1"] not in (None, before["payment-1"]),
        "payment-1 is restarted",
    )
    running.up()
    after = running.pids()
    assert {name for name in NAMES if before[name] != after[name]} == {"payment-1"}
    assert running.state()["ports"]["payment-1"] == port


def test_a_changed_setting_reaches_the_processes(running: Checkout) -> None:
    """`up` with another EVENTHUB_* value restarts the processes with it; the port stays."""
    before, port = running.pids(), running.state()["ports"]["gateway"]
    running.up(EVENTHUB_ORDER_TTL="8")
    assert running.environment_of("order-1")["EVENTHUB_ORDER_TTL"] == "8"
    assert running.state()["ports"]["gateway"] == port
    assert _same(before, running.pids()) == {"port"}
    running.up()
    assert "EVENTHUB_ORDER_TTL" not in running.environment_of("order-1")


def _same(before: dict[str, int | None], after: dict[str, int | None]) -> set[str]:
    """Return the names whose process is still the same one."""
    return {name for name, pid in before.items() if after.get(name) == pid}


def test_the_admin_account_is_the_callers_at_first_and_stays(checkout: Checkout) -> None:
    """The account named at the first `up` is made and described; a later password changes nothing."""
    path = checkout.root / ".run" / "eventhub.json"
    checkout.up(
        EVENTHUB_ADMIN_EMAIL="boss@example.com", EVENTHUB_ADMIN_PASSWORD="long enough at first"
    )
    described = json.loads(path.read_text())
    assert described["adminEmail"] == "boss@example.com"
    assert described["adminPassword"] == "long enough at first"
    done = checkout.up(EVENTHUB_ADMIN_PASSWORD="another that is long enough")
    assert "boss@example.com was made before and keeps its password" in done.stderr
    assert json.loads(path.read_text()) == described


def test_changed_code_is_run_by_the_next_up(running: Checkout) -> None:
    """`up` after an edit restarts the processes: nobody tests yesterday's code by accident."""
    before = running.pids()
    (running.root / "workers" / "order" / "new.py").write_text('"""New."""\n')
    running.up()
    assert _same(before, running.pids()) == {"port"}


def test_down_ends_every_process_and_keeps_the_secrets(checkout: Checkout) -> None:
    """After `down` nothing is left running; the next `up` has the same secrets; --purge forgets them."""
    checkout.up()
    pids, secrets = checkout.pids(), (checkout.root / ".run" / "secrets.json").read_text()
    supervisor = int((checkout.root / ".run" / "supervisord.pid").read_text())
    assert checkout.run("down").returncode == 0
    assert not [pid for pid in [*pids.values(), supervisor] if runs(pid)]
    assert (checkout.root / ".run" / "secrets.json").read_text() == secrets
    assert checkout.run("down", "--purge").returncode == 0
    assert not list((checkout.root / ".run").glob("*.json"))


def test_processes_do_not_outlive_a_killed_supervisor(running: Checkout) -> None:
    """kill -9 of supervisord takes its processes along, and the next `up` starts afresh."""
    pids = running.pids()
    os.kill(int((running.root / ".run" / "supervisord.pid").read_text()), signal.SIGKILL)
    eventually(lambda: not any(map(runs, pids.values())), "the processes end with supervisord")
    running.up()
    assert set(running.pids()) == NAMES
    assert not _same(pids, running.pids())


def test_a_process_that_ends_at_once_is_named_with_its_log(running: Checkout) -> None:
    """`up` fails, says which process is at fault and shows why, instead of waiting for ever."""
    done = running.run("up", "--detach", EVENTHUB_STANDIN="broken")
    assert done.returncode == 1
    assert "-1 is not ready: it ends again and again" in done.stderr
    assert "stand-in: refusing to start, as told" in done.stderr
    running.up()


def test_each_process_writes_its_log_file_itself(running: Checkout) -> None:
    """Lines and errors go straight to the file that `up` names; after a restart to the end of the same one."""
    running.up()
    logs = running.root / ".run" / "logs"
    pid = running.pids()["notify-1"]
    assert {os.readlink(f"/proc/{pid}/fd/{stream}") for stream in (1, 2)} == {
        str((logs / "notify-1.log").resolve())
    }
    before = (logs / "notify-1.log").read_text()
    os.kill(pid or 0, signal.SIGKILL)
    eventually(
        lambda: (logs / "notify-1.log").read_text() == before + "stand-in notify-1 listens\n",
        "the next one adds to the log",
    )
    assert not [file for file in logs.iterdir() if file.stat().st_mode & 0o077]


def test_a_deep_folder_is_no_obstacle(make_checkout, tmp_path: Path) -> None:
    """A checkout whose path is longer than a unix socket's may be works all the same."""
    deep = make_checkout(tmp_path / ("deep" * 15) / ("folder with spaces & 100%" * 3))
    deep.up()
    assert set(deep.pids()) == NAMES
    sockets = Path(deep.state()["sockets"])
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert deep.run("down", "--purge").returncode == 0
    assert not sockets.exists()


def test_a_busy_port_is_refused_and_what_runs_goes_on(running: Checkout) -> None:
    """A port that somebody else has, or that is none, is told to the caller; nothing is restarted."""
    running.up()
    before = running.pids()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = running.run("up", "--detach", EVENTHUB_PORT=str(port))
        assert done.returncode == 1
        assert f"EVENTHUB_PORT={port} is in use" in done.stderr
    assert running.run("up", "--detach", EVENTHUB_PORT="eighty").returncode == 1
    assert running.pids() == before


def test_the_port_stays_ours_while_the_gateway_is_away(running: Checkout) -> None:
    """Between a gateway's end and its restart nobody else can take its port, so no other checkout does."""
    port = running.state()["ports"]["gateway"]
    os.kill(running.pids()["gateway-1"], signal.SIGKILL)
    for _ in range(20):
        with pytest.raises(OSError, match="in use"), socket.create_server(("0.0.0.0", port)):
            pass
    running.up()
    assert running.state()["ports"]["gateway"] == port


def test_in_the_foreground_ctrl_c_brings_it_down(checkout: Checkout) -> None:
    """Without --detach `up` shows the logs, and the system ends with it."""
    process = checkout.start("up")
    assert process.stdout
    try:
        shown = iter(process.stdout)
        assert any("EventHub is ready" in line for line in shown)
        pids = checkout.pids()
        os.kill(pids["quote-1"], signal.SIGKILL)
        assert any("quote-1" in line and "listens" in line for line in shown)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert not [pid for pid in pids.values() if runs(pid)]


def test_two_checkouts_run_side_by_side(running: Checkout, make_checkout) -> None:
    """A second checkout gets ports of its own, and its `down` leaves the first alone."""
    before = running.pids()
    second = make_checkout()
    second.up()
    assert not set(running.state()["ports"].values()) & set(second.state()["ports"].values())
    assert second.run("down").returncode == 0
    assert running.pids() == before
