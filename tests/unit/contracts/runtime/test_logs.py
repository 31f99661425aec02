"""Log lines: JSON, with the ids, without secrets."""

import io
import json
import subprocess
import sys

from contracts.runtime.logs import MASKED, LineLog, mask_secrets
from tests.harness.waiting import eventually

SCRIPT = """
import logging, structlog
from contracts.runtime import logs
logs.configure("inventory-1", "info")
structlog.contextvars.bind_contextvars(request_id="r-1", command_id="c-1")
structlog.get_logger("x").info("sold", order_id=17, access_token="abc", password="hunter2")
structlog.get_logger("x").debug("never seen")
logging.getLogger("aio_pika").warning("lost %s", "connection")
logging.getLogger("aio_pika").info("never seen")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("x").exception("broken")
"""


def test_every_line_is_json_with_its_ids() -> None:
    """Ours and the libraries' alike: level, time, process, bound ids; a trace is a member, not lines."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, check=True, text=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["sold", "lost connection", "broken"]
    for line in lines:
        assert line["process"] == "inventory-1"
        assert line["timestamp"].endswith("Z")
        assert (line["request_id"], line["command_id"]) == ("r-1", "c-1")
    assert lines[0]["order_id"] == 17
    assert (lines[0]["access_token"], lines[0]["password"]) == (MASKED, MASKED)
    assert "hunter2" not in done.stdout
    assert "ZeroDivisionError" in lines[2]["exception"]


def test_members_named_like_a_secret_are_masked() -> None:
    """By name, whatever the value is; neighbours stay."""
    given = {
        "event": "x",
        "refresh_token": "a",
        "passwordHash": "b",
        "Authorization": "c",
        "user_id": 1,
    }
    masked = mask_secrets(None, "info", dict(given) | {"authorization": "d"})
    assert masked["refresh_token"] == masked["passwordHash"] == masked["authorization"] == MASKED
    assert masked["user_id"] == 1


async def test_lines_are_written_together_and_in_order() -> None:
    """Nothing is written line by line, everything soon after."""
    stream = io.BytesIO()
    log = LineLog("request", "gateway-1", stream)
    for number in range(3):
        log.write({"status": 200, "number": number})
    assert stream.getvalue() == b""

    async def written() -> list[dict[str, object]]:
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    lines = await eventually(written)
    assert [line["number"] for line in lines] == [0, 1, 2]
    assert {line["process"] for line in lines} == {"gateway-1"}
    assert all(str(line["timestamp"]).endswith("Z") for line in lines)


def test_the_last_lines_of_a_process_are_written() -> None:
    """A process that ends in order loses no line, whatever still waited."""
    script = (
        "import asyncio\nfrom contracts.runtime.logs import LineLog\nlog = LineLog('request', 'gateway-1')\n"
        "async def main(): log.write({'number': 1})\nasyncio.run(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    assert json.loads(done.stdout)["number"] == 1
