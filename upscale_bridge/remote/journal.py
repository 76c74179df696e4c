"""The journal of paid tasks: what was asked for, what the service calls it, what came back.

A task is stored before its submit, its ticket before the first poll, its result file after the
download, so that a crash at any moment neither loses a result nor pays twice.

    (none) -> preparing -> submitting -> running <-> done, expired
                 |             |            |-> failed
              (none)           |-> ambiguous -> running

A done task whose file is lost runs once more, and so does an expired one that the user resumes.
One sqlite file serves all processes of the user. A process that prepares or submits a task owns
it.
"""

from __future__ import annotations

import math
import secrets
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..contract.pricing import money
from ..errors import CostLimitError, InvalidInputError, SettingsError
from ..storage.database import Database
from ..storage.process_locks import Owners
from ..storage.settings import make_folder
from .clock import Clock
from .results import digest_of, find, part_name, reject, remove_files, remove_parts
from .seen import SeenTime
from .task import MIGRATIONS, Task, TaskState

FILE = "journal.sqlite3"
_DAY = 86_400
_SHORTEST_NAME = 6
_DAMAGED = (
    "End ComfyUI, the WebUI and other programs that use it and run `upscale-bridge tasks repair`: "
    "it keeps the damaged file and all tasks that can be read. Until then nothing is submitted."
)
_DIED = "The program ended while it submitted."


class Journal:
    """All tasks of the user; thread-safe, and safe between processes."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        """`folder` is the user's data folder; files are made when first needed."""
        self._folder = folder
        self._clock = clock or Clock()
        self._lock = threading.RLock()
        self._database = Database(folder / FILE, "tasks", Task, MIGRATIONS, ("ticket",), _DAMAGED)
        self._seen = SeenTime(self._database, self._clock)
        self._active: set[str] = set()
        self._owners = Owners(folder / "owners")

    @property
    def listeners(self) -> list[Callable[[], None]]:
        """Called after every change that this program makes, from the thread that made it."""
        return self._database.listeners

    @property
    def results(self) -> Path:
        """The folder of result files."""
        return make_folder(self._folder / "results", private=True)

    def claim(self, wanted: Task, days: int) -> tuple[Task, bool]:
        """Return the task of the same request, and True when it is ours to prepare.

        A new row is made when there is none, when the last one failed or expired, and when its
        result was delivered and is older than `days`. A dead owner's row is taken over, or
        becomes ambiguous if its submit may have been sent.
        """
        with self._lock, self._database.transaction():
            found, seen = self._get(wanted.request), self._seen.now()
            if found is not None and not self._is_over(found, days, seen):
                if self._is_worked_on(found):
                    return found, False
                if found.state not in ("preparing", "submitting"):
                    return replace(found, owner=""), False
                doubted = self._abandon(found, _DIED)
                if doubted is not None:
                    return doubted, False
                wanted = replace(wanted, upload=found.upload)
            found_file = None if found is not None else find(self.results, wanted.request)
            if found_file is not None:  # the journal was lost, its results were not
                self._database.insert(wanted)
                self._finish(wanted.request, found_file.name, "")
                return self._get(wanted.request) or wanted, False
            self._set_aside(wanted.request)
            own, now = self._owners.own(), self._clock.now()
            claimed = replace(wanted, key=secrets.token_hex(16), owner=own, created=now)
            self._database.insert(claimed)
            self._active.add(wanted.request)
            return claimed, True

    def rejoin(self, request: str) -> Task | None:
        """Return a task for who wants no new one in its place; None when it was not submitted."""
        with self._lock, self._database.transaction():
            found = self._get(request)
            if found is None or self._is_worked_on(found):
                return found
            if found.state in ("preparing", "submitting"):
                return self._abandon(found, _DIED)
            return replace(found, owner="")

    def retake(self, request: str) -> bool:
        """Make an ambiguous task ours to submit again: it was not accepted, or is refused twice."""
        with self._lock:  # no other thread may see the one without the other
            own = self._owners.own()
            retaken = self._change(request, ("ambiguous",), state="preparing", owner=own)
            if retaken:
                self._active.add(request)
            return retaken

    def begin_submit(
        self, request: str, account: str = "", cost: float = 0.0, most: float = math.inf
    ) -> bool:
        """Note that the paid call is about to be sent; False when the task is not ours any more.

        Raises `CostLimitError` when it costs more than is left of `most` for 24 hours; failed
        tasks are left out, since services bill results.
        """
        with self._database.transaction():
            spent = self._spent()
            if spent + cost > most:
                raise CostLimitError(
                    f"${spent:.2f} were spent in the last 24 hours, and this submit costs "
                    f"{money(cost)}: more than max_cost_day allows. It was not submitted."
                )
            times = {"submitted": self._clock.now(), "seen_submitted": self._seen.now()}
            facts: dict[str, Any] = {**times, "account": account, "absent": 0, "cost": cost}
            return self._note(request, ("preparing",), mine=True, state="submitting", **facts)

    def would_submit(self, request: str, days: int) -> bool:
        """Tell whether a run of a request submits, for all that is known before it is claimed."""
        with self._database.transaction(reading=True):
            task = self._get(request)
            if task is None or self._is_over(task, days, self._seen.now(reading=True)):
                return True
            if self._is_worked_on(task):
                return False
            return task.state == "preparing" or (task.state == "ambiguous" and bool(task.absent))

    def end_submit(self, request: str) -> None:
        """Note that the call certainly did not arrive."""
        self._change(request, ("submitting",), mine=True, state="preparing")

    def accept(self, request: str, ticket: str) -> None:
        """Note the service's id of the task, whatever was thought of it meanwhile."""
        states: tuple[TaskState, ...] = ("submitting", "ambiguous", "running")
        self._change(request, states, state="running", ticket=ticket, reason="")

    def doubt(self, request: str, reason: str, ticket: str = "") -> None:
        """Note that nobody knows whether the service accepted; `ticket` is an id that it named."""
        doubted = {"state": "ambiguous", "reason": reason, "ticket": ticket, "owner": ""}
        self._change(request, ("submitting",), mine=True, **doubted)

    def note_absent(self, request: str) -> None:
        """Note that the service's list does not have an ambiguous task."""
        self._change(request, ("ambiguous",), absent=1)

    def has_ticket(self, ticket: str) -> bool:
        """Tell whether a task has this ticket."""
        with self._database.transaction(reading=True):
            found = self._database.execute("SELECT 1 FROM tasks WHERE ticket = ? LIMIT 1", ticket)
            return found.fetchone() is not None

    def believe(self, request: str) -> None:
        """Follow the ticket that an ambiguous task has; its reason stays."""
        self._change(request, ("ambiguous",), state="running")

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

    def finish(self, request: str, result: str, digest: str = "") -> None:
        """Note the result's file name, and the SHA-256 of what is in it."""
        with self._database.transaction():
            self._finish(request, result, digest)

    def deliver(self, requests: Collection[str]) -> None:
        """Note that results were handed over; only then they grow old."""
        with self._database.transaction():
            for request in requests:
                self._note(request, ("done",), undelivered=0)

    def fail(self, request: str, reason: str, *, expired: bool = False) -> None:
        """Note that a task has no result and never will."""
        state: TaskState = "expired" if expired else "failed"
        with self._database.transaction():
            self._note(request, ("running",), state=state, reason=reason, owner="", **self._ended())

    def miss(self, task: Task, reason: str, *, again: bool) -> None:
        """Note that the file of a task's result is gone or damaged, and why that matters.

        `again` means that the service is asked for it once more; without, the task is over.
        """
        state: TaskState = "running" if again else "expired"
        with self._database.transaction():
            if self._get(task.request) == task:  # else somebody else has noted more
                self._update(task.request, state=state, reason=reason, undelivered=0)

    def reopen(self, request: str) -> None:
        """Follow the ticket of a task once more that was given up."""
        self._change(request, ("expired",), state="running", reason="")

    def get(self, request: str) -> Task | None:
        """Return a task."""
        with self._database.transaction(reading=True):
            return self._get(request)

    def is_kept(self, request: str, days: float) -> bool:
        """Tell whether a request has a result that is to be used for `days`."""
        with self._database.transaction(reading=True):
            task = self._get(request)
            if task is None or task.state != "done":
                return False
            return not self._is_over(task, days, self._seen.now(reading=True))

    def age(self, task: Task) -> float:
        """Return how many seconds ago a task was submitted, at least."""
        with self._database.transaction(reading=True):
            return self._seen.now(reading=True) - task.seen_submitted

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
            return self._database.rows("SELECT * FROM tasks ORDER BY rowid DESC")

    def attach(self, task: Task) -> None:
        """Store a running task that was found elsewhere, or the ticket of an ambiguous one."""
        with self._database.transaction():
            seen = task.seen_submitted or self._seen.now()
            self._database.insert(replace(task, seen_submitted=seen))

    def forget(self, request: str) -> None:
        """Remove a task and its result file."""
        with self._database.transaction():
            task = self._get(request)
            self._database.execute("DELETE FROM tasks WHERE request = ?", request)
        if task is not None:
            remove_files(self.results, request)

    def new_part(self, request: str) -> Path:
        """Return the path of a new file for a result that is on its way to this program."""
        return self.results / part_name(request, self._owners.own())

    def sweep(self, days: int) -> None:
        """Remove what ended more than `days` ago, and what dead processes left behind.

        A result that nobody got is not removed.
        """
        ended = "state IN ('done', 'failed', 'expired') AND undelivered = 0"
        with self._database.transaction():
            old = self._seen.now() - days * _DAY
            where = f"WHERE {ended} AND seen_finished < ?"
            names = self._database.execute(f"SELECT request FROM tasks {where}", old).fetchall()
            self._database.execute(f"DELETE FROM tasks {where}", old)
        for (name,) in names:
            remove_files(self.results, name)
        remove_parts(self.results, self._owners.lives)
        self._owners.sweep()

    def is_damaged(self) -> bool:
        """Tell whether the file is there and damaged; nothing in it is changed."""
        return self._database.is_damaged()

    def repair(self) -> tuple[int, Path] | None:
        """Do what `Database.repair` does, None when nothing is damaged; raises `SettingsError`."""
        if not self.is_damaged():
            return None
        if self._owners.others():
            raise SettingsError("Other programs use the journal; end them first.")
        return self._database.repair()

    def typical_seconds(self, operation: str) -> float | None:
        """Return the median time from submit to result of an operation's last tasks."""
        with self._database.transaction(reading=True):
            rows = self._database.execute(
                "SELECT seen_finished - seen_submitted FROM tasks WHERE operation = ? "
                "AND state = 'done' AND seen_submitted > 0 AND seen_finished > seen_submitted "
                "ORDER BY seen_finished DESC LIMIT 9",
                operation,
            ).fetchall()
        times = sorted(float(row[0]) for row in rows)
        return times[len(times) // 2] if times else None

    def _spent(self) -> float:
        # A day of the calendar: nothing is lost when it jumps, and users count by it.
        found = self._database.execute(
            "SELECT SUM(cost) FROM tasks WHERE cost > 0 AND submitted > ? "
            "AND state NOT IN ('preparing', 'failed')",
            self._clock.now() - _DAY,
        )
        return float(found.fetchone()[0] or 0.0)

    def _abandon(self, task: Task, reason: str) -> Task | None:
        """Forget a task that was never submitted, or keep it as ambiguous and return it.

        `reason` tells why nobody knows the end of its submit; an older one stays. A task whose
        result came, though nobody noted it, is done.
        """
        if task.state == "preparing" and not task.reason:
            self._database.execute("DELETE FROM tasks WHERE request = ?", task.request)
            return None
        came = find(self.results, task.request)
        if came is None:
            self._update(task.request, state="ambiguous", owner="", reason=task.reason or reason)
        else:
            self._finish(task.request, came.name, digest_of(came))
        return self._get(task.request)

    def _set_aside(self, request: str) -> None:
        """Let no file of an earlier task look like the result of the next one."""
        path = find(self.results, request)
        try:
            if path is not None:
                reject(path, request)
        except OSError as error:
            raise SettingsError(f"Cannot move {path} ({error.strerror}).") from error

    def _is_worked_on(self, task: Task) -> bool:
        """Tell whether a thread here, or another living process, is at a task."""
        if task.owner == self._owners.own():
            return task.request in self._active
        return self._owners.lives(task.owner)

    def _is_over(self, task: Task, days: float, seen: float) -> bool:
        """Tell whether a new request makes a new task of this one."""
        if task.state == "done":
            return not task.undelivered and seen - task.seen_finished > days * _DAY
        return task.state in ("failed", "expired")

    def _finish(self, request: str, result: str, digest: str) -> None:
        found: dict[str, Any] = {"result": result, "digest": digest, "undelivered": 1}
        found |= {"owner": "", "reason": "", **self._ended()}
        self._note(request, None, state="done", **found)

    def _ended(self) -> dict[str, Any]:
        """Return the times of an end that is now."""
        return {"finished": self._clock.now(), "seen_finished": self._seen.now()}

    def _change(
        self, request: str, states: tuple[TaskState, ...] | None, mine: bool = False, **values: Any
    ) -> bool:
        """Do what `_note` does, in a transaction of its own."""
        with self._database.transaction():
            return self._note(request, states, mine, **values)

    def _note(
        self, request: str, states: tuple[TaskState, ...] | None, mine: bool = False, **values: Any
    ) -> bool:
        """Update a row if it is in one of `states`, and ours if `mine`; tell whether it was."""
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
