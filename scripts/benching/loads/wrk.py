"""wrk as the load client: bounded load from one thread, its own CPU measured apart.

In: a `WrkLoad`. Out: `Answers`. Source: wrk 4.1 (Debian's package `wrk`), SCRIPTING; the script is `load.lua`.
Must stay true: only loopback; ends by itself at the limit, at the latest a grace period after `seconds`; requests that
were sent are waited for; tokens travel in a file of mode 0600, not in arguments.
"""

import json
import os
import resource
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import click

from contracts.runtime.times import to_wire
from scripts.benching.systems.system import require_loopback
from scripts.stack.bootstrap import InstallError, apt_install

SCRIPT = Path(__file__).with_name("load.lua")
GRACE_SECONDS = 20
"""How long the last answers may take after the last request was sent."""
TIMEOUT_SECONDS = 30
SECONDS_MAX = 600


@dataclass(frozen=True, slots=True)
class WrkLoad:
    """What to send. `limit`: requests; `rate`: a second, 0 = as fast as answers come; `retry`: wait after a 429, in ms.

    purchase: an order, its quote and its confirmation, all three counted as requests; `limit` bounds them together.
    """

    url: str
    clients: int
    seconds: float
    limit: int = 10_000_000
    mode: Literal["orders", "purchase", "scans", "get"] = "orders"
    path: str = "/api/orders"
    tokens: Sequence[tuple[int, str]] = ()
    ticket_types: Sequence[int] = ()
    codes: Sequence[str] = ()
    """Of scans: each is used once, then all of them again."""
    rate: float = 0
    retry: float = 0
    keys: bool = False
    quantity: int = 1


@dataclass(frozen=True, slots=True)
class Answers:
    """What came back. counts: by status, refusals with their code ("409 SOLD_OUT"); times in ms."""

    issued: int
    answered: int
    seconds: float
    counts: Mapping[str, int]
    p50: float
    p90: float
    p99: float
    max: float
    errors: Mapping[str, int]
    client_seconds: float
    """CPU of the client itself."""
    samples: Mapping[str, str] = field(default_factory=dict, repr=False)
    """One answer's body for each of `counts`."""

    @property
    def accepted(self) -> int:
        """Orders that were placed."""
        return self.counts.get("201", 0)

    @property
    def refused(self) -> dict[str, int]:
        """Refusals by status and code, 5xx not among them."""
        return {key: count for key, count in self.counts.items() if key[0] == "4"}

    @property
    def failed(self) -> int:
        """5xx answers, requests that were never answered, broken connections."""
        fives = sum(count for key, count in self.counts.items() if key[0] == "5")
        return fives + max(self.issued - self.answered, 0) + self.errors["connectErrors"]

    def per_second(self, count: int) -> float:
        """So many in the time of this load, per second."""
        return count / self.seconds if self.seconds else 0.0


def find_wrk() -> str:
    """The program, installed from Debian when missing. Raises click.ClickException."""
    if (found := shutil.which("wrk")) is None:
        try:
            apt_install(["wrk"])
        except InstallError as error:
            raise click.ClickException(str(error)) from None
        found = shutil.which("wrk")
    assert found is not None, "apt-get installed wrk"
    return found


def put_load(load: WrkLoad) -> Answers:
    """Run the load to its end. Raises click.ClickException when wrk cannot run or says nothing."""
    require_loopback(load.url)
    if not 0 < load.seconds <= SECONDS_MAX:
        raise click.ClickException(f"a load takes at most {SECONDS_MAX} s")
    with tempfile.TemporaryDirectory(prefix="eventhub-load-") as folder:
        argv = _command(load, Path(folder))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        try:
            done = subprocess.run(
                argv,
                capture_output=True,
                text=True,
                timeout=load.seconds + GRACE_SECONDS + 10,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise click.ClickException("wrk did not end in time and was killed") from None
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return _answers(Path(folder) / "answers.json", done, cpu)


def _command(load: WrkLoad, folder: Path) -> list[str]:
    tokens, types = folder / "tokens", folder / "types"
    with os.fdopen(os.open(tokens, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.writelines(f"{user_id}\t{token}\n" for user_id, token in load.tokens)
    types.write_text("".join(f"{line}\n" for line in (load.codes or load.ticket_types)))
    told = {
        "mode": load.mode,
        "path": load.path,
        "tokens": tokens,
        "types": types,
        "limit": load.limit,
        "seconds": load.seconds,
        "rate": load.rate,
        "retry": load.retry,
        "keys": int(load.keys),
        "quantity": load.quantity,
        "at": to_wire(datetime.now(UTC)),
        "run": secrets.token_hex(6),
        "seed": secrets.randbits(31),
        "out": folder / "answers.json",
    }
    longest = int(load.seconds) + GRACE_SECONDS
    return [
        find_wrk(),
        "-t1",
        f"-c{load.clients}",
        f"-d{longest}s",
        f"--timeout={TIMEOUT_SECONDS}s",
        f"--script={SCRIPT}",
        load.url,
        "--",
        *(f"{name}={value}" for name, value in told.items()),
    ]


def _answers(path: Path, done: subprocess.CompletedProcess[str], cpu: float) -> Answers:
    try:
        said = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        raise click.ClickException(f"wrk failed: {done.stdout}{done.stderr}".strip()) from None
    kinds = ("connectErrors", "readErrors", "writeErrors", "timeouts")
    errors = {kind: said.pop(kind) for kind in kinds}
    return Answers(**said, errors=errors, client_seconds=cpu)
