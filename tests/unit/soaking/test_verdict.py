"""The verdict of a soak: each thing that must not be is a reason, and a sound one has none."""

from typing import Any

import pytest

from scripts.soaking.verdict import is_error, judged, reasons, render


def sound(**changes: Any) -> dict[str, Any]:
    """An hour in which all was well."""
    result: dict[str, Any] = {
        "minutes": 60.0,
        "visits": 360_000,
        "heldBack": 0,
        "othersCores": 0.5,
        "errors": {},
        "odd": {},
        "history": {"operations": 700_000, "lies": 0, "ends": {"place ok": 330_000}},
        "outboxLag": {"p50Seconds": 0.1, "p99Seconds": 1.2, "maxSeconds": 2.5},
        "restarts": 0,
        "trends": [row("memory gateway-1", flat=True), row("memory mysql", flat=False)],
        "judged": True,
        "cpuMicrosPerVisit": {"gateway-1": [2000.0, 2010.0]},
        "audit": {"ok": True, "seconds": 9.5, "broken": []},
        "deadLetters": 0,
    }
    result |= changes
    result["reasons"] = reasons(result)
    return result | {"ok": not result["reasons"]}


def row(name: str, *, flat: bool) -> dict[str, Any]:
    """One series."""
    figures = {"second": 100.0, "last": 180.0, "highest": 190.0, "percentPerHour": 90.0}
    return {"name": name, "flat": flat, **figures}


def test_a_sound_hour() -> None:
    """Nothing to say against it; a database that fills its own cache is no leak of ours."""
    result = sound()
    assert result["reasons"] == []
    assert render(result).splitlines()[-1] == "sound and flat"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"audit": {"ok": False, "seconds": 1, "broken": [2]}}, "audit"),
        ({"history": {"operations": 1, "lies": 2, "ends": {}}}, "told what is not so"),
        ({"deadLetters": 1}, "dead letter"),
        ({"restarts": 1}, "started again"),
        ({"outboxLag": {"p50Seconds": 1, "p99Seconds": 2.0, "maxSeconds": 3}}, "lag"),
        ({"errors": {"500 INTERNAL": 1}}, "500 INTERNAL"),
        ({"odd": {"a repeat made another order": 1}}, "repeat"),
        ({"trends": [row("memory relay-1", flat=False)]}, "memory relay-1"),
        ({"trends": [row("files mysql", flat=False)]}, "files mysql"),
    ],
)
def test_what_must_not_be(change: dict[str, Any], reason: str) -> None:
    """It is named, and the last line says that it is not as it should be."""
    result = sound(**change)
    assert any(reason in one for one in result["reasons"])
    assert render(result).splitlines()[-1] == "NOT as it should be"


def test_a_short_run_says_nothing_of_flatness() -> None:
    """Caches are still filling: neither praise nor blame."""
    result = sound(judged=False, trends=[row("memory relay-1", flat=False)])
    assert result["reasons"] == []
    assert "too short" in render(result).splitlines()[-1]


def test_errors() -> None:
    """A sale that is sold out is none; a failure, a silence or a wrong request is."""
    assert not any(is_error(told) for told in ("200", "201", "202", "409 SOLD_OUT", "429 BUSY"))
    assert all(
        is_error(told)
        for told in ("500 INTERNAL", "503 UNAVAILABLE", "unanswered TimeoutError", "400 INVALID")
    )


def test_only_servers_memory_is_left_out() -> None:
    """Their connections and files are judged."""
    assert judged("memory gateway-1")
    assert judged("connections redis")
    assert not judged("memory redis")
