"""Bodies and queries of tickets, gates and scans.

Must stay true: a code may be any text: what is none of ours gets its ruling like any other.
"""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from contracts.tickets.names import written_name
from contracts.tickets.scans import GATE_NAME_MAX, SCANS_MAX
from contracts.tickets.ticket import HOLDER_NAME_MAX
from gateway.accounts.requests import Email
from gateway.http.models import Body, Cursor, Line, MomentText, PageQuery, Query

WORDS_MAX = 100
BODY_BYTES_MAX = 256 * 1024
"""500 scans with their codes."""

DeviceId = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
    ),
    Field(json_schema_extra={"format": "uuid"}, examples=["0b8e0f5c-6a30-4f0f-9a55-0d2a4d3b6f10"]),
]


class TransferBody(Body):
    """Who shall hold the ticket: the address of an account."""

    email: Annotated[Email, Field(examples=["grace@example.com"])]


class HolderBody(Body):
    """The name on the ticket; null takes it off."""

    holder_name: Annotated[
        Annotated[
            Line,
            Field(min_length=1, max_length=HOLDER_NAME_MAX, examples=["Grace Hopper"]),
            AfterValidator(written_name),
        ]
        | None,
        Field(),
    ]


class AttendeesQuery(PageQuery):
    """`?q=&limit=&cursor=`; `q` is looked for in names and addresses."""

    q: Annotated[Line | None, Field(max_length=WORDS_MAX)] = None


class NewGateBody(Body):
    """A device at the door, by the name that people there know it by."""

    name: Annotated[
        Line,
        Field(min_length=1, max_length=GATE_NAME_MAX, examples=["North entrance"]),
        AfterValidator(written_name),
    ]


class ScanBody(Body):
    """One code that was seen. `id`: the device's own, the same again is the same scan; `offline`: let in already."""

    id: DeviceId
    code: Annotated[str, Field(examples=["eyJhbGciOiJFZERTQSJ9.e30.c2ln"])]
    scanned_at: MomentText
    offline: bool = False


class ScansBody(Body):
    """1 to 500 scans."""

    scans: Annotated[tuple[ScanBody, ...], Field(min_length=1, max_length=SCANS_MAX)]


class BundleQuery(Query):
    """`?since=`: the `asOf` of the bundle before."""

    since: Cursor | None = None
