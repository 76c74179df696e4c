"""The journal of paid tasks: what was asked for, what the service calls it, what came back.

A task is stored before its submit, its ticket before the first poll, its result file after the
download, so that a crash at any moment neither loses a result nor pays twice.

    (none) -> preparing -> submitting -> running -> done
                 |             |            |-> failed, expired
              (none)           |-> ambiguous

One sqlite file serves all processes of the user. A process that prepares or submits a task owns
it.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..database import Database
from ..errors import InvalidInputError
from ..owners import Owners
from ..settings import make_folder
from .clock import Clock
from .schema import MIGRATIONS

State = Literal["preparing", "submitting", "running", "done", "failed", "ambiguous", "expired"]

FILE = "journal.sqlite3"
_DAY = 86_400
_SHORTEST_NAME = 6


@dataclass(frozen=True)
class Task:
    """One row."""

    request: str
    """Hash of provider, base URL, operation, parameters and pixels; the row's name."""
    provider: str
    base_url: str
    operation: str
    """Name of the operation's class."""
    parameters: str
    """JSON of what the service was told, the image left out."""
    width: int = 0
    height: int = 0
    """Size of the image that was sent, pixels."""
    state: State = "preparing"
    key: str = ""
    """The Idempotency-Key of the submit; a new row of the same request has a new one."""
    owner: str = ""
    """The process that claimed it, for as long as it works on it."""
    ticket: str = ""
    """The service's id of the task."""
    upload: str = ""
    """Address of an uploaded image, to be used again by a second submit."""
    result: str = ""
    """Name of the file in the result folder."""
    reason: str = ""
    """Why it failed, or why it is or was ambiguous, one sentence."""
    created: float = 0.0
    submitted: float = 0.0
    finished: float = 0.0
    """Seconds since 1970, 0 when not yet."""


class Journal:
    """All tasks of the user; thread-safe, and safe between processes."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        """`folder` is the user's data folder; files are made when first needed."""
        self._folder = folder
        self._clock = clock or Clock()
        self._lock = threading.RLock()
        self.listeners: list[Callable[[], None]] = []
        """Called after every change that this program makes, from the thread that made it."""
        self._database = Database(folder / FILE, "tasks", Task, MIGRATIONS, ("ticket",), self._tell)
        self._active: set[str] = set()
        self._owners = Owners(folder / "owners")

    @property
    def results(self) -> Path:
        """The folder of result files."""
        return make_folder(self._folder / "results", private=True)

    def claim(self, wanted: Task, days: int) -> tuple[Task, bool]:
        """Return the task of the same request, and True when it is ours to prepare.

        A new row is made when there is none, when the last one failed or expired, and when its
        result is gone or older than `days`. A dead owner's row is taken over, or becomes
        ambiguous if its submit may have been sent.
        """
        with self._lock, self._database.transaction():
            found = self._get(wanted.request)
            if found is not None and not self._is_over(found, days):
                if self._is_worked_on(found):
                    return found, False
                if found.state not in ("preparing", "submitting"):
                    return replace(found, owner=""), False
                doubted = self._abandon(found, "The program ended while it submitted.")
                if doubted is not None:
                    return doubted, False
                wanted = replace(wanted, upload=found.upload)
            own, now = self._owners.own(), self._clock.now()
            claimed = replace(wanted, key=secrets.token_hex(16), owner=own, created=now)
            self._database.insert(claimed)
            self._active.add(wanted.request)
            return claimed, True

    def retake(self, request: str) -> bool:
        """Make an ambiguous task ours to submit again; for hosts that refuse to do it twice."""
        with self._lock:  # no other thread may see the one without the other
            own = self._owners.own()
            retaken = self._change(request, ("ambiguous",), state="preparing", owner=own)
            if retaken:
                self._active.add(request)
            return retaken

    def begin_submit(self, request: str) -> bool:
        """Note that the paid call is about to be sent; False when the task is not ours any more."""
        now = self._clock.now()
        return self._change(request, ("preparing",), mine=True, state="submitting", submitted=now)

    def end_submit(self, request: str) -> None:
        """Note that the call certainly did not arrive."""
        self._change(request, ("submitting",), mine=True, state="preparing")

    def accept(self, request: str, ticket: str) -> None:
        """Note the service's id of the task, whatever was thought of it meanwhile."""
        states: tuple[State, ...] = ("submitting", "ambiguous", "running")
        self._change(request, states, state="running", ticket=ticket, reason="")

    def doubt(self, request: str, reason: str) -> None:
        """Note that nobody knows whether the service accepted."""
        self._change(
            request, ("submitting",), mine=True, state="ambiguous", reason=reason, owner=""
        )

    def leave(self, request: str) -> None:
        """Note that the thread that claimed a task works on it no more.

        What was not submitted is forgotten, unless it was ambiguous before.
        """
        with self._lock:  # no other thread may see the one without the other
            self._active.discard(request)
            with self._database.transaction():
                task = self._get(request)
                if task is None or task.owner != self._owners.own():
                    return
                if task.state in ("preparing", "submitting"):
                    self._abandon(task, "The submit was not brought to its end.")
                else:
                    self._update(request, owner="")

    def keep_upload(self, request: str, url: str) -> None:
        """Note where the image was uploaded."""
        self._change(request, ("preparing",), mine=True, upload=url)

    def finish(self, request: str, result: str) -> None:
        """Note the result's file name."""
        now = self._clock.now()
        self._change(request, None, state="done", result=result, finished=now, owner="", reason="")

    def fail(self, request: str, reason: str, *, expired: bool = False) -> None:
        """Note that a task has no result and never will."""
        state: State = "expired" if expired else "failed"
        now = self._clock.now()
        self._change(request, ("running",), state=state, reason=reason, finished=now, owner="")

    def get(self, request: str) -> Task | None:
        """Return a task."""
        with self._database.transaction(reading=True):
            return self._get(request)

    def is_kept(self, request: str, days: int) -> bool:
        """Tell whether the result of a request is here and not older than `days`."""
        task = self.get(request)
        return task is not None and task.state == "done" and not self._is_over(task, days)

    def find(self, name: str) -> Task | None:
        """Return the task whose ticket is `name`, or whose request begins with it.

        Raises `InvalidInputError` when several do.
        """
        if not name:
            return None
        with self._database.transaction(reading=True):
            found = self._database.rows("SELECT * FROM tasks WHERE ticket = ?", name)
            if not found and len(name) >= _SHORTEST_NAME and name.isalnum():
                found = self._database.rows("SELECT * FROM tasks WHERE request GLOB ?", name + "*")
        if len(found) > 1:
            raise InvalidInputError("ID", f"Several tasks are called {name}; give more of the id.")
        return found[0] if found else None

    def all(self) -> list[Task]:
        """Return all tasks, the newest first."""
        with self._database.transaction(reading=True):
            return self._database.rows("SELECT * FROM tasks ORDER BY created DESC")

    def attach(self, task: Task) -> None:
        """Store a running task that was found elsewhere, or the ticket of an ambiguous one."""
        with self._database.transaction():
            self._database.insert(task)

    def forget(self, request: str) -> None:
        """Remove a task and its result file."""
        with self._database.transaction():
            task = self._get(request)
            self._database.execute("DELETE FROM tasks WHERE request = ?", request)
        if task is not None and task.result:
            (self.results / task.result).unlink(missing_ok=True)

    def sweep(self, days: int) -> None:
        """Remove what finished more than `days` ago, and what dead processes left behind."""
        now = self._clock.now()
        with self._database.transaction():
            old = (now - days * _DAY,)
            where = "WHERE finished > 0 AND finished < ?"
            names = self._database.execute(f"SELECT result FROM tasks {where}", *old).fetchall()
            self._database.execute(f"DELETE FROM tasks {where}", *old)
        for (name,) in names:
            if name:
                (self.results / name).unlink(missing_ok=True)
        for pattern, age in (("*.part", 1), ("*.rejected", days)):
            for file in self.results.glob(pattern):
                if file.stat().st_mtime < now - age * _DAY:
                    file.unlink(missing_ok=True)
        self._owners.sweep()

    def typical_seconds(self, operation: str) -> float | None:
        """Return the median time from submit to result of an operation's last tasks."""
        with self._database.transaction(reading=True):
            rows = self._database.execute(
                "SELECT finished - submitted FROM tasks WHERE operation = ? AND state = 'done' "
                "AND submitted > 0 AND finished > submitted ORDER BY finished DESC LIMIT 9",
                operation,
            ).fetchall()
        times = sorted(float(row[0]) for row in rows)
        return times[len(times) // 2] if times else None

    def _tell(self) -> None:
        for listener in self.listeners:
            listener()

    def _abandon(self, task: Task, reason: str) -> Task | None:
        """Forget a task that was never submitted, or keep it as ambiguous and return it.

        `reason` tells why nobody knows the end of its submit; an older one stays.
        """
        if task.state == "preparing" and not task.reason:
            self._database.execute("DELETE FROM tasks WHERE request = ?", task.request)
            return None
        doubted = replace(task, state="ambiguous", owner="", reason=task.reason or reason)
        self._database.insert(doubted)
        return doubted

    def _is_worked_on(self, task: Task) -> bool:
        """Tell whether a thread here, or another living process, is at a task."""
        if task.owner == self._owners.own():
            return task.request in self._active
        return self._owners.lives(task.owner)

    def _is_over(self, task: Task, days: int) -> bool:
        """Tell whether a new request makes a new task of this one."""
        if task.state == "done":
            old = task.finished < self._clock.now() - days * _DAY
            return old or not (self.results / task.result).exists()
        return task.state in ("failed", "expired")

    def _change(
        self, request: str, states: tuple[State, ...] | None, mine: bool = False, **values: Any
    ) -> bool:
        """Update a row if it is in one of `states`, and ours if `mine`; tell whether it was."""
        with self._database.transaction():
            task = self._get(request)
            if task is None or (states is not None and task.state not in states):
                return False
            if mine and task.owner != self._owners.own():
                return False
            self._update(request, **values)
            return True

    def _update(self, request: str, **values: Any) -> None:
        columns = ", ".join(f"{name} = ?" for name in values)
        self._database.execute(
            f"UPDATE tasks SET {columns} WHERE request = ?", *values.values(), request
        )

    def _get(self, request: str) -> Task | None:
        found = self._database.rows("SELECT * FROM tasks WHERE request = ?", request)
        return found[0] if found else None
