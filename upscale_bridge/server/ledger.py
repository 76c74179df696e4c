"""How much of the disk each customer's files take, and the room that accepted tasks will need.

A table, so that nobody has to walk through the folder, and so that listener and workers agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UpscaleError
from ..remote.clock import Clock
from ..storage.database import Database, Migration
from .sql_queue import Table

UPLOAD, FILE, ROOM, COUNTED = "upload", "file", "room", "counted"
"""Kinds of entries: an upload, any other file, room for one to come, an upload that is gone."""

_DAY = 86_400.0
_ROOM_SECONDS = 600.0  # in which a room gets the job that it is for


MIGRATIONS = (  # a new field of LedgerEntry needs one more at the end; released ones never change
    Migration(
        "the table of files",
        "CREATE TABLE files ("
        "name TEXT NOT NULL, "
        "customer TEXT NOT NULL, "
        "kind TEXT NOT NULL, "
        "size INTEGER NOT NULL, "
        "created REAL NOT NULL, "
        "PRIMARY KEY (name))",
    ),
)


INDEXES = ("customer, size", "kind, created")


class NoRoomError(UpscaleError):
    """A customer's share of the disk, or the whole of it, is used up."""


@dataclass(frozen=True)
class Limits:
    """How much of the disk may be taken, bytes."""

    most: int
    """By all."""
    share: int
    """By one customer."""
    free: int
    """What is free on the disk, of which that of rooms is spoken for."""


@dataclass(frozen=True)
class LedgerEntry:
    """One file, or room for one."""

    name: str
    customer: str
    kind: str
    size: int
    """Bytes."""
    created: float
    """Seconds since 1970."""


class Ledger:
    """All entries; thread-safe, and safe between processes."""

    def __init__(
        self, table: Table[LedgerEntry], now: Callable[[], float], alone: Callable[[str], None]
    ) -> None:
        """`now` returns the present in seconds since 1970, `alone` waits until no other transaction
        does the same; both are called inside a transaction."""
        self._database, self._now, self._alone = table, now, alone

    @classmethod
    def in_file(cls, path: Path, clock: Clock | None = None) -> Ledger:
        """Return the one in an sqlite file, which has one writer at a time."""
        table: Database[LedgerEntry] = Database(path, "files", LedgerEntry, MIGRATIONS, INDEXES)
        return cls(table, (clock or Clock()).now, lambda what: None)

    def add_upload(
        self,
        name: str,
        customer: str,
        size: int,
        limits: Limits,
        allowances: Sequence[tuple[float, int]] = (),
    ) -> None:
        """Take `size` bytes of the disk for an upload, or raise `NoRoomError`.

        `allowances` are (seconds, most uploads of the customer in that time).
        """
        with self._database.transaction():
            self._alone("take room")
            self._refuse_uploads(customer, allowances)
            self._refuse_bytes(customer, size, limits)
            self._database.insert(LedgerEntry(name, customer, UPLOAD, size, self._now()))

    def add_room(
        self, room: str, customer: str, size: int, limits: Limits, first: tuple[str, int]
    ) -> None:
        """Take `size` bytes of the disk for files to come, or raise `NoRoomError`; the `first` of
        them, a name and its bytes, is noted at once."""
        name, filled = first
        with self._database.transaction():
            self._alone("take room")
            self._refuse_bytes(customer, size, limits)
            now = self._now()
            self._database.insert(LedgerEntry(room, customer, ROOM, max(size - filled, 0), now))
            self._database.insert(LedgerEntry(name, customer, FILE, filled, now))

    def fill(self, room: str, name: str, size: int) -> None:
        """Note a file that takes its place in a room which was added before."""
        with self._database.transaction():
            row = self._database.execute(
                "SELECT customer FROM files WHERE name = ?", room
            ).fetchone()
            self._database.execute(
                "UPDATE files SET size = CASE WHEN size > ? THEN size - ? ELSE 0 END "
                "WHERE name = ?",
                *(size, size, room),
            )
            customer = row[0] if row else ""
            self._database.insert(LedgerEntry(name, customer, FILE, size, self._now()))

    def adopt(self, sizes: dict[str, int]) -> None:
        """Make the entries of files fit what is in the folder: names and bytes."""
        with self._database.transaction():
            rows = self._database.execute("SELECT name FROM files WHERE kind IN ('file', 'upload')")
            known = {str(name) for (name,) in rows.fetchall()}
            for name in known - sizes.keys():
                self._database.execute("DELETE FROM files WHERE name = ?", name)
            for name in sizes.keys() - known:
                self._database.insert(LedgerEntry(name, "", FILE, sizes[name], self._now()))

    def remove(self, name: str) -> None:
        """Forget an entry, but for an upload's share of its customer's limits."""
        with self._database.transaction():
            self._database.execute(
                "UPDATE files SET kind = 'counted', size = 0 WHERE name = ? AND kind = 'upload'",
                name,
            )
            self._database.execute(
                "DELETE FROM files WHERE name = ? AND kind != 'counted' "
                "OR kind = 'counted' AND created < ?",
                name,
                self._now() - _DAY,
            )

    def size(self) -> int:
        """Return the bytes of all files."""
        with self._database.transaction(reading=True):
            (total,) = self._database.execute(
                "SELECT COALESCE(SUM(size), 0) FROM files WHERE kind != 'room'"
            ).fetchone()
            return int(total)

    def rooms(self) -> list[str]:
        """Return the names of the rooms that have had the time to get their job."""
        return self._names("kind = 'room' AND created < ?", _ROOM_SECONDS)

    def older(self, seconds: float) -> list[str]:
        """Return the names of the files that are older than this."""
        return self._names("kind IN ('file', 'upload') AND created < ?", seconds)

    def _refuse_bytes(self, customer: str, size: int, limits: Limits) -> None:
        taken, rooms, own = self._database.execute(
            "SELECT COALESCE(SUM(size), 0), "
            "COALESCE(SUM(CASE WHEN kind = 'room' THEN size END), 0), "
            "COALESCE(SUM(CASE WHEN customer = ? THEN size END), 0) FROM files",
            customer,
        ).fetchone()
        if taken + size > limits.most or rooms + size > limits.free:
            raise NoRoomError("The server's disk is used up; try again later.")
        if own + size > limits.share:
            raise NoRoomError("This key's share of the server's disk is used up; try again later.")

    def _refuse_uploads(self, customer: str, allowances: Sequence[tuple[float, int]]) -> None:
        for seconds, most in allowances:
            (recent,) = self._database.execute(
                "SELECT COUNT(*) FROM files WHERE customer = ? AND created > ? "
                "AND kind IN ('upload', 'counted')",
                customer,
                self._now() - seconds,
            ).fetchone()
            if recent >= most:
                raise NoRoomError(f"This key may upload {most} files in {seconds:.0f} s.")

    def _names(self, condition: str, age: float) -> list[str]:
        """Return the names of entries whose `created` is compared with what was `age` seconds
        ago."""
        with self._database.transaction(reading=True):
            rows = self._database.execute(
                f"SELECT name FROM files WHERE {condition}", self._now() - age
            )
            return [str(name) for (name,) in rows.fetchall()]
