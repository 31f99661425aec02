"""Settings that are allowed and probably not meant: told at each start, before anybody finds out the hard way.

In: the settings as they were read, the names in the environment. Out: a sentence for each concern; as a program
(`python -m contracts.runtime.settings_check`, which `scripts/up` runs first) lines, and exit code 2 with the reason
when the settings are refused (`contracts.runtime.settings`).
Must stay true: no sentence repeats a secret; an unknown EVENTHUB_ name is never an error (a newer release may know it).
"""

import os
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from ipaddress import ip_network

import structlog
from pydantic import ValidationError

from contracts.runtime.settings import Settings, load_settings

PREFIX = "EVENTHUB_"
KNOWN_ELSEWHERE = frozenset(
    f"{PREFIX}{name}"
    for name in (
        "ADMIN_EMAIL",
        "ADMIN_PASSWORD",
        "FAILPOINTS",
        "FAILPOINTS_FIRED",
        "GRANTS",
        "PROVE_NOTES",
        "PROVE_SEED",
        "PUBLISH_ADDRESS",
        "PYTHON",
    )
)
"""Read by the set-up, the first admin's step or the tests, not by `Settings`."""
ARGON2_LEAST = ((47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5))
"""KiB and passes, equally strong. Source: OWASP Password Storage Cheat Sheet, Argon2id."""
ARGON2_KIB_MAX = 1024 * 1024
TRANSACTION_SECONDS = 4
DAY = 86_400

log = structlog.get_logger(__name__)


def concerns(settings: Settings, names: Iterable[str]) -> list[str]:
    """What an operator should hear of these settings; `names` are the variables of the environment."""
    return [*_unknown(names), *_weak(settings), *_odd(settings)]


def known_names() -> set[str]:
    """Every EVENTHUB_ name that means something."""
    return {PREFIX + name.upper() for name in Settings.model_fields} | KNOWN_ELSEWHERE


def _unknown(names: Iterable[str]) -> list[str]:
    known, told = known_names(), []
    for name in sorted(names):
        if not name.startswith(PREFIX) or name in known:
            continue
        near = get_close_matches(name, known, 1, 0.7)
        told.append(f"{name} is no setting of EventHub" + (f"; {near[0]} is" if near else ""))
    return told


def _weak(settings: Settings) -> list[str]:
    told = []
    if (parts := _numbers(settings.argon2)) is not None:
        memory, passes = parts[:2]
        if not any(memory >= kib and passes >= least for kib, least in ARGON2_LEAST):
            told.append(
                f"EVENTHUB_ARGON2={settings.argon2} makes stolen password hashes cheap to try; the least is 19456,2,1"
            )
        if memory > ARGON2_KIB_MAX:
            told.append(f"EVENTHUB_ARGON2={settings.argon2} takes over a GiB for each sign-in")
    if any(ip_network(one, strict=False).prefixlen == 0 for one in _networks(settings)):
        told.append("EVENTHUB_LIMITS_OFF_FOR holds every address: nobody has a limit")
    if settings.access_ttl > DAY:
        told.append("EVENTHUB_ACCESS_TTL is over a day: that long a stolen token is good")
    if settings.lockout_after > 100:
        told.append("EVENTHUB_LOCKOUT_AFTER is over 100: passwords may be guessed")
    if settings.webhook_allow_private:
        told.append("EVENTHUB_WEBHOOK_ALLOW_PRIVATE lets users have this network called")
    return told


def _odd(settings: Settings) -> list[str]:
    told = []
    if settings.order_ttl > settings.max_hold:
        told.append("EVENTHUB_ORDER_TTL is longer than EVENTHUB_MAX_HOLD, which then counts")
    if settings.rate_fresh > settings.rate_max_age:
        told.append("EVENTHUB_RATE_FRESH is longer than EVENTHUB_RATE_MAX_AGE: no rate is stale")
    if settings.seat_lease <= TRANSACTION_SECONDS:
        told.append(
            f"EVENTHUB_SEAT_LEASE may end within a transaction, which takes up to {TRANSACTION_SECONDS} s"
        )
    return told


def _numbers(text: str) -> list[int] | None:
    """The three numbers of EVENTHUB_ARGON2; None: the gateway will say what is wrong with it."""
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() for part in parts):
        return None
    return [int(part) for part in parts]


def _networks(settings: Settings) -> list[str]:
    """Those of EVENTHUB_LIMITS_OFF_FOR that are networks; the gateway refuses the others."""
    found = []
    for text in settings.limits_off_for:
        try:
            ip_network(text, strict=False)
        except ValueError:
            continue
        found.append(text)
    return found


def tell_concerns(settings: Settings) -> None:
    """Log them, at a process's start."""
    for concern in concerns(settings, os.environ):
        log.warning("settings.concern", what=concern)


def wrong_settings(error: ValidationError) -> str:
    """Which variables are wrong and why, never their values."""
    told = [f"{_variable(str(one['loc'][0]))}: {one['msg']}" for one in error.errors()]
    return "settings: " + "; ".join(told)


def _variable(name: str) -> str:
    """The variable of a field; the servers' URLs go by their own names."""
    return PREFIX + name.upper() if name in Settings.model_fields else name


def main() -> int:
    """Say what is to be said of the environment; the exit code."""
    try:
        settings = load_settings()
    except ValidationError as error:
        print(wrong_settings(error), file=sys.stderr)
        return 2
    for concern in concerns(settings, os.environ):
        print(f"warning: {concern}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
