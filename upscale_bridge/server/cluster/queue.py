"""The queue in a database that listeners and workers of many machines share."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence

from ...errors import SettingsError
from ...remote.clock import Clock
from ...remote.seen import SeenTime
from ..job_table import INDEXES, MIGRATIONS
from ..queue import Job, WorkerFacts
from ..sql_queue import SqlQueue
from .database import Store, StoreTable
from .presence import LEASE_SECONDS, OwnPresence, Presence

log = logging.getLogger("upscale_bridge.server")

_TELL_SECONDS = 120.0  # in which one who tells of a job's end is done with it
_LATE_SECONDS = 2.0  # after which somebody should have begun with a job
_PARAMETERS = {
    "postgresql": "(parameters::json ->> ?)",
    "sqlite": "json_extract(parameters, '$.' || ?)",
}


class StoreClock(Clock):
    """The database's calendar beside this machine's steady clock."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def now(self) -> float:
        return self._store.now()


class ClusterQueue(SqlQueue):
    """The queue in a database; thread-safe, and safe between processes and machines."""

    def __init__(
        self,
        store: Store,
        most: int = 1000,
        announce: Callable[[int], None] = lambda turns: None,
        own: OwnPresence | None = None,
        clock: Clock | None = None,
        lease: float = LEASE_SECONDS,
    ) -> None:
        """`most` jobs may wait at the same time; `announce` tells workers of so many turns; `own`
        is this process where it is a worker. Raises `SettingsError`."""
        self.most = most
        self._store, self._announce, self._own_presence = store, announce, own
        self._number = "number" if store.kind == "postgresql" else "rowid"
        self._parameter = _PARAMETERS[store.kind]
        self._database: StoreTable[Job] = StoreTable(
            store, "jobs", Job, MIGRATIONS, INDEXES, numbered=True
        )
        self.presence = Presence(store, lease)
        self._clock = clock or StoreClock(store)
        self._seen = SeenTime(self._database, self._clock)
        self._lease, self._revived = lease, 0.0

    def submit(
        self, job: Job, allowances: Sequence[tuple[float, int]] = (), waiting: int = 0
    ) -> Job:
        stored = super().submit(job, allowances, waiting)
        if stored.id == job.id or not job.id:
            self._announce(1)
        return stored

    def give_back(self, job: Job) -> None:
        super().give_back(job)
        self._announce(1)

    def finish(self, job: Job, result: str) -> bool:
        try:
            if super().finish(job, result):
                return True
        except SettingsError as error:
            # The connection may have broken off before the change, or before the news of it.
            log.warning("%s", error)
            if super().finish(job, result):
                return True
        found = self.get(job.id)
        return found is not None and found.result == result

    def claim_tell(self, job: Job) -> bool:
        with self._database.transaction():
            now = self._now()
            found = self._database.execute(
                "UPDATE jobs SET next_tell = ? WHERE id = ? AND next_tell >= 0 AND next_tell <= ?",
                now + _TELL_SECONDS,
                job.id,
                now,
            )
            return bool(found.rowcount)

    def workers(self) -> list[WorkerFacts]:
        return self.presence.living()

    def announce_late(self, under_way: Callable[[], int] = lambda: 0) -> int:
        """Announce anew what should have been begun: a turn may be lost with a broker or a worker.

        While nobody is idle nothing is late. `under_way` tells how many turns the broker holds.
        Returns how many were announced; raises `SettingsError`.
        """
        with self._database.transaction():
            self._alone("take")
            self._revive()
            (late,) = self._database.execute(
                "SELECT COUNT(*) FROM jobs WHERE state = 'queued' AND created < ?",
                self._now() - _LATE_SECONDS,
            ).fetchone() or (0,)
            idle = bool(late) and self.presence.idle() > 0
        turns = max(int(late) - under_way(), 0) if idle else 0
        if turns:
            self._announce(turns)
        return turns

    def _own(self) -> str:
        assert self._own_presence is not None, "only a worker takes jobs"
        return self._own_presence.name

    def _dead(self, workers: Collection[str]) -> set[str]:
        return self.presence.dead(workers)

    def _alone(self, what: str) -> None:
        self._store.alone(what)

    def _revive(self) -> int:
        """Look for dead workers now and then; not before those that live could say so again after
        the database was away."""
        now = time.monotonic()
        away = now - self._store.reached_since < self._lease
        if away or now - self._revived < self._lease / 10:
            return 0
        self._revived = now
        return super()._revive()
