"""Who works: each worker says every few seconds that it lives, by the database's clock.

Who has not said so for `LEASE_SECONDS` is taken for dead, and others do its job. It may live all
the same, cut off; what it then delivers has no effect, because the job is not its own any more.
"""

from __future__ import annotations

import json
import logging
import secrets
import socket
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, replace

from ... import __version__
from ...errors import SettingsError
from ...storage.database import Migration
from ..queue import WorkerFacts
from .database import Store, StoreTable

log = logging.getLogger("upscale_bridge.server")

LEASE_SECONDS = 30.0
_BEATS = 6  # within a lease
_FORGOTTEN_SECONDS = 86_400.0

MIGRATIONS = (  # a new field of WorkerRow needs one more at the end; released ones never change
    Migration(
        "the table of workers",
        "CREATE TABLE workers ("
        "name TEXT NOT NULL, "
        "machine TEXT NOT NULL, "
        "device TEXT NOT NULL, "
        "version TEXT NOT NULL, "
        "models TEXT NOT NULL, "
        "since REAL NOT NULL, "
        "lease REAL NOT NULL, "
        "busy REAL NOT NULL, "
        "done INTEGER NOT NULL, "
        "loads INTEGER NOT NULL, "
        "PRIMARY KEY (name))",
    ),
)


@dataclass(frozen=True)
class WorkerRow:
    """One worker process; the fields are those of `WorkerFacts`."""

    name: str
    machine: str
    device: str
    version: str = __version__
    models: str = "[]"
    """JSON of those that it has in memory."""
    since: float = 0.0
    lease: float = 0.0
    """Until when it is known to live, by the database's clock."""
    busy: float = 0.0
    done: int = 0
    loads: int = 0


class Presence:
    """All workers of a store; thread-safe."""

    def __init__(self, store: Store, lease: float = LEASE_SECONDS) -> None:
        self._store, self._lease = store, lease
        self._table = StoreTable(store, "workers", WorkerRow, MIGRATIONS)

    @property
    def beat_seconds(self) -> float:
        """How often a worker says that it lives."""
        return self._lease / _BEATS

    def enter(self, name: str, device: str, machine: str = "") -> WorkerRow:
        """Begin as a worker for a device of this machine; counts go on where the last one was."""
        row = WorkerRow(name, machine or socket.gethostname(), device)
        with self._table.transaction():
            now = self._store.now()
            earlier = self._table.rows(
                "SELECT * FROM workers WHERE machine = ? AND device = ? AND lease <= ? "
                "ORDER BY lease DESC LIMIT 1",
                *(row.machine, device, now),
            )
            for one in earlier:
                self._table.execute("DELETE FROM workers WHERE name = ?", one.name)
                row = replace(row, busy=one.busy, done=one.done, loads=one.loads)
            row = replace(row, since=now, lease=now + self._lease)
            self._table.insert(row)
        return row

    def beat(self, row: WorkerRow) -> None:
        """Say that a worker lives, and how it is; raises `SettingsError`."""
        with self._table.transaction(lasting=False):
            self._table.insert(replace(row, lease=self._store.now() + self._lease))

    def leave(self, name: str) -> None:
        """Say that a worker lives no more."""
        with self._table.transaction():
            self._table.execute("UPDATE workers SET lease = 0 WHERE name = ?", name)

    def dead(self, workers: Collection[str]) -> set[str]:
        """Return those that do not live, inside a transaction."""
        found = self._table.execute(
            "SELECT name FROM workers WHERE lease > ?", self._store.now()
        ).fetchall()
        return set(workers) - {str(name) for (name,) in found}

    def living(self) -> list[WorkerFacts]:
        """Return all workers that live."""
        with self._table.transaction(reading=True):
            rows = self._table.rows(
                "SELECT * FROM workers WHERE lease > ? ORDER BY machine, device, name",
                self._store.now(),
            )
            jobs = self._table.execute(
                "SELECT worker, id FROM jobs WHERE state = 'running'"
            ).fetchall()
        hands = {str(worker): str(job) for worker, job in map(tuple, jobs)}
        return [
            WorkerFacts(
                machine=row.machine,
                device=row.device,
                version=row.version,
                models=tuple(json.loads(row.models)),
                job=hands.get(row.name, ""),
                since=row.since,
                busy=row.busy,
                done=row.done,
                loads=row.loads,
            )
            for row in rows
        ]

    def idle(self) -> int:
        """Return how many workers have nothing to do, inside a transaction."""
        (count,) = self._table.execute(
            "SELECT COUNT(*) FROM workers WHERE lease > ? AND name NOT IN "
            "(SELECT worker FROM jobs WHERE state = 'running')",
            self._store.now(),
        ).fetchone() or (0,)
        return int(count)

    def sweep(self) -> None:
        """Forget who has been dead for long."""
        with self._table.transaction():
            self._table.execute(
                "DELETE FROM workers WHERE lease < ? AND since < ?",
                *(2 * [self._store.now() - _FORGOTTEN_SECONDS]),
            )


class OwnPresence:
    """This process as a worker, which says from entering to leaving that it lives."""

    def __init__(self, presence: Presence, device: str, name: str = "") -> None:
        self.name = name or secrets.token_hex(8)
        self._presence, self._device = presence, device
        self._row = WorkerRow(self.name, "", device)
        self._lock = threading.Lock()
        self._began = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> OwnPresence:
        self._row = self._presence.enter(self.name, self._device)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        try:
            self._presence.leave(self.name)
        except SettingsError as error:  # then the lease ends by itself
            log.warning("%s", error)

    def begin(self) -> None:
        """Note that work begins."""
        with self._lock:
            self._began = time.monotonic()

    def end(self, models: Collection[str], loads: int) -> None:
        """Note that it is over: what is in memory after it, and how much was loaded."""
        with self._lock:
            row = self._present()
            self._row = replace(
                row, models=json.dumps([*models]), done=row.done + 1, loads=row.loads + loads
            )
            self._began = 0.0

    def _present(self) -> WorkerRow:
        busy = time.monotonic() - self._began if self._began else 0.0
        return replace(self._row, busy=self._row.busy + busy)

    def _run(self) -> None:
        while not self._stop.wait(self._presence.beat_seconds):
            with self._lock:
                row = self._present()
            try:
                self._presence.beat(row)
            except SettingsError as error:  # the next beat comes soon
                log.warning("%s", error)
