"""The queue in one sqlite file, which the listener and its workers share."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..remote.clock import Clock
from ..remote.seen import SeenTime
from ..storage.database import Database
from ..storage.process_locks import Owners
from .job_table import INDEXES, MIGRATIONS
from .queue import Job
from .sql_queue import SqlQueue


class SqliteQueue(SqlQueue):
    """The queue in one file; thread-safe, and safe between processes."""

    _number = "rowid"
    _parameter = "json_extract(parameters, '$.' || ?)"

    def __init__(self, folder: Path, most: int = 1000, clock: Clock | None = None) -> None:
        """`most` jobs may wait at the same time."""
        self.most = most
        self._clock = clock or Clock()
        self._database: Database[Job] = Database(
            folder / "queue.sqlite3", "jobs", Job, MIGRATIONS, INDEXES
        )
        self._owners = Owners(folder / "workers")
        self._seen = SeenTime(self._database, self._clock)

    def claim_tell(self, job: Job) -> bool:
        return True  # there is one listener

    def _own(self) -> str:
        return self._owners.own()

    def _dead(self, workers: Collection[str]) -> set[str]:
        return {worker for worker in workers if not self._owners.lives(worker)}

    def _alone(self, what: str) -> None:
        """sqlite has one writer at a time anyway."""
