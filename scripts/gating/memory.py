"""What a gate remembers: one SQLite file, written before anything is shown.

In: scans and their ends, bundles. Out: what is to be asked again, told, shown; what is known of a ticket.
Must stay true: each step is one transaction that is on the disk when it returns, so that a gate that is killed at any
moment finds every scan again: asked and not answered, let in and not told, decided and not shown.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from scripts.gating.offline import Known

ASKING, ADMITTED, REFUSED, FACT, TOLD = "ASKING", "ADMITTED", "REFUSED", "FACT", "TOLD"
"""Of a scan: a question under way; let in by the server's word; turned away; let in alone, to be told; told."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS scans (
    id TEXT PRIMARY KEY, code TEXT NOT NULL, scanned_at TEXT NOT NULL, state TEXT NOT NULL, ruling TEXT,
    result TEXT, shown INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS scans_state ON scans (state);
CREATE INDEX IF NOT EXISTS scans_shown ON scans (shown) WHERE shown = 0;
CREATE TABLE IF NOT EXISTS used (tid INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS void (tid INTEGER PRIMARY KEY, version INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class KeptScan:
    """A scan as it is kept."""

    id: str
    code: str
    scanned_at: str
    state: str
    ruling: str | None
    result: dict[str, Any] | None


class GateMemory:
    """One device's file."""

    def __init__(self, path: Path | str) -> None:
        self._file = sqlite3.connect(path, isolation_level=None)
        # A power cut takes nothing that was shown: SQLite manual, "PRAGMA synchronous".
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = FULL")
        self._file.executescript(_SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    # -- scans -------------------------------------------------------------------------------------

    def begin(self, id_: str, code: str, scanned_at: str) -> KeptScan:
        """A scan is about to be asked. One of the same code that never got its answer is that scan again."""
        found = self._file.execute(
            f"{_SCANS} WHERE state = ? AND code = ? LIMIT 1", (ASKING, code)
        ).fetchone()
        if found is not None:
            return _kept(found)
        self._file.execute(
            "INSERT INTO scans (id, code, scanned_at, state) VALUES (?, ?, ?, ?)",
            (id_, code, scanned_at, ASKING),
        )
        return KeptScan(id_, code, scanned_at, ASKING, None, None)

    def answered(self, scan: KeptScan, result: Mapping[str, Any], tid: int | None) -> KeptScan:
        """The server ruled on it."""
        ruling = str(result["ruling"])
        state = ADMITTED if ruling == "ADMITTED" else REFUSED
        known = tid if ruling in ("ADMITTED", "ALREADY_USED") else None
        return self._end(scan, state, ruling, dict(result), known)

    def decided(self, scan: KeptScan, ruling: str, tid: int | None) -> KeptScan:
        """This gate ruled on it alone: whom it lets in is a fact to be told."""
        admitted = ruling == "ADMITTED"
        result = {"id": scan.id, "ruling": ruling}
        return self._end(
            scan, FACT if admitted else REFUSED, ruling, result, tid if admitted else None
        )

    def told(self, scan: KeptScan, result: Mapping[str, Any]) -> KeptScan:
        """The server knows the fact. It may be a conflict: then people have to see it again."""
        told = self._end(scan, TOLD, str(result["ruling"]), dict(result), None)
        if told.ruling != "ADMITTED":
            self._file.execute("UPDATE scans SET shown = 0 WHERE id = ?", (scan.id,))
        return told

    def _end(
        self, scan: KeptScan, state: str, ruling: str, result: dict[str, Any], tid: int | None
    ) -> KeptScan:
        with self._file:
            self._file.execute("BEGIN IMMEDIATE")
            self._file.execute(
                "UPDATE scans SET state = ?, ruling = ?, result = ? WHERE id = ?",
                (state, ruling, orjson.dumps(result).decode(), scan.id),
            )
            if tid is not None:
                self._file.execute("INSERT OR IGNORE INTO used VALUES (?)", (tid,))
        return KeptScan(scan.id, scan.code, scan.scanned_at, state, ruling, result)

    def shown(self, scan: KeptScan) -> None:
        """People at the door have seen its ruling."""
        self._file.execute("UPDATE scans SET shown = 1 WHERE id = ?", (scan.id,))

    def unshown(self) -> list[KeptScan]:
        """Decided, but the gate ended before anybody saw it."""
        rows = self._file.execute(f"{_SCANS} WHERE shown = 0 AND state <> ?", (ASKING,))
        return [_kept(row) for row in rows]

    def in_state(self, state: str, limit: int = -1) -> list[KeptScan]:
        """Scans of a state, the oldest first."""
        rows = self._file.execute(
            f"{_SCANS} WHERE state = ? ORDER BY rowid LIMIT ?", (state, limit)
        )
        return [_kept(row) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many scans there are of each state."""
        return dict(self._file.execute("SELECT state, COUNT(*) FROM scans GROUP BY state"))

    # -- what is known -----------------------------------------------------------------------------

    def learn(self, bundle: Mapping[str, Any]) -> None:
        """Take a bundle over: keys and names as they are, used and void beside what is known already."""
        with self._file:
            self._file.execute("BEGIN IMMEDIATE")
            for name in ("event", "ticketTypes", "keys", "asOf"):
                self._put(name, bundle[name])
            self._file.executemany(
                "INSERT OR IGNORE INTO used VALUES (?)", ((tid,) for tid in bundle["used"])
            )
            self._file.executemany(
                "INSERT INTO void VALUES (?, ?) ON CONFLICT (tid) DO UPDATE SET "
                "version = MAX(version, excluded.version)",
                bundle["void"],
            )

    def keep_token(self, digest: str) -> None:
        """Whose file this is: the digest of the gate's token."""
        self._put("token", digest)

    def _put(self, name: str, value: Any) -> None:
        self._file.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, orjson.dumps(value).decode()),
        )

    def get(self, name: str) -> Any:
        """A part of the bundle, None before the first."""
        found = self._file.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return orjson.loads(found[0]) if found else None

    def known(self, tid: int) -> Known:
        """What is known of a ticket."""
        used = self._file.execute("SELECT 1 FROM used WHERE tid = ?", (tid,)).fetchone()
        void = self._file.execute("SELECT version FROM void WHERE tid = ?", (tid,)).fetchone()
        return Known(used is not None, void[0] if void else 0)


_SCANS = "SELECT id, code, scanned_at, state, ruling, result FROM scans"


def _kept(row: Iterable[Any]) -> KeptScan:
    id_, code, scanned_at, state, ruling, result = row
    return KeptScan(id_, code, scanned_at, state, ruling, orjson.loads(result) if result else None)
