"""Strict JSON: what a lenient reader would let through is refused before a model sees it."""

import contextlib
import json
import tracemalloc
import zlib
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, MultiDict
from pydantic import Field
from yarl import URL

from contracts.models import Id, Line, MomentText, Quantity
from gateway.http.models import (
    Body,
    PageQuery,
)
from gateway.http.parsing import (
    BODY_BYTES_MAX,
    _decompress,
    check_json,
    parse_id,
    parse_query,
)
from gateway.http.problems import Refusal
from gateway.http.validation import bad_body


class Order(Body):
    """A body with one of each kind of trap."""

    ticket_type_id: Id
    quantity: Quantity = 1
    name: Annotated[Line, Field(max_length=20)] = "x"
    at: MomentText | None = None


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": 1, "a": 2}',
        b'{"a":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"x":{"a":1,"a":1},"y":[]}',
        b'{"x": {"a": 1, "b": 2, "a": 3}}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[" * 60_000,
        b"[" * 30_000 + b"]" * 30_000,
        b'{"a":' * 9_000 + b"1" + b"}" * 9_000,
        b'{"a": "\\ud800"}',
        b'{"a": "\\udc00\\ud800"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\xff"}',
        b"\xef\xbb\xbf{}",
        b"{\xef\xbb\xbf}",
        '{"a": 1}'.encode("utf-16"),
        b"",
        b" ",
        b"{} {}",
        b"{'a': 1}",
        b"{a: 1}",
        b"[1,]",
        b"// x\n{}",
        b'{"a": 01}',
        b'{"a": "\n"}',
        b"\x00",
    ],
)
def test_what_is_no_strict_json_is_400(raw: bytes) -> None:
    """Duplicate keys, NaN, Infinity, deep nesting, lone surrogates … : 400 INVALID."""
    with pytest.raises(Refusal) as refused:
        check_json(raw)
    assert refused.value.problem.status == 400


@pytest.mark.parametrize(
    "raw", [b"{}", b" [1, 2] ", b'{"a": "\\ud83d\\ude00"}', '{"ä": "…"}'.encode(), b"-0.5e3"]
)
def test_well_formed_json_passes(raw: bytes) -> None:
    """Strict is not narrow: pairs of surrogates, white space and other scripts are JSON."""
    check_json(raw)


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_refusal_or_pass(raw: bytes) -> None:
    """No bytes make the reader fail otherwise."""
    with contextlib.suppress(Refusal):
        check_json(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"ticketTypeId": "1"}',
        b'{"ticketTypeId": 1.0}',
        b'{"ticketTypeId": true}',
        b'{"ticketTypeId": 0}',
        b'{"ticketTypeId": 9223372036854775808}',
        b'{"ticketTypeId": null}',
        b'{"ticket_type_id": 1}',
        b'{"ticketTypeId": 1, "price": "0.01"}',
        b'{"ticketTypeId": 1, "name": "a\\u0000b"}',
        b'{"ticketTypeId": 1, "name": "a\\r\\nSet-Cookie: x"}',
        b'{"ticketTypeId": 1, "name": "123456789012345678901"}',
        b'{"ticketTypeId": 1, "at": "2026-01-31T12:00:00"}',
        b'{"ticketTypeId": 1, "at": "2026-02-30T12:00:00Z"}',
        b'{"ticketTypeId": 1, "at": "0001-01-01T00:00:00+14:00"}',
        b'{"ticketTypeId": 1, "at": 1700000000}',
        b"[]",
        b"1",
        b"null",
    ],
)
def test_types_are_strict_and_unknown_members_refused(raw: bytes) -> None:
    """ "1", 1.0 and true are no integers; a price or a snake_case name is no member; no control characters."""
    with pytest.raises(ValueError, match="validation error") as failed:
        Order.model_validate_json(raw)
    refusal = bad_body(failed.value, json.loads(raw))  # type: ignore[arg-type]  # it is a ValidationError
    assert refusal.problem.errors
    assert "Set-Cookie" not in str(refusal.problem)


def test_an_error_points_at_its_member() -> None:
    """The pointer is RFC 6901, `~` and `/` escaped."""
    raw = b'{"ticketTypeId": 1, "a/b~c": 2}'
    with pytest.raises(ValueError, match="validation error") as failed:
        Order.model_validate_json(raw)
    refusal = bad_body(failed.value, json.loads(raw))  # type: ignore[arg-type]  # it is a ValidationError
    assert [pointer for pointer, _ in refusal.problem.errors] == ["/a~1b~0c"]


@pytest.mark.parametrize(
    "text", ["0", "-1", "+1", "1.0", "", "x", "٣", "9223372036854775808", "1" * 40]
)
def test_a_path_id_is_a_whole_number_that_mysql_can_hold(text: str) -> None:
    """Anything else in the path is 400."""
    with pytest.raises(Refusal) as refused:
        parse_id(text, "orderId")
    assert refused.value.problem.status == 400


def test_the_largest_id_is_an_id() -> None:
    """2^63 - 1 is the last one."""
    assert parse_id("9223372036854775807", "orderId") == 2**63 - 1


class _Request:
    def __init__(self, *pairs: tuple[str, str]) -> None:
        self.query = MultiDict(pairs)
        self.rel_url = URL("/x").with_query(self.query)
        self.headers: CIMultiDict[str] = CIMultiDict()


@pytest.mark.parametrize(
    "pairs",
    [
        [("limit", "0")],
        [("limit", "101")],
        [("limit", "1.0")],
        [("limit", " 5")],
        [("limit", "٣")],
        [("limit", "")],
        [("limit", "5"), ("limit", "6")],
        [("cursor", "a\x00b")],
        [("cursor", "x" * 600)],
    ],
)
def test_bad_values_of_a_query_are_400(pairs: list[tuple[str, str]]) -> None:
    """Out of bounds, no number, twice, control characters."""
    with pytest.raises(Refusal) as refused:
        parse_query(_Request(*pairs), PageQuery)  # type: ignore[arg-type]  # only `query` is read
    assert refused.value.problem.errors[0][0] == "?" + pairs[0][0]


def test_unknown_names_of_a_query_are_ignored() -> None:
    """A client's cache buster is no error."""
    found = parse_query(_Request(("_", "1"), ("limit", "7")), PageQuery)  # type: ignore[arg-type]  # only `query` is read
    assert found == PageQuery(limit=7)


def test_a_bomb_is_refused_before_it_unfolds() -> None:
    """A few KiB that unpack to 64 MiB: 413, and never more than the limit is unpacked."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(b"0" * 64 * 1024 * 1024) + packer.flush()
    assert len(bomb) <= BODY_BYTES_MAX
    tracemalloc.start()
    try:
        with pytest.raises(Refusal) as refused:
            _decompress(bomb, "gzip")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.problem.status == 413
    assert peak < 1024 * 1024


@pytest.mark.parametrize("coding", ["gzip", "deflate", "x-gzip"])
def test_a_packed_body_is_unpacked(coding: str) -> None:
    """The codings of RFC 9110 section 8.4.1 that every client library knows."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 15 if coding == "deflate" else 31)
    assert _decompress(packer.compress(b"{}") + packer.flush(), coding) == b"{}"


@pytest.mark.parametrize(
    ("raw", "coding", "status"),
    [(b"{}", "gzip", 400), (b"{}", "br", 415), (b"{}", "gzip, gzip", 415), (b"", "gzip", 400)],
)
def test_a_wrong_coding_is_refused(raw: bytes, coding: str, status: int) -> None:
    """Broken is 400, unknown is 415."""
    with pytest.raises(Refusal) as refused:
        _decompress(raw, coding)
    assert refused.value.problem.status == status
