"""Passwords: argon2id in a small pool of threads, and no difference between an unknown account and a wrong password.

In: passwords, stored hashes. Out: hashes, yes or no.
Must stay true: never more threads than cores and never an endless queue (hashing is slow on purpose: it must
not become a denial of service); an unknown account costs the same hash as a known one; no password is kept or
logged.

Source: RFC 9106 (Argon2); parameters after the OWASP Password Storage Cheat Sheet (19 MiB, 2 passes, 1 lane).
"""

import asyncio
import os
import time
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from contracts.problems import Code, Problem
from gateway.http.problems import Refusal

PASSWORD_MIN, PASSWORD_MAX = 10, 128
"""Characters of a password."""
WAITING_MAX = 64
"""So many may wait for a thread; who comes then is told to come back."""
T = TypeVar("T")


def make_hasher(parameters: str) -> PasswordHasher:
    """The hasher for `KiB,passes,lanes`. Raises ValueError for less than argon2 can do."""
    try:
        memory, passes, lanes = (int(part) for part in parameters.split(","))
    except ValueError:
        raise ValueError(f"EVENTHUB_ARGON2={parameters!r} is not KiB,passes,lanes") from None
    if passes < 1 or lanes < 1 or memory < 8 * lanes:
        raise ValueError(
            f"EVENTHUB_ARGON2={parameters!r}: argon2 needs 8 KiB per lane and one pass"
        )
    return PasswordHasher(memory_cost=memory, time_cost=passes, parallelism=lanes, type=Type.ID)


def _normal(password: str) -> str:
    # RFC 8265 section 4.2 (OpaqueString): one keyboard's é is the other's e + ´.
    return unicodedata.normalize("NFC", password)


class Passwords:
    """Hashes and verifies off the event loop. Close it at the end."""

    def __init__(self, hasher: PasswordHasher, threads: int | None = None) -> None:
        self._hasher = hasher
        threads = threads or min(2, os.cpu_count() or 1)
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._waiting = 0
        self._seconds = 0.1
        # What an unknown account's password is compared with; nobody knows its password, nor do we.
        self._dummy = hasher.hash(os.urandom(32).hex())

    async def hash(self, password: str) -> str:
        """The hash to store. Raises Refusal (429 BUSY) when too many wait."""
        return await self._in_pool(lambda: self._hasher.hash(_normal(password)))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether it is the account's password; `stored` None (no such account) takes as long and says no.

        Raises Refusal (429 BUSY) when too many wait.
        """
        against = stored or self._dummy
        fits = await self._in_pool(lambda: self._fits(against, password))
        return fits and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _fits(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, _normal(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _in_pool(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING_MAX:
            seconds = max(1, round(self._waiting * self._seconds / self._threads))
            detail = "Too many sign-ins at once; nothing was done."
            raise Refusal(Problem(Code.BUSY, detail, retry_after=seconds))
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._timed, work)
        finally:
            self._waiting -= 1

    def _timed(self, work: Callable[[], T]) -> T:
        started = time.perf_counter()
        try:
            return work()
        finally:
            # Exponentially weighted: what a hash takes on this machine, today.
            self._seconds = 0.9 * self._seconds + 0.1 * (time.perf_counter() - started)

    def close(self) -> None:
        """Let the threads go; what runs is finished."""
        self._pool.shutdown(wait=False, cancel_futures=True)
