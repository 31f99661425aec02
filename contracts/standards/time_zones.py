"""Time zones by their IANA names, alike on every machine.

In: a name, as `Asia/Taipei`. Out: whether there is such a zone; the zone itself.
Must stay true: names and rules come from the locked package `tzdata`, never from the files of the operating system,
which are of another age on each machine.
"""

from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo

_PACKAGE = "tzdata"


@cache
def zone_names() -> frozenset[str]:
    """The name of every zone, links of older names too."""
    return frozenset(resources.files(_PACKAGE).joinpath("zones").read_text("ascii").split())


@cache
def zone(name: str) -> ZoneInfo:
    """The zone of one of `zone_names`."""
    file = resources.files(_PACKAGE).joinpath("zoneinfo", *name.split("/"))
    with file.open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)
