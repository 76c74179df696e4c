"""The queue of jobs: what was accepted, who works on it, what came of it.

A job is stored before its ticket is told, so that accepted means stored. A worker that dies with a
job gives it up; the job is tried once more, and then fails with its reason.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..database import Database
from ..errors import UpscaleError
from ..owners import Owners
from ..remote.clock import Clock

State = Literal["queued", "running", "done", "failed", "removed"]

LIMITS_SECONDS = 86_400.0
"""For how long a submit counts for the limits of its customer."""

_MOST_TRIES = 2


class QueueFullError(UpscaleError):
    """No more jobs are accepted for now."""


class KeyReusedError(UpscaleError):
    """An Idempotency-Key came with another request than the first time."""


@dataclass(frozen=True)
class Job:
    """One accepted task."""

    id: str
    """The ticket; nobody can guess it."""
    customer: str
    """Whose key it came with."""
    operation: str
    """Name of the operation's class."""
    parameters: str
    """JSON of what the operation was told."""
    source: str
    """Name of the image's file."""
    lifetime: float
    """Seconds for which the result is kept."""
    width: int = 0
    height: int = 0
    """Size of the image, pixels."""
    key: str = ""
    """The Idempotency-Key, empty without one."""
    digest: str = ""
    """Hash of the request's body."""
    state: State = "queued"
    worker: str = ""
    """The process that works on it."""
    tries: int = 0
    fraction: float = 0.0
    """How much is done, 0..1."""
    result: str = ""
    """Name of the result's file."""
    reason: str = ""
    """Why it failed."""
    created: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    """Seconds since 1970, 0 when not yet."""
    base_url: str = ""
    """The server's address as the customer used it."""
    webhook: str = ""
    """Where the customer wants to be told of the end; empty for nowhere."""
    tells: int = 0
    """How often that was tried."""
    next_tell: float = 0.0
    """When to try again; negative when it is over."""


class Queue(ABC):
    """What the server and its workers need of a queue; a cluster's engine can stand behind it."""

    @abstractmethod
    def submit(self, job: Job) -> Job:
        """Store a job, or return what `repeated` returns; raises `QueueFullError` as well."""

    @abstractmethod
    def repeated(self, job: Job) -> Job | None:
        """Return the earlier job with the same customer and Idempotency-Key, if there is one.

        Raises `KeyReusedError` when that was another request.
        """

    @abstractmethod
    def get(self, job: str) -> Job | None:
        """Return a job by its ticket."""

    @abstractmethod
    def take(self) -> Job | None:
        """Return the next job, which is this process's from now on.

        Customers take turns: the one who was served longest ago comes first.
        """

    @abstractmethod
    def advance(self, job: Job, fraction: float) -> None:
        """Note how much of a job of this process is done."""

    @abstractmethod
    def finish(self, job: Job, result: str) -> bool:
        """Note the result's file; False when the job is not this process's any more."""

    @abstractmethod
    def fail(self, job: Job, reason: str) -> None:
        """Note why a job of this process failed for good."""

    @abstractmethod
    def give_back(self, job: Job) -> None:
        """Let another process begin a job of this one anew; it does not count as a try."""

    @abstractmethod
    def remove(self, job: str) -> None:
        """Forget a job, but for its share of the customer's limits."""

    @abstractmethod
    def recent(self, customer: str, seconds: float) -> int:
        """Return how many jobs a customer has submitted in the last `seconds`."""

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """Return how many jobs are in each state."""

    @abstractmethod
    def latest(self, customer: str, count: int) -> list[Job]:
        """Return a customer's last jobs, the newest first."""

    @abstractmethod
    def durations(self, seconds: float) -> list[float]:
        """Return how long each job took that was done in the last `seconds`."""

    @abstractmethod
    def untold(self) -> list[Job]:
        """Return the ended jobs whose customers are to be told now."""

    @abstractmethod
    def note_tell(self, job: Job, *, over: bool, pause: float) -> None:
        """Note a try to tell; the next one is due after `pause` seconds, unless it is over."""

    @abstractmethod
    def expired(self) -> list[Job]:
        """Return all jobs whose lifetime has ended."""


class SqliteQueue(Queue):
    """The queue in one file; thread-safe, and safe between processes."""

    def __init__(self, folder: Path, most: int = 1000, clock: Clock | None = None) -> None:
        """`most` jobs may wait at the same time."""
        self._most = most
        self._clock = clock or Clock()
        self._database = Database(
            folder / "queue.sqlite3",
            "jobs",
            Job,
            indexes=("state, customer", "customer, key", "finished"),
        )
        self._owners = Owners(folder / "workers")

    def submit(self, job: Job) -> Job:
        with self._database.transaction():
            earlier = self._repeated(job)
            if earlier is not None:
                return earlier
            (waiting,) = self._database.execute(
                "SELECT COUNT(*) FROM jobs WHERE state = 'queued'"
            ).fetchone()
            if waiting >= self._most:
                raise QueueFullError(f"{waiting} jobs are waiting already; try again later.")
            stored = replace(job, id=job.id or secrets.token_urlsafe(16), created=self._clock.now())
            self._database.insert(stored)
            return stored

    def repeated(self, job: Job) -> Job | None:
        with self._database.transaction(reading=True):
            return self._repeated(job)

    def get(self, job: str) -> Job | None:
        with self._database.transaction(reading=True):
            row = self._database.execute(
                "SELECT * FROM jobs WHERE id = ? AND state != 'removed'", job
            ).fetchone()
        return Job(*row) if row else None

    def take(self) -> Job | None:
        with self._database.transaction():
            self._revive()
            row = self._database.execute(
                "SELECT jobs.* FROM jobs LEFT JOIN (SELECT customer, MAX(started) AS served "
                "FROM jobs GROUP BY customer) AS turns ON turns.customer = jobs.customer "
                "WHERE state = 'queued' ORDER BY turns.served, jobs.created, jobs.rowid LIMIT 1"
            ).fetchone()
            if row is None:
                return None
            job = Job(*row)
            now, own = self._clock.now(), self._owners.own()
            self._database.execute(
                "UPDATE jobs SET state = 'running', worker = ?, tries = tries + 1, started = ?, "
                "fraction = 0 WHERE id = ?",
                own,
                now,
                job.id,
            )
            return Job(
                *self._database.execute("SELECT * FROM jobs WHERE id = ?", job.id).fetchone()
            )

    def advance(self, job: Job, fraction: float) -> None:
        self._change(job, fraction=fraction)

    def finish(self, job: Job, result: str) -> bool:
        now = self._clock.now()
        return self._change(job, state="done", result=result, finished=now, fraction=1.0)

    def fail(self, job: Job, reason: str) -> None:
        self._change(job, state="failed", reason=reason, finished=self._clock.now())

    def give_back(self, job: Job) -> None:
        self._change(job, state="queued", worker="", tries=job.tries - 1, fraction=0.0)

    def remove(self, job: str) -> None:
        with self._database.transaction():
            self._database.execute(
                "UPDATE jobs SET state = 'removed', key = '', worker = '' WHERE id = ?", job
            )
            self._database.execute(
                "DELETE FROM jobs WHERE state = 'removed' AND created < ?",
                self._clock.now() - LIMITS_SECONDS,
            )

    def recent(self, customer: str, seconds: float) -> int:
        with self._database.transaction(reading=True):
            (count,) = self._database.execute(
                "SELECT COUNT(*) FROM jobs WHERE customer = ? AND created > ?",
                customer,
                self._clock.now() - seconds,
            ).fetchone()
        return int(count)

    def counts(self) -> dict[str, int]:
        with self._database.transaction(reading=True):
            rows = self._database.execute(
                "SELECT state, COUNT(*) FROM jobs WHERE state != 'removed' GROUP BY state"
            ).fetchall()
        return {"queued": 0, "running": 0, "done": 0, "failed": 0, **dict(rows)}

    def latest(self, customer: str, count: int) -> list[Job]:
        with self._database.transaction(reading=True):
            rows = self._database.execute(
                "SELECT * FROM jobs WHERE customer = ? AND state != 'removed' "
                "ORDER BY created DESC, rowid DESC LIMIT ?",
                customer,
                count,
            ).fetchall()
        return [Job(*row) for row in rows]

    def durations(self, seconds: float) -> list[float]:
        with self._database.transaction(reading=True):
            rows = self._database.execute(
                "SELECT finished - started FROM jobs WHERE result != '' AND finished > ?",
                self._clock.now() - seconds,
            ).fetchall()
        return [float(row[0]) for row in rows]

    def untold(self) -> list[Job]:
        with self._database.transaction(reading=True):
            rows = self._database.execute(
                "SELECT * FROM jobs WHERE webhook != '' AND finished > 0 AND next_tell >= 0 "
                "AND state != 'removed' "
                "AND next_tell <= ? ORDER BY finished LIMIT 20",
                self._clock.now(),
            ).fetchall()
        return [Job(*row) for row in rows]

    def note_tell(self, job: Job, *, over: bool, pause: float) -> None:
        when = -1.0 if over else self._clock.now() + pause
        with self._database.transaction():
            self._database.execute(
                "UPDATE jobs SET tells = tells + 1, next_tell = ? WHERE id = ?", when, job.id
            )

    def expired(self) -> list[Job]:
        with self._database.transaction(reading=True):
            rows = self._database.execute(
                "SELECT * FROM jobs WHERE finished > 0 AND finished + lifetime < ? "
                "AND state != 'removed'",
                self._clock.now(),
            ).fetchall()
        return [Job(*row) for row in rows]

    def _repeated(self, job: Job) -> Job | None:
        if not job.key:
            return None
        row = self._database.execute(
            "SELECT * FROM jobs WHERE customer = ? AND key = ?", job.customer, job.key
        ).fetchone()
        if row and Job(*row).digest != job.digest:
            raise KeyReusedError("This Idempotency-Key came with another request before.")
        return Job(*row) if row else None

    def _revive(self) -> None:
        """Queue the jobs of dead workers again; one that killed two has had its tries."""
        rows = self._database.execute(
            "SELECT id, worker, tries FROM jobs WHERE state = 'running'"
        ).fetchall()
        for job, worker, tries in rows:
            if self._owners.lives(worker):
                continue
            if tries < _MOST_TRIES:
                self._database.execute(
                    "UPDATE jobs SET state = 'queued', worker = '' WHERE id = ?", job
                )
            else:
                self._database.execute(
                    "UPDATE jobs SET state = 'failed', worker = '', finished = ?, reason = ? "
                    "WHERE id = ?",
                    self._clock.now(),
                    f"The worker died {tries} times while it worked on this image.",
                    job,
                )

    def _change(self, job: Job, **values: Any) -> bool:
        """Update a job that this process works on; tell whether it still does."""
        columns = ", ".join(f"{name} = ?" for name in values)
        with self._database.transaction():
            cursor = self._database.execute(
                f"UPDATE jobs SET {columns} WHERE id = ? AND state = 'running' AND worker = ?",
                *values.values(),
                job.id,
                self._owners.own(),
            )
            return bool(cursor.rowcount)
