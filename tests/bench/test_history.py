"""The history of results: added to, never rewritten, and good for comparing."""

import json
from pathlib import Path

from click.testing import CliRunner

from scripts.benching.bench import main
from scripts.benching.history import keep

RESULT = {"bench": "sale", "ordersPerSecond": 2000.0, "p99Ms": 50.0}


def test_results_are_added_to_the_history_of_their_kind(tmp_path: Path) -> None:
    """Two results of a kind are two lines, in order; another kind has a file of its own."""
    keep(RESULT, tmp_path)
    path = keep(RESULT | {"ordersPerSecond": 2100.0}, tmp_path)
    keep({"bench": "door"}, tmp_path)
    rates = [json.loads(line)["ordersPerSecond"] for line in path.read_text().splitlines()]
    assert rates == [2000.0, 2100.0]
    assert {file.name for file in tmp_path.iterdir()} == {"sale.jsonl", "door.jsonl"}


def test_compare_tells_a_regression_by_its_exit_code(tmp_path: Path) -> None:
    """`scripts/bench compare`: 0 when nothing got worse, 1 when something did; a history stands for its last line."""
    history = keep(RESULT | {"ordersPerSecond": 1.0}, tmp_path)
    keep(RESULT, tmp_path)
    after = tmp_path / "after.json"
    after.write_text(json.dumps(RESULT))
    same = CliRunner().invoke(main, ["compare", str(history), str(after)])
    assert (same.exit_code, "ordersPerSecond" in same.output) == (0, True)
    after.write_text(json.dumps(RESULT | {"ordersPerSecond": 1500.0}))
    worse = CliRunner().invoke(main, ["compare", str(history), str(after)])
    assert (worse.exit_code, "worse" in worse.output) == (1, True)


def test_compare_refuses_what_is_no_result(tmp_path: Path) -> None:
    """An empty or broken file is an error with its name, not a stack trace."""
    broken = tmp_path / "broken.json"
    broken.write_text("")
    said = CliRunner().invoke(main, ["compare", str(broken), str(broken)])
    assert said.exit_code == 1
    assert "holds no result" in said.output
