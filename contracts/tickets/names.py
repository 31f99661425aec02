"""Names that people write on tickets, and cells of tables that people open.

In: any text of one line. Out: the name in its one form; a cell that no spreadsheet runs.
Must stay true: a name shows something; it never turns the direction of the text around it; a cell never begins as a
formula does.

Sources: Unicode 15, DerivedCoreProperties (Default_Ignorable_Code_Point); UAX #9 (explicit directional formatting);
OWASP, "CSV Injection".
"""

import re
import unicodedata
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from contracts.models import Line

_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\\s]"
)
_FORMULA = re.compile("(^|;\\s*)(?=[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20])")
"""Where a cell begins as a formula does: at its beginning, and behind what parts cells where the comma is decimal."""


def written_name(text: str) -> str:
    """The name in NFC, without blanks at its ends. Raises ValueError for what shows nothing or turns text around."""
    name = unicodedata.normalize("NFC", text).strip()
    if _DIRECTIONS.search(name):
        raise ValueError("turns the direction of text around")
    if not _INVISIBLE.sub("", name):
        raise ValueError("has no visible character")
    return name


def plain_cell(text: str) -> str:
    """A cell that a spreadsheet shows and never computes."""
    return _FORMULA.sub(r"\1'", text)


HOLDER_NAME_MAX: Final = 100
GATE_NAME_MAX: Final = 100
HolderName = Annotated[
    Line,
    Field(min_length=1, max_length=HOLDER_NAME_MAX, examples=["Grace Hopper"]),
    AfterValidator(written_name),
]
"""The name on a ticket."""
GateLabel = Annotated[
    Line,
    Field(min_length=1, max_length=GATE_NAME_MAX, examples=["North entrance"]),
    AfterValidator(written_name),
]
"""What people at the door call a gate."""
