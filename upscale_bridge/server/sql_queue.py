"""The queue in a table: whose turn it is, what is refused, what a dead worker leaves.

All rules are here, in SQL that sqlite and PostgreSQL both read; which database it is, how its time
passes and who lives is told by who derives from `SqlQueue`.
"""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeVar

from ..remote.clock import Clock
from ..remote.seen import SeenTime
from .queue import (
    LIMITS_SECONDS,
    Job,
    KeyReusedError,
    Queue,
    QueueFullError,
    Selection,
)
from .turn_order import next_turn

_MOST_TRIES = 2

Row = TypeVar("Row")


class Found(Protocol):
    """What a statement found."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""

    def fetchone(self) -> Any:
        """Return the next row."""

    def fetchall(self) -> Sequence[Any]:
        """Return all rows that are left."""


class Table(Protocol, Generic[Row]):
    """A table of dataclasses, as `storage.database.Database` is one."""

    def transaction(
        self, *, reading: bool = False, lasting: bool = True
    ) -> AbstractContextManager[None]:
        """Store what happens inside together or not at all; raises `SettingsError`.

        What is not `lasting` waits for no disk.
        """

    def execute(self, sql: str, *values: Any) -> Found:
        """Run one statement, inside a transaction."""

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """Return the dataclasses that a SELECT * finds, inside a transaction."""

    def insert(self, row: Row) -> None:
        """Store a dataclass, in place of the one with the same key."""


class SqlQueue(Queue):
    """The queue in the table `jobs`; thread-safe, and safe between processes."""

    _database: Table[Job]
    _number: str
    """The column that counts the jobs in the order of their making."""
    _parameter: str
    """An expression for the text of a job's parameter whose name is bound to it."""
    _clock: Clock
    _seen: SeenTime
    _begun = False
    """Whether the time that was seen to pass has begun."""

    @abstractmethod
    def _own(self) -> str:
        """Return the name of this process, as a worker."""

    @abstractmethod
    def _dead(self, workers: Collection[str]) -> set[str]:
        """Return those that do not live any more, inside a transaction."""

    @abstractmethod
    def _alone(self, what: str) -> None:
        """Wait until no other transaction does the same, inside a transaction."""

    def submit(
        self, job: Job, allowances: Sequence[tuple[float, int]] = (), waiting: int = 0
    ) -> Job:
        with self._database.transaction():
            self._alone("submit")
            earlier = self._repeated(job)
            if earlier is not None:
                return earlier
            self._refuse_more(job.customer, allowances, waiting)
            stored = replace(job, id=job.id or secrets.token_urlsafe(16), created=self._now())
            self._database.insert(stored)
            return stored

    def repeated(self, job: Job) -> Job | None:
        with self._database.transaction(reading=True):
            return self._repeated(job)

    def get(self, job: str) -> Job | None:
        found = self._find("id = ?", job)
        return found[0] if found else None

    def take(self, loaded: Sequence[str] = ()) -> Job | None:
        with self._database.transaction():
            self._alone("take")
            self._revive()
            now = self._now()
            while True:
                sql, values = next_turn(self._number, loaded, now)
                waiting = self._database.rows(sql, *values)
                if not waiting:
                    return None
                found = self._database.execute(
                    "UPDATE jobs SET state = 'running', worker = ?, tries = tries + 1, "
                    "started = ?, fraction = 0 WHERE id = ? AND state = 'queued'",
                    self._own(),
                    now,
                    waiting[0].id,
                )
                if found.rowcount:  # else it was removed just now
                    break
            (taken,) = self._database.rows("SELECT * FROM jobs WHERE id = ?", waiting[0].id)
            return taken

    def advance(self, job: Job, fraction: float) -> bool:
        with self._database.transaction(lasting=False):
            return self._change(job, fraction=fraction)

    def finish(self, job: Job, result: str) -> bool:
        with self._database.transaction():
            finished = self._now()
            return self._change(job, state="done", result=result, finished=finished, fraction=1.0)

    def fail(self, job: Job, reason: str) -> None:
        with self._database.transaction():
            self._change(job, state="failed", reason=reason, finished=self._now())

    def give_up(self, job: str, reason: str) -> None:
        with self._database.transaction():
            self._database.execute(
                "UPDATE jobs SET state = 'failed', worker = '', finished = ?, reason = ? "
                "WHERE id = ? AND state = 'running'",
                self._now(),
                reason,
                job,
            )

    def give_back(self, job: Job) -> None:
        with self._database.transaction():
            self._change(job, state="queued", worker="", tries=job.tries - 1, fraction=0.0)

    def remove(self, job: str) -> None:
        with self._database.transaction():
            self._database.execute(
                "UPDATE jobs SET state = 'removed', key = '', worker = '' WHERE id = ?", job
            )
            self._database.execute(
                "DELETE FROM jobs WHERE state = 'removed' AND created < ?",
                self._now() - LIMITS_SECONDS,
            )

    def counts(self) -> dict[str, int]:
        with self._database.transaction(reading=True):
            rows = self._database.execute(
                "SELECT state, COUNT(*) FROM jobs WHERE state != 'removed' GROUP BY state"
            ).fetchall()
        found = {str(state): int(count) for state, count in rows}
        return {"queued": 0, "running": 0, "done": 0, "failed": 0, **found}

    def oldest(self) -> float:
        with self._database.transaction(reading=True):
            (created,) = self._database.execute(
                "SELECT MIN(created) FROM jobs WHERE state = 'queued'"
            ).fetchone()
            return 0.0 if created is None else max(self._now(reading=True) - created, 0.0)

    def latest(self, customer: str, count: int) -> list[Job]:
        return self._find(
            f"customer = ? ORDER BY created DESC, {self._number} DESC LIMIT ?", customer, count
        )

    def page(self, customer: str, wanted: Selection, skip: int, most: int) -> list[Job]:
        rest = "customer = ? AND created BETWEEN ? AND ? AND operation IN "
        rest += f"({', '.join('?' * len(wanted.operations))})"
        values: list[Any] = [customer, wanted.since, wanted.until, *wanted.operations]
        for name, value in wanted.parameters.items():
            rest += f" AND {self._parameter} = ?"
            values += [name, value]
        if wanted.state is not None:
            rest += " AND state = ?"
            values.append(wanted.state)
        rest += f" ORDER BY created DESC, {self._number} DESC LIMIT ? OFFSET ?"
        return self._find(rest, *values, most, skip)

    def durations(self, seconds: float) -> list[float]:
        with self._database.transaction(reading=True):
            rows = self._database.execute(
                "SELECT finished - started FROM jobs WHERE result != '' AND finished > ?",
                self._now(reading=True) - seconds,
            ).fetchall()
        return [float(row[0]) for row in rows]

    def untold(self, each: int) -> list[Job]:
        due = (
            "SELECT id, ROW_NUMBER() OVER (PARTITION BY customer ORDER BY next_tell, finished) "
            "AS place FROM jobs WHERE state != 'removed' AND webhook != '' AND finished > 0 "
            "AND next_tell >= 0 AND next_tell <= ?"
        )
        with self._database.transaction(reading=True):
            return self._select(
                f"id IN (SELECT id FROM ({due}) AS due WHERE place <= ?) "
                "ORDER BY next_tell, finished",
                self._now(reading=True),
                each,
            )

    def note_tell(self, job: Job, *, over: bool, pause: float) -> None:
        with self._database.transaction():
            when = -1.0 if over else self._now() + pause
            self._database.execute(
                "UPDATE jobs SET tells = tells + 1, next_tell = ? WHERE id = ?", when, job.id
            )

    def expired(self) -> list[Job]:
        with self._database.transaction(reading=True):
            return self._select("finished > 0 AND finished + lifetime < ?", self._now(reading=True))

    def holds(self, file: str) -> bool:
        return bool(self._find("source = ? OR result = ? LIMIT 1", file, file))

    def time(self) -> float:
        with self._database.transaction(reading=True):
            return self._now(reading=True)

    def _now(self, *, reading: bool = False) -> float:
        """Return the present in the seconds since 1970 that jobs are stored with, inside a
        transaction; a calendar that jumps moves neither what is kept nor whose turn it is."""
        if not self._begun:
            seen, calendar = self._database.execute("SELECT seen, calendar FROM seen").fetchone()
            if not (seen or calendar):
                now = self._clock.now()
                if not reading:
                    self._database.execute("UPDATE seen SET seen = ?, calendar = ?", now, now)
                return now
            self._begun = True
        return self._seen.now(reading=reading)

    def _refuse_more(
        self, customer: str, allowances: Sequence[tuple[float, int]], waiting: int
    ) -> None:
        """Raise `QueueFullError` when there is no place for one more job of a customer."""
        count = "SELECT COUNT(*) FROM jobs WHERE "
        (all_waiting,) = self._database.execute(count + "state = 'queued'").fetchone()
        if all_waiting >= self.most:
            raise QueueFullError(f"{all_waiting} jobs are waiting already; try again later.")
        if waiting:
            (own,) = self._database.execute(
                count + "state = 'queued' AND customer = ?", customer
            ).fetchone()
            if own >= waiting:
                raise QueueFullError(f"{own} jobs of this key are waiting; try again later.")
        for seconds, most in allowances:
            (recent,) = self._database.execute(
                count + "customer = ? AND created > ?", customer, self._now() - seconds
            ).fetchone()
            if recent >= most:
                raise QueueFullError(f"This key may submit {most} images in {seconds:.0f} s.")

    def _find(self, rest: str, *values: Any) -> list[Job]:
        """Return the jobs that are not removed and meet the `rest` of a query."""
        with self._database.transaction(reading=True):
            return self._select(rest, *values)

    def _select(self, rest: str, *values: Any) -> list[Job]:
        """Do the same inside a transaction."""
        return self._database.rows(
            f"SELECT * FROM jobs WHERE state != 'removed' AND {rest}", *values
        )

    def _repeated(self, job: Job) -> Job | None:
        if not job.key:
            return None
        found = self._database.rows(
            "SELECT * FROM jobs WHERE customer = ? AND key = ?", job.customer, job.key
        )
        earlier = found[0] if found else None
        if earlier is not None and earlier.digest != job.digest:
            raise KeyReusedError("This Idempotency-Key came with another request before.")
        return earlier

    def _revive(self) -> int:
        """Queue the jobs of dead workers again; one that killed two has had its tries."""
        rows = self._database.execute(
            "SELECT id, worker, tries FROM jobs WHERE state = 'running'"
        ).fetchall()
        dead = self._dead({worker for _, worker, _ in rows}) if rows else set()
        lost = [(job, worker, tries) for job, worker, tries in rows if worker in dead]
        for job, worker, tries in lost:
            change = "state = 'queued', worker = ''"
            values: tuple[Any, ...] = ()
            if tries >= _MOST_TRIES:
                change = "state = 'failed', worker = '', finished = ?, reason = ?"
                values = (
                    self._now(),
                    f"The worker died {tries} times while it worked on this image; it may need "
                    "more memory than there is.",
                )
            self._database.execute(
                f"UPDATE jobs SET {change} WHERE id = ? AND state = 'running' AND worker = ?",
                *values,
                job,
                worker,
            )
        return len(lost)

    def _change(self, job: Job, **values: Any) -> bool:
        """Update a job that this process works on; tell whether it still does."""
        columns = ", ".join(f"{name} = ?" for name in values)
        found = self._database.execute(
            f"UPDATE jobs SET {columns} WHERE id = ? AND state = 'running' AND worker = ?",
            *values.values(),
            job.id,
            self._own(),
        )
        return bool(found.rowcount)
