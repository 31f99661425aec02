"""The insides of libraries that we replace or rely on are those that were tested."""

import importlib
import pkgutil
import re
from dataclasses import replace

import pytest

from contracts.runtime import overrides
from contracts.runtime.overrides.internals import LibraryInternals
from scripts.stack.home import CHECKOUT

MODULES = sorted(one.name for one in pkgutil.iter_modules(overrides.__path__))
OVERRIDES = [name for name in MODULES if name != "internals"]


def internals_of(name: str) -> LibraryInternals:
    found = importlib.import_module(f"{overrides.__name__}.{name}").INTERNALS
    assert isinstance(found, LibraryInternals)
    return found


@pytest.mark.parametrize("name", OVERRIDES)
def test_a_library_is_inside_as_it_was_tested(name: str) -> None:
    """Another version or another source is a finding, which says what to read and what to write down."""
    assert internals_of(name).changes() == []
    assert internals_of(name).sources


@pytest.mark.parametrize("name", OVERRIDES)
def test_the_version_that_was_tested_is_the_one_that_is_locked(name: str) -> None:
    internals = internals_of(name)
    lock = (CHECKOUT / "requirements.lock").read_text()
    locked = re.findall(rf"^{internals.package}==(\S+)", lock, re.MULTILINE)
    assert locked
    assert set(locked) <= set(internals.versions)


def test_a_change_inside_a_library_is_noticed() -> None:
    """A new version, a function that is written otherwise, one that is gone: each is named."""
    right = internals_of("multi_statements")
    first, second = list(right.sources)[:2]
    wrong = {first: "0" * 16, f"{second}_of_old": right.sources[second]}
    found = replace(right, versions=("0.0.1",), sources=wrong).changes()
    assert "was not tested" in found[0]
    assert [first in found[1], "is now gone" in found[2]] == [True, True]


async def test_the_driver_still_sends_several_statements_in_one_packet() -> None:
    """The capability that no documentation of the driver promises."""
    aiomysql, constants = (
        importlib.import_module(name) for name in ("aiomysql", "pymysql.constants.CLIENT")
    )
    connection = aiomysql.Connection(host="127.0.0.1")
    connection.close()
    assert connection.client_flag & constants.MULTI_STATEMENTS
