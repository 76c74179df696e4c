"""Tables of dataclasses in a database that all listeners and workers share.

Imported only by cluster commands: SQLAlchemy and psycopg belong to the extra [cluster]. PostgreSQL
serves many machines, sqlite the processes of one.

A table's version is the number of migrations that it has been through. They only add columns with
defaults, so that a program of the release before goes on with those that it knows.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, Generic, TypeVar

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError, SQLAlchemyError

from ...errors import SettingsError
from ...remote.clock import Clock
from ...storage.database import Migration

Row = TypeVar("Row")

_CLOCKS = {
    "postgresql": "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)",
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400.0",
}
_DRIVERS = {"postgresql": "postgresql+psycopg", "sqlite": "sqlite"}
_CONNECT_SECONDS = 5
_PAUSE = 1.0
_TIME_SECONDS = 5.0
_IDLE_SECONDS = 1.0
_USED = "upscale-bridge used"
CONNECTIONS = 32
_VERSIONS = (
    "CREATE TABLE IF NOT EXISTS versions (subject TEXT NOT NULL PRIMARY KEY, "
    "version INTEGER NOT NULL)"
)


class Store:
    """One database; thread-safe, and safe between processes and machines."""

    def __init__(
        self,
        url: str,
        clock: Clock | None = None,
        patience: float = 0.0,
        connections: int = CONNECTIONS,
    ) -> None:
        """`url` is postgresql://USER:PASSWORD@HOST/NAME or sqlite:////PATH; raises `SettingsError`.

        Without a `clock` the time is that of the database, whatever the machines' clocks say. A
        database that cannot be reached is waited for, `patience` seconds. At most so many
        `connections` are open.
        """
        self._patience = patience
        try:
            address = make_url(url)
            self.kind = address.drivername
            if self.kind not in _CLOCKS:
                raise ArgumentError(self.kind)
            address = address.set(drivername=_DRIVERS[self.kind])
            self._engine = sqlalchemy.create_engine(address, **_options(self.kind, connections))
        except ArgumentError as error:
            raise SettingsError(
                "--store must be postgresql://USER:PASSWORD@HOST/NAME, or sqlite:////PATH for the "
                "processes of one machine."
            ) from error
        self._where = f"{address.host or 'this machine'}/{address.database}"
        self._reader: sqlalchemy.Engine = self._engine
        if self.kind == "sqlite":
            event.listen(self._engine, "connect", _use_sqlite_alone)
            event.listen(self._engine, "begin", _begin_at_once)
        else:
            event.listen(self._engine, "checkout", self._refuse_dead)
            event.listen(self._engine, "checkin", _note_use)
            self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._clock = clock
        self._ahead, self._asked = 0.0, -math.inf
        self._local = threading.local()
        self.reached_since = time.monotonic()
        """Since when, by `time.monotonic`, every transaction has reached the database."""

    @contextmanager
    def transaction(self, *, reading: bool = False, lasting: bool = True) -> Iterator[None]:
        """Store what happens inside together or not at all; raises `SettingsError`.

        `reading` is for queries alone. What is not `lasting` waits for no disk: a machine that
        loses its power may forget it, together with nothing lasting that came later.
        """
        try:
            with self._connect(reading=reading) as connection:
                self._local.connection = connection
                if reading:
                    yield
                else:
                    with connection.begin():
                        if not lasting and self.kind == "postgresql":
                            self.execute("SET LOCAL synchronous_commit TO off")
                        yield
        except SQLAlchemyError as error:
            self.reached_since = time.monotonic()
            raise SettingsError(
                f"The database {self._where} cannot be used ({_first_line(error)}); see to it that "
                "it runs and can be reached. Nothing that was accepted is lost."
            ) from error
        finally:
            self._local.connection = None

    def _connect(self, *, reading: bool) -> sqlalchemy.Connection:
        until = time.monotonic() + self._patience
        while True:
            try:
                return (self._reader if reading else self._engine).connect()
            except SQLAlchemyError:
                self.reached_since = time.monotonic()
                if time.monotonic() >= until:
                    raise
            time.sleep(_PAUSE)

    def _refuse_dead(self, connection: Any, record: Any, _proxy: object) -> None:
        """Ask the database whether a connection lives before it is used again.

        Who waits for a database asks each time, since nobody would repeat a query that breaks off.
        Others, whose clients do, ask after a pause: polls would take twice as long, and all
        connections are made anew as soon as one fails.
        """
        idle = time.monotonic() - record.info.get(_USED, time.monotonic())
        if idle > (0.0 if self._patience else _IDLE_SECONDS):
            try:
                self._engine.dialect.do_ping(connection)
            except self._engine.dialect.loaded_dbapi.Error as error:
                raise DisconnectionError("It was closed at the other end.") from error

    def execute(self, sql: str, *values: Any) -> sqlalchemy.CursorResult[Any]:
        """Run one statement with `?` for each value, inside a transaction."""
        if self.kind == "postgresql":
            sql = sql.replace("?", "%s")
            values = tuple(_text(one) if isinstance(one, str) else one for one in values)
        connection: sqlalchemy.Connection = self._local.connection
        return connection.exec_driver_sql(sql, values or None)

    def alone(self, what: str) -> None:
        """Wait until no other transaction does `what`, inside a transaction."""
        if self.kind == "postgresql":  # sqlite has one writer at a time anyway
            self.execute("SELECT pg_advisory_xact_lock(hashtext(?))", f"upscale-bridge {what}")

    def now(self) -> float:
        """Return the database's time, seconds since 1970, inside a transaction.

        It is asked now and then, and this machine's steady clock counts in between.
        """
        if self._clock is not None:
            return self._clock.now()
        here = time.monotonic()
        if here - self._asked > _TIME_SECONDS:
            self._ahead = float(self.execute(_CLOCKS[self.kind]).scalar_one()) - here
            self._asked = here
        return here + self._ahead

    def migrate(
        self,
        subject: str,
        migrations: Sequence[Migration],
        indexes: Sequence[str] = (),
        *,
        numbered: bool = False,
    ) -> None:
        """Bring the table `subject` to the newest version; one that is newer stays as it is.

        The rows of a `numbered` one are counted in the order of their making.
        """
        with self.transaction():
            self.alone("migrate")
            self.execute(_VERSIONS)
            row = self.execute("SELECT version FROM versions WHERE subject = ?", subject).fetchone()
            version = int(row[0]) if row else 0
            if version >= len(migrations):
                return
            for migration in migrations[version:]:
                self.execute(migration.sql.replace(" REAL ", " DOUBLE PRECISION "))
            if numbered and not version and self.kind == "postgresql":  # sqlite has its rowid
                self.execute(
                    f"ALTER TABLE {subject} ADD COLUMN number BIGINT GENERATED ALWAYS AS IDENTITY"
                )
            for index in indexes:
                name = f"{subject}_by_{'_'.join(index.split(', '))}"
                self.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {subject} ({index})")
            self.execute(
                "INSERT INTO versions (subject, version) VALUES (?, ?) "
                "ON CONFLICT (subject) DO UPDATE SET version = excluded.version",
                subject,
                len(migrations),
            )

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


class StoreTable(Generic[Row]):
    """One table of a store; a column is a field of the same name, the first one is the key."""

    def __init__(
        self,
        store: Store,
        name: str,
        row: type[Row],
        migrations: Sequence[Migration],
        indexes: Sequence[str] = (),
        *,
        numbered: bool = False,
    ) -> None:
        """The table is made, or brought to the newest version; raises `SettingsError`."""
        self._store, self._name, self._row = store, name, row
        self._columns = [field.name for field in fields(row)]  # type: ignore[arg-type]
        self.transaction, self.execute = store.transaction, store.execute
        store.migrate(name, migrations, indexes, numbered=numbered)

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """Return the dataclasses that a SELECT * finds, inside a transaction."""
        found = self.execute(sql, *values)
        return [
            self._row(**{name: row[name] for name in self._columns}) for row in found.mappings()
        ]

    def insert(self, row: Row) -> None:
        """Store a dataclass, in place of the one with the same key."""
        names, marks = ", ".join(self._columns), ", ".join("?" * len(self._columns))
        key, *others = self._columns
        changes = ", ".join(f"{name} = excluded.{name}" for name in others)
        self.execute(
            f"INSERT INTO {self._name} ({names}) VALUES ({marks}) "
            f"ON CONFLICT ({key}) DO UPDATE SET {changes}",
            *(getattr(row, name) for name in self._columns),
        )


def _options(kind: str, connections: int) -> dict[str, Any]:
    # Values may hold what customers sent; they stay out of errors.
    shared: dict[str, Any] = {"hide_parameters": True}
    if kind == "sqlite":
        return {**shared, "connect_args": {"timeout": 30}}
    return {
        **shared,
        "pool_size": connections,  # those beyond it would be made anew for each use
        "max_overflow": 0,
        "pool_timeout": 2 * _CONNECT_SECONDS,
        "connect_args": {
            "connect_timeout": _CONNECT_SECONDS,
            "application_name": "upscale-bridge",
            "client_encoding": "utf8",  # a database of SQL_ASCII would hand out octets
            # A connection whose other end is gone must not hang for a quarter of an hour.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
        },
    }


def _note_use(_connection: object, record: Any) -> None:
    record.info[_USED] = time.monotonic()


def _use_sqlite_alone(connection: Any, _record: object) -> None:
    """Leave transactions to `_begin_at_once`: the driver's own would begin with the first write."""
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _begin_at_once(connection: sqlalchemy.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _text(value: str) -> str:
    """Return a text that PostgreSQL can store."""
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _first_line(error: SQLAlchemyError) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]
