"""Names that people read: one spelling, something to see, no letters that run backwards.

In: text as a client sent it. Out: the text to keep, or ValueError.
Must stay true: two names that look alike because Unicode writes one letter in two ways are the same text; a limit
counts characters (code points) of what is kept, never bytes.

Sources: Unicode Standard Annex 15 (normalization form C); Unicode Character Database, `DerivedCoreProperties.txt`,
property Default_Ignorable_Code_Point; Unicode Standard Annex 9 (explicit directional formatting characters).
"""

import unicodedata
from typing import Any, Final

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_DEFAULT_IGNORABLE = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
_BRAILLE_BLANK = 0x2800
"""A symbol by its category that no font draws anything for."""
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Embeddings, overrides, isolates and their ends: one that is left open turns what stands behind the name around."""


def composed(value: Any) -> Any:
    """Text in normalization form C; what is no text stays, for whoever looks at types."""
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def readable(value: str) -> str:
    """The same text. Raises ValueError when there is nothing to see in it, or when it turns its surroundings around."""
    if not _DIRECTIONS.isdisjoint(value):
        raise ValueError("holds a character that changes the direction of text")
    if not any(map(_is_visible, value)):
        raise ValueError("has no visible character")
    return value


def _is_visible(character: str) -> bool:
    code = ord(character)
    if code == _BRAILLE_BLANK or unicodedata.category(character)[0] == "Z":
        return False
    return not any(first <= code <= last for first, last in _DEFAULT_IGNORABLE)
