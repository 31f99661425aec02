"""Search terms: what of a text can be found, and what of a question must be found.

In: an event's name and venue, or what somebody typed. Out: folded terms, as text.
Must stay true: folding is done here and nowhere else, so a search finds the same on every database; a term that is
asked for is found exactly where it is the beginning of a stored one; every stored term is at most `TERM_MAX` long.

Words end where letters and digits end. Scripts that put no spaces between words (Han, kana, hangul, Thai and their
like) and symbols match anywhere: each suffix of their runs is stored, and a suffix's beginning is any part of the run.
Punctuation is stored too, but asked for only by who types nothing else ("%"), so that "O'Brien" finds "O’Brien".

Source: Unicode Standard Annex 15 (normalization forms), The Unicode Standard 15, section 3.13 (caseless matching).
`TERMS_VERSION` rises with every change of what this module gives: stored terms of an older version are made anew.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from itertools import groupby

TERMS_VERSION = 1
TERM_MAX = 32
TERMS_ASKED_MAX = 12
"""More words than this are no search: each is one more look into the index."""

_WORD, _RUN, _MARK, _GAP = "word", "run", "mark", "gap"
_UNDECOMPOSED = str.maketrans(
    {
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ħ": "h",
        "ŧ": "t",
        "ı": "i",
        "æ": "ae",
        "œ": "oe",
        "ð": "d",
        "þ": "th",
    }
)
"""Letters with a stroke, and joined ones: Unicode does not decompose them, people type them without."""
_ACCENT_CLASSES = (range(10, 37), range(200, 256))
"""Combining classes of Hebrew and Arabic points, and of accents; vowel signs and kana's voicing are in others."""
_WITHOUT_SPACES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1100, 0x11FF),  # Hangul Jamo
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # radicals of Han
    (0x3005, 0x3007),  # marks of repetition
    (0x3021, 0x318F),  # kana, bopomofo, Hangul compatibility Jamo
    (0x31A0, 0x31FF),  # bopomofo and kana, extended
    (0x3400, 0x4DBF),  # Han, extension A
    (0x4E00, 0x9FFF),  # Han
    (0xA000, 0xA4CF),  # Yi
    (0xA960, 0xA97F),  # Hangul Jamo, extended A
    (0xAC00, 0xD7FF),  # Hangul
    (0xF900, 0xFAFF),  # Han, compatibility
    (0x1B000, 0x1B16F),  # kana, extended
    (0x20000, 0x3FFFF),  # Han, further extensions
)


def folded(text: str) -> str:
    """The text without case, accents, width and differences of Unicode form."""
    plain = unicodedata.normalize("NFKD", text).casefold().translate(_UNDECOMPOSED)
    plain = unicodedata.normalize("NFKD", plain)
    return unicodedata.normalize("NFKC", "".join(one for one in plain if not _is_accent(one)))


def stored_terms(*texts: str | None) -> list[str]:
    """What an event with these texts is found by, each term once, in order."""
    found = {term for text in texts if text for term in _stored(folded(text))}
    return sorted(found)


def asked_terms(text: str) -> list[str]:
    """What an event must have to be found; empty when nothing is asked for.

    A term that another one begins with is left out: it is found wherever that one is.
    """
    pieces = list(_pieces(folded(text)))
    asked = {piece for kind, piece in pieces if kind in (_WORD, _RUN)}
    asked = asked or {piece for kind, piece in pieces if kind == _MARK}
    cut = {term[:TERM_MAX] for term in asked}
    return sorted(
        one for one in cut if not any(other != one and other.startswith(one) for other in cut)
    )


def _stored(text: str) -> Iterator[str]:
    for kind, piece in _pieces(text):
        if kind == _WORD:
            yield piece[:TERM_MAX]
        else:
            yield from (piece[start : start + TERM_MAX] for start in range(len(piece)))


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    for kind, characters in groupby(_visible(text), key=_kind):
        if kind != _GAP:
            yield kind, "".join(characters)


def _visible(text: str) -> Iterable[str]:
    """Without what has no look of its own: joiners, variation selectors, byte order marks."""
    return (
        one for one in text if unicodedata.category(one) != "Cf" and not "\ufe00" <= one <= "\ufe0f"
    )


def _kind(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] == "S" or _has_no_spaces(character):
        return _RUN
    if category[0] in "LNM":
        return _WORD
    return _MARK if category[0] == "P" else _GAP


def _has_no_spaces(character: str) -> bool:
    code = ord(character)
    return code >= 0x0E00 and any(first <= code <= last for first, last in _WITHOUT_SPACES)


def _is_accent(character: str) -> bool:
    combining = unicodedata.combining(character)
    return combining > 0 and any(combining in classes for classes in _ACCENT_CLASSES)
