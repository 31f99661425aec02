"""What a client asks of a command beside its body: how long to wait, and under which key.

In: request headers. Out: seconds (`Prefer: wait=N`), whether a 202 will do (`handling=strict`: it will not), an
Idempotency-Key.
Must stay true: a preference is never an error (RFC 7240 section 2: what cannot be honoured is
ignored); a key that cannot be used is one (400), because the client relies on it.
"""

import re
from functools import lru_cache

from multidict import CIMultiDictProxy

from gateway.http.problems import invalid

WAIT_MAX = 30
KEY_CHARACTERS_MAX = 255
_ELEMENTS = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_WAIT = re.compile(r'\s*wait\s*=\s*(?:"(\d+)"|(\d+))\s*(?:;.*)?', re.IGNORECASE | re.ASCII)
_STRICT = re.compile(r'\s*handling\s*=\s*(?:"strict"|strict)\s*(?:;.*)?', re.IGNORECASE | re.ASCII)
_NAME = re.compile(r"\s*(\w+)\s*(?:[=;].*)?", re.DOTALL | re.ASCII)


@lru_cache(maxsize=256)  # clients say the same thing over and over
def wait_seconds(values: tuple[str, ...]) -> int:
    """The seconds of the first `wait` preference, at most 30; 0 when there is none that counts.

    `values` are all Prefer header lines. Of several `wait` only the first counts (RFC 7240 section 2).
    """
    match = _WAIT.fullmatch(_first(values, "wait"))
    if match is None:
        return 0
    digits = (match[1] or match[2]).lstrip("0")
    # No int() of thousands of digits: what is longer than two is over the limit anyway.
    return min(int(digits[:3] or "0"), WAIT_MAX)


@lru_cache(maxsize=256)
def is_strict(values: tuple[str, ...]) -> bool:
    """Whether the first `handling` preference is `strict` (RFC 7240 section 4.4)."""
    return _STRICT.fullmatch(_first(values, "handling")) is not None


def _first(values: tuple[str, ...], name: str) -> str:
    """The first preference of that name as it was written; nothing without one."""
    for value in values:
        for element in _ELEMENTS.findall(value):
            named: re.Match[str] | None = _NAME.fullmatch(element)
            if named is not None and named[1].lower() == name:
                return str(element)
    return ""


def idempotency_key(headers: "CIMultiDictProxy[str]") -> str | None:
    """The request's Idempotency-Key, None without one. Raises Refusal (400) for one that is unusable."""
    values = headers.getall("Idempotency-Key", ())
    if not values:
        return None
    if len(set(values)) > 1:
        raise _unusable("is given more than once")
    key = values[0]
    if not 1 <= len(key) <= KEY_CHARACTERS_MAX:
        raise _unusable(f"has not 1 to {KEY_CHARACTERS_MAX} characters")
    if not key.isprintable():
        raise _unusable("holds characters that cannot be printed")
    return key


def _unusable(why: str) -> Exception:
    return invalid("The Idempotency-Key cannot be used.", ("Idempotency-Key", why))
