"""The report says what broke, and never that all is well when nothing ran."""

from pathlib import Path

import pytest

from scripts.proving.report import notes_of, parts_of, render

JUNIT = """<testsuites><testsuite>
<testcase classname="tests.faults.test_deaths" name="test_a" time="1.5"/>
<testcase classname="tests.faults.test_deaths" name="test_b" time="2">
<failure message="oversold by 3&#10;more"/></testcase>
<testcase classname="tests.faults.test_wires" name="test_c" time="1"/>
<testcase classname="tests.faults.test_wires" name="test_c[8-a]" time="1"/>
</testsuite></testsuites>"""
WHERE = "database 9.7.0, rabbitmq 4.3.6, redis 8.0, Python 3.11.2"
NOTE = '{"what": "kill -9", "seed": 7, "ok": 1200, "refused": 3}'


def test_a_failure_is_named(tmp_path: Path) -> None:
    """Its part is BROKEN, the others hold, and the last line does not claim the promise."""
    junit = tmp_path / "junit.xml"
    junit.write_text(JUNIT)
    parts = parts_of(junit, [7, 8], 1)
    assert [(part.name, part.seed, part.held) for part in parts] == [
        ("deaths", 7, False),
        ("wires", 7, True),
        ("wires", 8, True),
    ]
    text = render(parts, notes_of([NOTE]), 12, WHERE)
    assert WHERE in text
    assert "test_b: oversold by 3" in text
    assert "kill -9: 1,200 ok, 3 refused" in text
    assert text.splitlines()[-1] == "the promise is BROKEN; seeds 7, 8; 12 s"


def test_everything_held(tmp_path: Path) -> None:
    """Only then the last line says so, with its seeds."""
    junit = tmp_path / "junit.xml"
    junit.write_text(JUNIT.replace('<failure message="oversold by 3&#10;more"/>', ""))
    last = render(parts_of(junit, [7, 8], 0), [], 12, WHERE).splitlines()[-1]
    assert last == "0 lost, 0 oversold, 0 paid twice; seeds 7, 8; 12 s"


def test_what_was_skipped_is_not_held(tmp_path: Path) -> None:
    """A test that did not run is named like one that failed."""
    junit = tmp_path / "junit.xml"
    junit.write_text(
        JUNIT.replace("failure", "skipped").replace("oversold by 3&#10;more", "no cluster here")
    )
    text = render(parts_of(junit, [7, 8], 0), [], 12, WHERE)
    assert "test_b: no cluster here" in text
    assert "BROKEN" in text.splitlines()[-1]


@pytest.mark.parametrize("code", [1, 2, 3, 5])
def test_a_run_that_ended_badly_holds_nothing(tmp_path: Path, code: int) -> None:
    """Stopped half-way, or failed where no test is named: what did pass does not make up for it."""
    junit = tmp_path / "junit.xml"
    junit.write_text(JUNIT.replace('<failure message="oversold by 3&#10;more"/>', ""))
    text = render(parts_of(junit, [7, 8], code), [], 12, WHERE)
    assert f"pytest ended with {code}" in text
    assert "BROKEN" in text.splitlines()[-1]


def test_nothing_ran() -> None:
    """No part at all is no proof."""
    assert "BROKEN" in render([], [], 0, WHERE)
