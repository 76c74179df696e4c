"""The life of one task: claim, submit, follow, check, keep. One way for all vendors."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contract.http import Call
from ..contract.operation import RemoteOperation
from ..contract.tasks import Done, Output
from ..contract.wire import TaskWire
from ..errors import (
    AmbiguousSubmitError,
    BadReplyError,
    InvalidInputError,
    ProviderError,
    SettingsError,
    TaskError,
    TaskFailedError,
    TaskLostError,
    TransportError,
)
from .clock import backoff
from .context import Context, Request
from .follow import fetch, unwritable, wait_for
from .inquiry import look, resolve
from .journal import Journal
from .progress import How
from .results import is_whole, reject, settle
from .submit import doubt, submit
from .task import Task

_OTHERS_SECONDS = 0.2
_BROKEN_FILES = 3


@dataclass(frozen=True)
class Outcome:
    """What came of a request."""

    value: Any
    """What `Request.read` made of the result."""
    task: Task
    how: How
    flagged: bool
    """The service's detector calls the result not safe for work."""


def run_task(context: Context) -> Outcome:
    """Bring a request to its result; raises an `UpscaleError`, and then keeps what can be resumed.

    Blocks; the same request in another thread or process is joined, not repeated.
    """
    earlier = context.journal.get(context.name)
    task, how = _claim(context, may_submit_again=earlier is not None and bool(earlier.absent))
    context.view.how = how
    try:
        done = _submit(context, task) if task.state == "preparing" else None
        if done is not None and not done.ticket:
            return _take(context, done.outputs[0])
        if task.state == "done":
            found = _reuse(context.request, context.journal, how)
            if found is not None:
                return found
            context.view.how = how = "resumed"
        return _follow(context, done, how)
    finally:
        if task.state == "preparing":  # else it is, or was, another's
            _leave(context)


def _submit(context: Context, task: Task) -> Done | None:
    """Submit a task; look for it at the service when the answer is lost."""
    try:
        return submit(context, task)
    except AmbiguousSubmitError as error:
        if error.ticket or context.stop.is_set():
            raise
        resolve(context, error)
        return None


def _leave(context: Context) -> None:
    # A journal that cannot be written has raised its own error before.
    with contextlib.suppress(SettingsError):
        context.journal.leave(context.name)


def reuse(request: Request, journal: Journal, days: int) -> Outcome | None:
    """Return the kept result of the same request, None when there is none; needs no network.

    Raises `TaskLostError` when its file is lost and the service has no way to fetch it again.
    """
    name, limit = request.task.request, math.inf if request.resumes else days
    return _reuse(request, journal, "reused") if journal.is_kept(name, limit) else None


def _claim(context: Context, *, may_submit_again: bool) -> tuple[Task, How]:
    """Return the task when it is ours to prepare, or accepted, or done.

    `may_submit_again`: an earlier run found that the service does not have it.
    """
    how: How = "new"
    days = context.settings.result_days
    while True:
        if context.request.resumes:
            task, ours = _wanted(context), False
        else:
            task, ours = context.journal.claim(context.request.task, days)
        if ours:
            return task, "new"
        if task.state == "done":
            return task, "joined" if how == "joined" else "reused"
        if task.state == "running":
            return task, "joined" if how == "joined" or task.owner else "resumed"
        if task.state == "ambiguous" and task.ticket:
            context.journal.believe(context.name)
            return context.task, "resumed"
        if task.state == "ambiguous":
            if _retake(context, task, may_submit_again):
                return context.task, "resumed"
            resolve(context, doubt(context.operation, context.name, task.reason))
            continue
        how = "joined"  # another node or program is about to submit the same
        context.wait(_OTHERS_SECONDS)


def _wanted(context: Context) -> Task:
    """Return the task that is resumed, as it is by now."""
    task = context.journal.rejoin(context.name)
    if task is None:
        raise TaskError(f"Task {context.name[:12]} was forgotten, or never submitted.")
    if task.state in ("failed", "expired"):
        raise TaskFailedError(task.reason, ticket=task.ticket)
    return task


def _retake(context: Context, task: Task, may_submit_again: bool) -> bool:
    """Make an ambiguous task ours again if nothing can come of a second submit but one task."""
    if context.request.resumes:
        return False
    absent = may_submit_again and bool(task.absent) and look(context, task) == ""
    return (absent or _refuses_doubles(context)) and context.journal.retake(context.name)


def _refuses_doubles(context: Context) -> bool:
    """Tell whether the host promises that one Idempotency-Key makes one task.

    No vendor does; our own server says so at /healthz.
    """
    if context.transport.base_url == context.operation.vendor.base_url:
        return False
    try:
        reply = context.send(Call("GET", "/healthz"))
        return reply.status == 200 and reply.json().get("idempotent_submits") is True
    except (TransportError, BadReplyError):
        return False


def _take(context: Context, output: Output) -> Outcome:
    """Keep and hand over an answer that is all there will ever be."""
    try:
        path = _keep(context, fetch(context, output, ""))
    except SettingsError as error:  # a full disk must not cost the result as well
        value = context.request.read(output.data)
        with contextlib.suppress(SettingsError):
            context.journal.doubt(context.name, f"Its result was delivered but not kept: {error}")
        return Outcome(value, context.task, "new", output.flagged)
    try:
        value = context.request.read(path)
    except (BadReplyError, InvalidInputError) as error:
        raise _kept(context.request, error, path) from error
    return Outcome(value, context.task, "new", output.flagged)


def _follow(context: Context, done: Done | None, how: How) -> Outcome:
    """Return the result of an accepted task, whoever fetches it."""
    try:
        return _finish(context, done, how)
    except TaskLostError:
        if context.task.state != "done":
            raise
        # Another program has it, and the service was asked to forget it.
        found = _reuse(context.request, context.journal, "joined")
        if found is None:
            raise
        return found


def _finish(context: Context, done: Done | None, how: How) -> Outcome:
    """Wait for the result, fetch it, have it checked, and keep it."""
    ticket = context.task.ticket
    for attempt in range(_BROKEN_FILES):
        done = done or wait_for(context, ticket)
        part = fetch(context, done.outputs[0], ticket)
        try:
            value = context.request.read(part)
        except BadReplyError as error:  # what the service made, though not what was asked for
            raise _kept(context.request, error, _keep(context, part)) from error
        except InvalidInputError as error:
            if attempt + 1 == _BROKEN_FILES:
                rejected = reject(part, context.name)
                raise _kept(context.request, error, rejected) from error
            part.unlink()
            context.wait(backoff(attempt))
            done = None
        else:
            _keep(context, part)
            _drop(context, ticket)
            return Outcome(value, context.task, how, done.outputs[0].flagged)
    raise AssertionError("unreachable")


def _drop(context: Context, ticket: str) -> None:
    """Let the service forget a task, if it wants to be told; else it does when its time is over."""
    call = context.task_wire.drop(ticket)
    if call is not None:
        with contextlib.suppress(TransportError, ProviderError):
            context.send(call)


def _reuse(request: Request, journal: Journal, how: How) -> Outcome | None:
    """Return a kept result; None when its file is lost, and the service is to be asked again."""
    task = journal.get(request.task.request) or request.task
    path = journal.results / task.result
    try:
        if is_whole(path, task.digest):
            return Outcome(request.read(path), task, how, flagged=False)
    except OSError as error:
        raise SettingsError(f"Cannot read {path} ({error.strerror}).") from error
    except BadReplyError as error:
        raise _kept(request, error, path) from error
    except InvalidInputError as error:
        if task.digest:  # it is what the service delivered
            raise _kept(request, error, path) from error
    _miss(request.operation, journal, task, path)
    return None


def _miss(operation: RemoteOperation, journal: Journal, task: Task, path: Path) -> None:
    """Note that the file of a result is lost; raise unless the service can be asked for it."""
    lost = f"The kept file {path} is {'damaged' if path.exists() else 'gone'}."
    if task.ticket and _can_be_asked_again(operation, task.ticket):
        journal.miss(task, lost, again=True)
        return
    again = "" if operation.free else ", which costs again"
    text = (
        f"{lost} There is no task id by which {operation.vendor.title} could deliver it once "
        f"more. Running again submits it anew{again}."
    )
    journal.miss(task, text, again=False)
    raise TaskLostError(text)


def _can_be_asked_again(operation: RemoteOperation, ticket: str) -> bool:
    wire = operation.wire
    return isinstance(wire, TaskWire) and wire.drop(ticket) is None


def _keep(context: Context, part: Path) -> Path:
    """Give a result its final name and note it; returns the file."""
    try:
        path, digest = settle(part, context.name)
    except OSError as error:
        raise unwritable(part, error) from error
    context.journal.finish(context.name, path.name, digest)
    return path


def _kept(request: Request, error: Exception, path: Path) -> BadReplyError:
    return BadReplyError(
        f"{error} What {request.operation.vendor.title} delivered is kept in {path}; a higher "
        "attempt submits, and pays, again.",
        provider=request.operation.vendor.name,
    )
