"""A table of dataclasses in an sqlite file that several programs share."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from .errors import SettingsError
from .settings import make_folder

_WAL_TRIES = 250
_KINDS = {"str": "TEXT", "int": "INTEGER", "float": "REAL", "State": "TEXT"}


class Database:
    """One table, whose columns are the fields of a dataclass; the first is its key.

    Thread-safe, and safe between processes. The file is readable by its owner only.
    """

    def __init__(
        self,
        path: Path,
        table: str,
        row: type,
        indexes: tuple[str, ...] = (),
        written: Callable[[], None] | None = None,
    ) -> None:
        """`indexes` are column lists; `written` is called after each change by this program.

        The file is made when first needed.
        """
        self._written = written
        self._path, self._table, self._indexes = path, table, indexes
        self._columns = {field.name: _KINDS[str(field.type)] for field in fields(row)}
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def transaction(self, *, reading: bool = False) -> Iterator[None]:
        """Store what happens inside together or not at all; raises `SettingsError`.

        `reading` is for queries alone: they wait for no other process.
        """
        with self._lock:
            try:
                connection = self._connection = self._connection or self._open()
                connection.execute("BEGIN" if reading else "BEGIN IMMEDIATE")
                try:
                    yield
                    connection.execute("COMMIT")
                except BaseException:
                    connection.rollback()
                    raise
            except sqlite3.Error as error:
                raise SettingsError(
                    f"The {self._table} in {self._path} cannot be used ({error}); make room, or "
                    "move it away if it is damaged."
                ) from error
        if self._written is not None and not reading:
            self._written()

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Run one statement, inside a transaction."""
        assert self._connection is not None
        return self._connection.execute(sql, values)

    def insert(self, row: object) -> None:
        """Store a dataclass, in place of the one with the same key."""
        marks = ", ".join("?" * len(self._columns))
        values = [getattr(row, name) for name in self._columns]
        self.execute(f"INSERT OR REPLACE INTO {self._table} VALUES ({marks})", *values)

    def _open(self) -> sqlite3.Connection:
        make_folder(self._path.parent)
        try:
            # sqlite gives its side files the mode of this one.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise SettingsError(f"Cannot write {self._path} ({error.strerror}).") from error
        connection = sqlite3.connect(
            self._path, timeout=30, isolation_level=None, check_same_thread=False
        )
        _switch_to_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        self._check_version(connection)
        columns = ", ".join(f"{name} {kind} NOT NULL" for name, kind in self._columns.items())
        key = next(iter(self._columns))
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {self._table} ({columns}, PRIMARY KEY ({key}))"
        )
        for index in self._indexes:
            name = "by_" + "_".join(index.split(", "))
            connection.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {self._table} ({index})")
        connection.execute("COMMIT")
        return connection

    def _check_version(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > 1:
            connection.close()
            raise SettingsError(
                f"{self._path} was made by a newer Upscale Bridge; update this one."
            )
        connection.execute("PRAGMA user_version = 1")


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
