"""The queue in one sqlite file, which the listener and its workers share."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..remote.clock import Clock
from ..remote.seen import SeenTime
from ..storage.database import Database, Migration
from ..storage.process_locks import Owners
from .queue import LIMITS_SECONDS, Job, KeyReusedError, Queue, QueueFullError, Selection

_MOST_TRIES = 2

MIGRATIONS = (  # a new field of Job needs one more at the end; released ones never change
    Migration(
        "the table of jobs",
        "CREATE TABLE jobs ("
        "id TEXT NOT NULL, "
        "customer TEXT NOT NULL, "
        "operation TEXT NOT NULL, "
        "parameters TEXT NOT NULL, "
        "source TEXT NOT NULL, "
        "lifetime REAL NOT NULL, "
        "width INTEGER NOT NULL, "
        "height INTEGER NOT NULL, "
        "key TEXT NOT NULL, "
        "digest TEXT NOT NULL, "
        "state TEXT NOT NULL, "
        "worker TEXT NOT NULL, "
        "tries INTEGER NOT NULL, "
        "fraction REAL NOT NULL, "
        "result TEXT NOT NULL, "
        "reason TEXT NOT NULL, "
        "created REAL NOT NULL, "
        "started REAL NOT NULL, "
        "finished REAL NOT NULL, "
        "base_url TEXT NOT NULL, "
        "webhook TEXT NOT NULL, "
        "tells INTEGER NOT NULL, "
        "next_tell REAL NOT NULL, "
        "PRIMARY KEY (id))",
    ),
    Migration(
        "the time that was seen to pass",
        "CREATE TABLE seen (seen REAL NOT NULL, calendar REAL NOT NULL)",
    ),
    Migration(
        "its only row, which begins where the times of the jobs are",
        "INSERT INTO seen VALUES (0.0, 0.0)",
    ),
    Migration("the models of a job", "ALTER TABLE jobs ADD COLUMN models TEXT NOT NULL DEFAULT ''"),
)


# The first job of the customer who was served longest ago. Each step finds the next customer, and
# that one's turn, by an index, so that the time does not grow with the number of jobs.
_NEXT = """
WITH RECURSIVE waiting(customer) AS (
  SELECT MIN(customer) FROM jobs WHERE state = 'queued'
  UNION ALL
  SELECT (SELECT MIN(customer) FROM jobs WHERE state = 'queued' AND customer > waiting.customer)
  FROM waiting WHERE customer IS NOT NULL
), turns AS (
  SELECT (SELECT MAX(started) FROM jobs WHERE customer = waiting.customer) AS served,
    (SELECT rowid FROM jobs WHERE state = 'queued' AND customer = waiting.customer
     ORDER BY created, rowid LIMIT 1) AS first
  FROM waiting WHERE customer IS NOT NULL
)
SELECT jobs.* FROM turns JOIN jobs ON jobs.rowid = turns.first
ORDER BY served, jobs.created, jobs.rowid LIMIT 1
"""


class SqliteQueue(Queue):
    """The queue in one file; thread-safe, and safe between processes."""

    def __init__(self, folder: Path, most: int = 1000, clock: Clock | None = None) -> None:
        """`most` jobs may wait at the same time."""
        self.most = most
        self._clock = clock or Clock()
        self._database = Database(
            folder / "queue.sqlite3",
            "jobs",
            Job,
            MIGRATIONS,
            indexes=(
                "state, customer, created",
                "customer, key",
                "customer, created",
                "customer, started",
                "finished",
            ),
        )
        self._owners = Owners(folder / "workers")
        self._seen = SeenTime(self._database, self._clock)

    def submit(
        self, job: Job, allowances: Sequence[tuple[float, int]] = (), waiting: int = 0
    ) -> Job:
        with self._database.transaction():
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

    def take(self) -> Job | None:
        with self._database.transaction():
            self._revive()
            waiting = self._database.rows(_NEXT)
            if not waiting:
                return None
            job = waiting[0]
            now, own = self._now(), self._owners.own()
            self._database.execute(
                "UPDATE jobs SET state = 'running', worker = ?, tries = tries + 1, started = ?, "
                "fraction = 0 WHERE id = ?",
                own,
                now,
                job.id,
            )
            (taken,) = self._database.rows("SELECT * FROM jobs WHERE id = ?", job.id)
            return taken

    def advance(self, job: Job, fraction: float) -> None:
        with self._database.transaction():
            self._change(job, fraction=fraction)

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
        return {"queued": 0, "running": 0, "done": 0, "failed": 0, **dict(rows)}

    def latest(self, customer: str, count: int) -> list[Job]:
        return self._find("customer = ? ORDER BY created DESC, rowid DESC LIMIT ?", customer, count)

    def page(self, customer: str, wanted: Selection, skip: int, most: int) -> list[Job]:
        rest = "customer = ? AND created BETWEEN ? AND ? AND operation IN "
        rest += f"({', '.join('?' * len(wanted.operations))})"
        values = [customer, wanted.since, wanted.until, *wanted.operations]
        for name, value in wanted.parameters.items():
            rest += " AND json_extract(parameters, ?) = ?"
            values += [f"$.{name}", value]
        if wanted.state is not None:
            rest += " AND state = ?"
            values.append(wanted.state)
        return self._find(
            f"{rest} ORDER BY created DESC, rowid DESC LIMIT ? OFFSET ?", *values, most, skip
        )

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
                f"id IN (SELECT id FROM ({due}) WHERE place <= ?) ORDER BY next_tell, finished",
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
        """Return the seconds since 1970 as this server has lived them, inside a transaction.

        A calendar that jumps moves neither what is kept nor whose turn it is.
        """
        ((seen, calendar),) = self._database.execute("SELECT seen, calendar FROM seen").fetchall()
        if seen or calendar:
            return self._seen.now(reading=reading)
        now = self._clock.now()
        if not reading:
            self._database.execute("UPDATE seen SET seen = ?, calendar = ?", now, now)
        return now

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
                    self._now(),
                    f"The worker died {tries} times while it worked on this image; it may need "
                    "more memory than there is.",
                    job,
                )

    def _change(self, job: Job, **values: Any) -> bool:
        """Update a job that this process works on; tell whether it still does."""
        columns = ", ".join(f"{name} = ?" for name in values)
        cursor = self._database.execute(
            f"UPDATE jobs SET {columns} WHERE id = ? AND state = 'running' AND worker = ?",
            *values.values(),
            job.id,
            self._owners.own(),
        )
        return bool(cursor.rowcount)
