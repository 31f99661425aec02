"""What people give the commands at a door and what is none: one sentence, exit code 1, no traceback."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from scripts.gating import main, verify


@pytest.mark.parametrize(
    "text",
    ["", "x", "{}", "[]", '{"keys": 5}', '{"keys": [{"kty": "OKP"}]}', '{"keys": [{"kid": []}]}'],
)
def test_what_is_no_key_set_is_said(tmp_path: Path, text: str) -> None:
    """By a file or an address: never taken for a forged ticket."""
    file = tmp_path / "keys.json"
    file.write_text(text)
    for where in (str(file), str(tmp_path / "none"), "http://no host"):
        ended = CliRunner().invoke(verify.main, ["a.b.c", "--keys", where])
        assert ended.exit_code == 1
        assert f"no key set at {where}" in ended.output
        assert isinstance(ended.exception, SystemExit)


@pytest.mark.parametrize("command", ["run", "sync", "status"])
def test_what_is_no_gates_file_is_said(tmp_path: Path, command: str) -> None:
    """Another file, a folder that is not there; nothing in it is touched."""
    other = tmp_path / "letter.txt"
    other.write_text("Dear organizer, " * 100)
    for file in (other, tmp_path / "none" / "gate.sqlite"):
        ended = CliRunner().invoke(
            main.main,
            ["--url", "http://127.0.0.1:1", "--file", str(file), command],
            env={"EVENTHUB_GATE_TOKEN": "ehg_x"},
        )
        assert ended.exit_code == 1
        assert "the gate's file cannot be used" in ended.output
        assert isinstance(ended.exception, SystemExit)
    assert other.read_text() == "Dear organizer, " * 100
