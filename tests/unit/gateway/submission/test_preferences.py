"""Prefer: wait=N and Idempotency-Key as clients really send them."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.http.problems import Refusal
from gateway.submission.preferences import idempotency_key, is_strict, wait_seconds


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ([], 0),
        (["wait=5"], 5),
        (["WAIT=5"], 5),
        (['wait="5"'], 5),
        (["wait = 5"], 5),
        (["respond-async, wait=10"], 10),
        (["wait=10, respond-async"], 10),
        (["respond-async", "wait=7"], 7),
        (["wait=5;x=y"], 5),
        (['return=minimal; a="wait=9, b", wait=3'], 3),
        (["wait=30"], 30),
        (["wait=31"], 30),
        (["wait=" + "9" * 5000], 30),
        (["wait=007"], 7),
        (["wait=0"], 0),
        (["wait=-1"], 0),
        (["wait=1.5"], 0),
        (["wait=abc"], 0),
        (["wait"], 0),
        (["wait="], 0),
        (["wait=5 6"], 0),
        (["wait=\u0665"], 0),
        (["waiting=5"], 0),
        (["xwait=5"], 0),
        (["wait=3, wait=9"], 3),
        (["wait=x, wait=9"], 0),
        ([",,wait=4,"], 4),
    ],
)
def test_the_first_wait_counts_and_what_is_malformed_is_ignored(
    lines: list[str], seconds: int
) -> None:
    """RFC 7240: names in any case, values quoted or not, lists over commas and over lines."""
    assert wait_seconds(tuple(lines)) == seconds


@pytest.mark.parametrize(
    ("lines", "strict"),
    [
        ([], False),
        (["wait=5"], False),
        (["wait=5, handling=strict"], True),
        (["handling=strict", "wait=5"], True),
        (['HANDLING="strict"; x=y, wait=5'], True),
        (["handling=Strict"], True),
        (["handling=lenient"], False),
        (["handling=lenient, handling=strict"], False),
        (["handling"], False),
        (["handling=stricter"], False),
        (["mishandling=strict"], False),
        (['a="handling=strict, b"'], False),
    ],
)
def test_the_first_handling_counts(lines: list[str], strict: bool) -> None:
    """RFC 7240 section 4.4."""
    assert is_strict(tuple(lines)) == strict


def headers(*values: str) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict([("Idempotency-Key", value) for value in values]))


@pytest.mark.parametrize("key", ["a", "x" * 255, "order 17 / try", "käse"])
def test_a_printable_key_is_taken_as_it_is(key: str) -> None:
    """1 to 255 printable characters."""
    assert idempotency_key(headers(key)) == key
    assert idempotency_key(headers(key, key)) == key
    assert idempotency_key(headers()) is None


@pytest.mark.parametrize("keys", [[""], ["x" * 256], ["a\tb"], ["\udc80"], ["a", "b"]])
def test_an_unusable_key_is_refused(keys: list[str]) -> None:
    """400, naming the header: the client believes itself protected."""
    with pytest.raises(Refusal) as refused:
        idempotency_key(headers(*keys))
    assert refused.value.problem.status == 400
    assert refused.value.problem.errors[0][0] == "Idempotency-Key"
