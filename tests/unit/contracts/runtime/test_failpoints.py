"""Failpoints: only with both switches, only at their place and time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.runtime import failpoints
from contracts.runtime.failpoints import (
    ARMED,
    FIRED,
    POINTS,
    SWITCH,
    armed_reach,
    parse,
)

REACH = "from contracts.runtime.failpoints import reach; reach('worker.committed'); print('alive')"


def _run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", REACH],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_both_switches_nothing_happens(tmp_path: Path) -> None:
    """The variable alone, as a leak into production would be, arms nothing; the option alone neither."""
    armed = {ARMED: "worker.committed=kill", FIRED: str(tmp_path / "fired")}
    for run in (_run(), _run(**armed), _run("-X", SWITCH)):
        assert (run.returncode, run.stdout) == (0, "alive\n")
    assert failpoints.reach is failpoints._off
    assert not (tmp_path / "fired").exists()


def test_with_both_the_process_dies_there_and_says_so_first(tmp_path: Path) -> None:
    """SIGKILL at the armed place; the place is on record."""
    run = _run("-X", SWITCH, **{ARMED: "worker.committed=kill", FIRED: str(tmp_path / "fired")})
    assert (run.returncode, run.stdout) == (-signal.SIGKILL, "")
    assert (tmp_path / "fired").read_text() == "worker.committed\n"


def test_the_nth_time_and_once(tmp_path: Path) -> None:
    """`@2` lets the first time pass, acts at the second, and lets the third pass."""
    acted: list[int] = []
    environment = {ARMED: "relay.published=stop@2", FIRED: str(tmp_path / "fired")}
    reach = armed_reach(environment, lambda _, number: acted.append(number))
    for expected in ([], [signal.SIGSTOP], [signal.SIGSTOP]):
        reach("relay.published")
        reach("relay.marked")
        assert acted == expected


@pytest.mark.parametrize("text", ["worker.nowhere=kill", "worker.acked=explode", "worker.acked"])
def test_a_misspelt_failpoint_stops_the_process(text: str) -> None:
    """A run that tests nothing must not look like one that passed."""
    with pytest.raises(ValueError, match="no failpoint"):
        parse(text)


def test_every_point_is_reached_in_the_code() -> None:
    """A name in the list has its one place at least, and no place has a name outside the list (mypy checks that)."""
    root = Path(failpoints.__file__).parents[2]
    code = "".join(
        path.read_text() for part in ("gateway", "workers") for path in (root / part).rglob("*.py")
    )
    assert {point for point in POINTS if f'failpoints.reach("{point}")' not in code} == set()
