"""Answers in their compressed form: for whom, from which size, and made once for what is kept."""

import gzip
import random
import zlib

import pytest
from aiohttp.test_utils import make_mocked_request

from contracts.runtime.overrides.http_replies import Reply
from gateway.caching.short_lived import COPY_BYTES
from gateway.documents.openapi_parts import HEADERS, REQUEST_HEADERS
from gateway.http.middleware import ALLOWED, EXPOSED
from gateway.http.replies import raw_reply
from gateway.http.representations import (
    COMPRESS_FROM_BYTES,
    Representation,
    accepts_gzip,
    compress,
    representation_reply,
)

LARGE = b'{"name":"' + b"la" * COMPRESS_FROM_BYTES + b'"}'


@pytest.mark.parametrize(
    ("accepted", "wanted"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("br, gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("identity", False),
        ("br", False),
        (",,;", False),
    ],
)
def test_only_who_asks_for_gzip_gets_it(accepted: str, wanted: bool) -> None:
    """RFC 9110 section 12.5.3: weights count, zero is a no."""
    assert accepts_gzip(accepted) == wanted


def sent(reply: Reply, accepted: str | None = "gzip") -> tuple[bytes, Reply]:
    """The body that goes out."""
    headers = {} if accepted is None else {"Accept-Encoding": accepted}
    compress(make_mocked_request("GET", "/", headers=headers), reply)
    return bytes(reply.body), reply  # type: ignore[arg-type]  # bytes were given


def test_a_large_answer_is_compressed_and_a_small_one_is_not() -> None:
    """From 1 KiB; caches are told that the answer depends on the request, also when it goes out whole."""
    body, reply = sent(raw_reply(LARGE))  # type: ignore[arg-type]  # it is a Reply
    assert gzip.decompress(body) == LARGE
    assert (reply.headers["Content-Encoding"], reply.headers["Vary"]) == ("gzip", "Accept-Encoding")
    whole, reply = sent(raw_reply(LARGE), None)  # type: ignore[arg-type]  # it is a Reply
    assert (whole, reply.headers["Vary"]) == (LARGE, "Accept-Encoding")
    assert "Content-Encoding" not in reply.headers
    small, reply = sent(raw_reply(b"{}"))  # type: ignore[arg-type]  # it is a Reply
    assert small == b"{}"
    assert not {"Content-Encoding", "Vary"} & set(reply.headers)


@pytest.fixture
def compressions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The levels of all compressions that are begun."""
    levels: list[int] = []
    begin = zlib.compressobj

    def counted(level: int, wbits: int) -> object:
        levels.append(level)
        return begin(level, wbits=wbits)

    monkeypatch.setattr("gateway.http.representations.zlib.compressobj", counted)
    return levels


def test_what_is_kept_for_many_is_compressed_once(compressions: list[int]) -> None:
    """A hundred readers of one copy."""
    shown = Representation(LARGE)
    request = make_mocked_request("GET", "/")
    bodies = {sent(representation_reply(request, shown))[0] for _ in range(100)}  # type: ignore[arg-type]  # a Reply
    assert [gzip.decompress(body) for body in bodies] == [LARGE]
    assert len(compressions) == 1


def test_an_entity_tag_is_the_bodys() -> None:
    """The same body anywhere has the same tag; who names it gets a 304 with the headers of the 200."""
    shown, twin = Representation(LARGE), Representation(LARGE)
    assert shown.etag == twin.etag != Representation(b"x").etag
    assert Representation(LARGE, '"v1.2"').etag == '"v1.2"'
    request = make_mocked_request("GET", "/", headers={"If-None-Match": f"W/{twin.etag}"})
    answer = representation_reply(request, shown, {"Cache-Control": "public, max-age=30"})
    assert (answer.status, answer.headers["ETag"]) == (304, shown.etag)
    assert answer.headers["Cache-Control"] == "public, max-age=30"


def test_pages_of_other_origins_may_send_and_read_what_the_contract_uses() -> None:
    """Each header of the description, and the trace's, which no call describes."""
    assert set(HEADERS) <= set(EXPOSED.split(", "))
    assert {*REQUEST_HEADERS, "Authorization", "Content-Type", "traceparent"} <= set(
        ALLOWED.split(", ")
    )


@pytest.mark.parametrize("size", [0, 100, 1023, 1024, 50_000])
def test_what_is_kept_counts_its_compressed_form(size: int) -> None:
    """A budget that is kept before the form is made is kept after it, also for what does not get smaller."""
    shown = Representation(random.Random(size).randbytes(size))
    before = shown.kept_bytes
    forms = (shown.body, shown.gzipped) if size >= COMPRESS_FROM_BYTES else (shown.body,)
    assert sum(map(len, forms)) <= before + COPY_BYTES
    assert shown.kept_bytes == before
