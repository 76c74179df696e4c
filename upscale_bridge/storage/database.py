"""A table of dataclasses in an sqlite file that several programs share, over all its versions.

The version of a file is the number of migrations that it has been through; sqlite keeps it as
`user_version`. The first migration makes the table, each later one adds to it, so that a program
that is older and still running goes on with the columns that it knows.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote

from ..errors import SettingsError
from .salvage import rescue, set_aside
from .settings import make_folder

_PATIENCE = 30.0  # seconds for other programs to end their transactions
_WAL_TRIES = 250


Row = TypeVar("Row")


class Migration(NamedTuple):
    """One step from a version of a file to the next; released ones never change."""

    name: str
    """What it brings, a few words, for an error message."""
    sql: str
    """One statement. After the first one only ADD COLUMN ... NOT NULL DEFAULT ..., or less."""


class Database(Generic[Row]):
    """One table of dataclasses; a column is a field of the same name, the first one is the key.

    Thread-safe, and safe between processes. The file is readable by its owner only. Columns that
    the dataclass does not know are left alone.
    """

    def __init__(
        self,
        path: Path,
        table: str,
        row: type[Row],
        migrations: Sequence[Migration],
        indexes: tuple[str, ...] = (),
        damaged: str = "Move it away and keep it.",
    ) -> None:
        """`indexes` are column lists; `damaged` says what to do about a file that is damaged.

        Nothing is changed in such a one.

        The file is made, or brought to the newest version, when first needed. Before that a copy
        of the older version is put beside it, in place of an earlier copy.
        """
        self._path, self._table, self._row = path, table, row
        self._migrations, self._indexes = migrations, indexes
        self._damaged = damaged
        self.listeners: list[Callable[[], None]] = []
        """Called after every change that this program makes, from the thread that made it."""
        self._names = [field.name for field in fields(row)]  # type: ignore[arg-type]
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def transaction(self, *, reading: bool = False, lasting: bool = True) -> Iterator[None]:
        """Store what happens inside together or not at all; raises `SettingsError`.

        `reading` is for queries alone: they wait for no other process. What is not `lasting` waits
        for no disk: a machine that loses its power may forget it, together with nothing that was
        stored later and lasts.
        """
        with self._lock:
            try:
                connection = self._connection = self._connection or self._open()
                connection.execute(f"PRAGMA synchronous = {'FULL' if lasting else 'NORMAL'}")
                connection.execute("BEGIN" if reading else "BEGIN IMMEDIATE")
                try:
                    yield
                    connection.execute("COMMIT")
                except BaseException:
                    connection.rollback()
                    raise
            except sqlite3.Error as error:
                raise self._unusable(error) from error
        if not reading:
            for listener in self.listeners:
                listener()

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Run one statement, inside a transaction."""
        assert self._connection is not None
        return self._connection.execute(sql, values)

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """Return the dataclasses that a SELECT * finds, inside a transaction."""
        cursor = self.execute(sql, *values)
        places = {column[0]: place for place, column in enumerate(cursor.description)}
        return [
            self._row(**{name: found[places[name]] for name in self._names}) for found in cursor
        ]

    def insert(self, row: Row) -> None:
        """Store a dataclass, in place of the one with the same key."""
        names, marks = ", ".join(self._names), ", ".join("?" * len(self._names))
        values = [getattr(row, name) for name in self._names]
        self.execute(f"INSERT OR REPLACE INTO {self._table} ({names}) VALUES ({marks})", *values)

    def _open(self) -> sqlite3.Connection:
        make_folder(self._path.parent)
        try:
            self._make()
            if self._version_outside() > len(self._migrations):
                raise self._too_new()
        except OSError as error:
            raise SettingsError(f"Cannot write {self._path} ({error.strerror}).") from error
        connection = sqlite3.connect(
            self._path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            _switch_to_wal(connection)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            self._migrate(connection)
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    def _make(self) -> None:
        """Make the file unless there is one; it appears whole, so that an empty one is damaged."""
        if self._path.exists():
            return
        new = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        try:
            # sqlite gives its side files the mode of this one.
            os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            with closing(sqlite3.connect(new, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
            try:
                os.link(new, self._path)
            except FileExistsError:  # another program was faster
                pass
            except OSError:  # a file system without links
                if not self._path.exists():
                    new.rename(self._path)
        finally:
            new.unlink(missing_ok=True)

    def _version_outside(self) -> int:
        """Return the file's version without changing a byte in it or in a side file.

        Raises `sqlite3.DatabaseError` when it is damaged. sqlite alone may open the file: closing
        it in any other way drops the locks that other connections of this program hold
        (https://sqlite.org/howtocorrupt.html, 2.2).
        """
        if not self._path.stat().st_size:
            raise sqlite3.DatabaseError("file is empty")
        path = quote(self._path.absolute().as_posix())
        address = f"file://{'' if path.startswith('/') else '/'}{path}?mode=ro"
        with closing(sqlite3.connect(address, timeout=_PATIENCE, uri=True)) as connection:
            version = _version(connection)
            if version <= len(self._migrations):
                (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                if found != "ok":
                    raise sqlite3.DatabaseError(" ".join(str(found).split()))
            return version

    def is_damaged(self) -> bool:
        """Tell whether the file is there and damaged."""
        try:
            return self._path.exists() and self._version_outside() < 0
        except sqlite3.OperationalError:
            return False
        except sqlite3.DatabaseError:
            return True

    def repair(self) -> tuple[int, Path]:
        """Replace a damaged file by a new one with all rows that can be read.

        Returns how many these are, and where the damaged file is kept. No other program may use
        it meanwhile. Raises `SettingsError`.
        """
        with self._lock:
            try:
                found = rescue(self._path, self._table)
                kept = set_aside(self._path)
            except OSError as error:
                raise SettingsError(f"Cannot repair {self._path} ({error.strerror}).") from error
            self._connection = None
            with self.transaction():
                for row in found:
                    self.insert(self._row(**{n: row[n] for n in self._names if n in row}))
            return len(found), kept

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """Bring the file to the newest version, inside the transaction that nobody else is in."""
        version = _version(connection)
        if version > len(self._migrations):  # a newer program was here a moment ago
            raise self._too_new()
        if 0 < version < len(self._migrations):
            self._copy()
        for name, sql in self._migrations[version:]:
            try:
                connection.execute(sql)
            except sqlite3.OperationalError as error:
                raise sqlite3.OperationalError(f"{name}: {error}") from error
        if version < len(self._migrations):
            connection.execute(f"PRAGMA user_version = {len(self._migrations)}")
        for index in self._indexes:
            name = "by_" + "_".join(index.split(", "))
            connection.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {self._table} ({index})")

    def _copy(self) -> None:
        """Put a copy of the file beside it."""
        copy = self._path.with_name(self._path.name + ".bak")
        new = copy.with_name(f".{copy.name}.{secrets.token_hex(4)}")
        try:
            os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            # A connection that writes cannot be copied from; this one sees what was before.
            with (
                closing(sqlite3.connect(self._path, timeout=_PATIENCE)) as source,
                closing(sqlite3.connect(new)) as target,
            ):
                source.backup(target)
                target.execute("PRAGMA journal_mode = DELETE")  # one file, no side files
            new.replace(copy)
        except OSError as error:
            raise SettingsError(f"Cannot write {copy} ({error.strerror}).") from error
        finally:
            new.unlink(missing_ok=True)

    def _too_new(self) -> SettingsError:
        return SettingsError(
            f"{self._path} was made by a newer Upscale Bridge; update this one. Nothing in it was "
            "changed, and nothing is lost."
        )

    def _unusable(self, error: sqlite3.Error) -> SettingsError:
        where = f"The {self._table} in {self._path}"
        if isinstance(error, sqlite3.OperationalError):
            return SettingsError(
                f"{where} cannot be used ({error}); make room, and see to it that the folder may "
                "be written to. Nothing is lost."
            )
        return SettingsError(
            f"{where} cannot be used: the file is damaged ({error}). It was left as it is. "
            f"{self._damaged}"
        )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Switch the file over once; sqlite does not wait for others that do the same just now."""
    for attempt in range(_WAL_TRIES):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if attempt + 1 == _WAL_TRIES:
                raise
            time.sleep(0.02)
