"""Requests gone wrong, by a seeded random: each call of the table with values that hurt.

In: a seed, the route table, the document. Out: method, path, headers and body bytes, without end.
"""

import copy
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gateway.http.routing import Route

NASTY: list[Any] = [
    None, True, False, 0, 1, -1, 1.0, 1.5, 2**31, 2**63 - 1, 2**63, 10**40, -(2**63), 1e308,
    "", " ", "1", "x", "null", "\u0000", "\u202e", "\u2028", "\ufeff", "😀" * 50, "é", "e\u0301",
    "a" * 300, "a" * 20_000, "'; DROP TABLE users; --", "' OR 1=1 --", "%s%s%n", "{{7*7}}", "${jndi:x}",
    "../../etc/passwd", "<script>alert(1)</script>", "\r\nX: y", "NaN", "Infinity", "0x10", "1e9", "-0",
    "2030-01-01T18:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "2030-01-01", "49.90",
    "999999999999999999.99", "0.00", "0x" + "f" * 64, "0x" + "F" * 64, "BTC", "USD", "usd", "*",
    "http://169.254.169.254/", "http://[::1]/", "file:///etc/passwd", "http://x:99999/",
    [], {}, [None], [[]] * 3, {"a": {"b": []}}, [1] * 200, {"__proto__": {"x": 1}}, {"$ne": 1},
]  # fmt: skip
RAW = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"',
    b"\xff\xfe",
    b"{}" * 3,
    b'{"a":1,"a":2}',
    b"[" * 5000,
    b"9" * 4000,
]
IDS = [
    "0",
    "1",
    "2",
    "3",
    "17",
    "-1",
    "1.0",
    "x",
    "9223372036854775807",
    "9223372036854775808",
    "%00",
    "%2e%2e",
]
IDS += [
    "1%20",
    "%D9%A3",
    "1;x",
    "null",
    "a" * 200,
    "*",
    "%F0%9F%98%80",
    "BTC",
    "QJx0pO3kTTSmBMmZ5Qk7rgAG",
]
HEADERS: dict[str, list[str]] = {
    "Prefer": ["wait=0", "wait=-1", "wait=x", "respond-async", "wait=1", "a" * 3000, ",,,", 'x="'],
    "Idempotency-Key": ["k", "k1", "k2", " ", "é", "a" * 256, "a" * 255, "\t", '"', "k,k"],
    "If-Match": ['"v1"', "*", "v1", '"v99999999999999999999"', 'W/"v1"', '"v1", "v2"', "x" * 900],
    "If-None-Match": ['"v1.1"', "*", "x", '"v0.0"', 'W/"v1.1"'],
    "X-Request-Id": ["short", "a" * 64, "a" * 65, "ok.ok-ok_1"],
    "Content-Type": ["text/plain", "application/json; charset=latin-1", "application/merge-patch+json", "x", ";"],
    "Accept": ["text/html", "application/xml;q=1", "*/*;q=0", "x" * 500],
    "Content-Encoding": ["gzip", "br", "identity", "deflate", "x"],
    "Range": ["bytes=0-1", "bytes=-1", "x"],
    "Last-Event-ID": ["1", "x" * 200],
    "Cookie": ["a=b; c", "x" * 500],
    "Origin": ["https://evil.example", "null", "x"],
    "X-Forwarded-For": ["127.0.0.1", "x, y"],
    "X-HTTP-Method-Override": ["DELETE"],
    "traceparent": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-x-y-z", "é"],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None


def mutants(seed: int, table: tuple[Route, ...], document: dict[str, Any]) -> Iterator[Mutant]:
    """Without end; the same for the same seed."""
    rng = random.Random(seed)
    while True:
        route = rng.choice(table)
        described = document["paths"][route.path][route.method.lower()]
        method = (
            route.method
            if rng.random() < 0.97
            else rng.choice(["PUT", "HEAD", "OPTIONS", "PROPFIND"])
        )
        path = "/".join(_part(rng, part) for part in route.path.split("/"))
        path += _query(rng, described["parameters"])
        headers = {n: rng.choice(HEADERS[n]) for n in rng.sample(list(HEADERS), rng.randrange(3))}
        body = _body(rng, described) if route.takes_body else None
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        yield Mutant(method, path, headers, body)


def _part(rng: random.Random, part: str) -> str:
    return rng.choice(IDS) if part.startswith("{") else part


def _query(rng: random.Random, parameters: list[dict[str, Any]]) -> str:
    names = [one["name"] for one in parameters if one.get("in") == "query"]
    pairs = []
    for name in names:
        if rng.random() < 0.4:
            value = rng.choice(NASTY)
            text = value[:500] if isinstance(value, str) else json.dumps(value)[:500]
            # Of waits only short ones: a long poll would only slow the run.
            pairs.append(f"{name}={'0' if name == 'wait' else quote(text)}")
    if rng.random() < 0.05:
        pairs += ["%zz=%", "a&&b", "x[]=1"]
    return "?" + "&".join(pairs) if pairs else ""


def _body(rng: random.Random, described: dict[str, Any]) -> bytes | None:
    if rng.random() < 0.1:
        return rng.choice(RAW)
    if "requestBody" not in described:
        return None if rng.random() < 0.7 else json.dumps(rng.choice(NASTY)).encode()
    example = copy.deepcopy(described["requestBody"]["content"]["application/json"]["example"])
    for _ in range(rng.randrange(3)):
        _hurt(rng, example)
    return json.dumps(example, ensure_ascii=rng.random() < 0.5).encode(errors="replace")


def _hurt(rng: random.Random, value: Any) -> None:
    """Change one thing somewhere inside."""
    if isinstance(value, list) and value:
        if isinstance(value[0], dict | list) and rng.random() < 0.7:
            _hurt(rng, value[0])
        else:
            value[0] = rng.choice(NASTY)
    elif isinstance(value, dict):
        name = rng.choice([*value, "unknown"])
        if isinstance(value.get(name), dict | list) and rng.random() < 0.7:
            _hurt(rng, value[name])
        elif rng.random() < 0.2:
            value.pop(name, None)
        else:
            value[name] = rng.choice(NASTY)
