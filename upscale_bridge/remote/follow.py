"""From a ticket to a result file: poll, and fetch what the service names. Nothing here costs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ..contract.reading import complete_url
from ..contract.tasks import Done, Failed, Output, Queued, Running, Status
from ..errors import (
    BadReplyError,
    ProviderError,
    SettingsError,
    TaskError,
    TaskFailedError,
    TaskLostError,
    TaskTimeoutError,
    TransportError,
)
from ..texts import shortened
from .clock import backoff
from .context import TRANSIENT, Context
from .results import write
from .seen import LONGEST_GAP

_GROWTH = 1.4
_SLOW_POLL, _SLOWEST_POLL = 5.0, 30.0
_LATE = 0.05  # of the time that a task waits or runs, by which the end of that is noticed late
_EARLY_MISSES = 3  # a service may not know its own new task for a moment
_SHORTEST_LIFE = 3600 + LONGEST_GAP  # every service keeps results for an hour; see SeenTime
_FETCHES = 6
_EMPTY_ANSWERS = 10  # a task may be done a moment before its result is named
_GONE = {403, 404, 410}  # what signed storage says when its time is over


def wait_for(context: Context, ticket: str) -> Done:
    """Poll until the task is done; queued time has a deadline of its own.

    Raises a `TaskError`, `StoppedError`, or a `ProviderError` that names the ticket; the journal
    keeps it.
    """
    settings, clock = context.settings, context.clock
    patience = max(settings.task_seconds, context.operation.least_patience)
    spent = {"queued": 0.0, "running": 0.0}
    phase: Literal["queued", "running"] = "running"  # until the service says otherwise
    delay = 0.0 if context.view.how == "resumed" else context.first_poll
    misses, empty, before = 0, 0, clock.monotonic()
    context.show("queued")
    while True:
        context.wait(delay)
        slowest = min(max(_SLOW_POLL, _LATE * spent[phase]), _SLOWEST_POLL)
        delay = max(context.first_poll, min(delay * _GROWTH, slowest))
        status, pause = _look(context, ticket)
        if status is None and pause is None:
            misses += 1
            if misses >= _EARLY_MISSES:
                raise _lost(context, ticket)
        delay = max(delay, pause or 0.0)
        if isinstance(status, Done):
            if status.outputs:
                return status
            empty += 1
            if empty >= _EMPTY_ANSWERS:
                raise _nameless(context, ticket)
        if isinstance(status, Failed):
            raise _failed(context, ticket, status)
        now = clock.monotonic()
        spent[phase] += now - before
        before = now
        if status is not None:
            phase = "queued" if isinstance(status, Queued) else "running"
            context.show(phase, status.fraction if isinstance(status, Running) else None)
        if spent["queued"] > settings.queue_seconds or spent["running"] > patience:
            raise _timeout(context, ticket, spent)


def fetch(context: Context, output: Output, ticket: str) -> Path:
    """Return a new file with the result; the caller owns it.

    A result that cannot be fetched at its address any more is asked for once more.
    """
    part = context.journal.new_part(context.name)
    try:
        if output.data:
            write(part, output.data)
            return part
        return _fetch(context, output, ticket, part)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise unwritable(part, error) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def unwritable(path: Path, error: OSError) -> SettingsError:
    """Return what to do when a result cannot be written."""
    return SettingsError(
        f"Cannot write {path} ({error.strerror}); free some space, or move the data folder, and "
        "run again."
    )


def _look(context: Context, ticket: str) -> tuple[Status | None, float | None]:
    """Ask once. Returns (status, None), or (None, pause) when there was no answer to speak of, or
    (None, None) when the service does not know the task."""
    wire = context.task_wire
    try:
        reply = context.send(wire.poll(ticket))
        if reply.status in TRANSIENT:
            return None, context.pause(reply, attempt=0)
        return wire.read_poll(reply), None
    except (TransportError, BadReplyError):
        return None, 0.0
    except ProviderError as error:
        if error.status == 404:
            return None, None
        if error.status in TRANSIENT:  # inside an HTTP 200
            return None, backoff(0)
        error.ticket = ticket
        error.args = (f"{error} Task {ticket} is not affected: {_resume_hint(ticket)}.",)
        raise


def _fetch(context: Context, output: Output, ticket: str, part: Path) -> Path:
    def progress(received: int, total: int) -> None:
        context.view.done, context.view.total = received, total

    problem: Exception | None = None
    renewed = False
    for attempt in range(_FETCHES):
        context.view.done = context.view.total = 0
        context.show("downloading")
        try:
            url = complete_url(output.url, context.transport.base_url)
            limit = context.operation.largest_result
            status = context.transport.fetch(
                url, part, stop=context.check, progress=progress, limit=limit
            )
        except BadReplyError as error:
            raise _unfetched(context, ticket, error) from error
        except TransportError as error:
            problem = error
        else:
            if status == 200:
                return part
            host = context.operation.vendor.title
            problem = TransportError(f"{host} answers HTTP {status} for the result.", sent=True)
            if status not in TRANSIENT:
                if renewed and status in _GONE and _is_old(context):
                    raise _gone(context, ticket, f"{host} does not have its result any more")
                if renewed or not ticket:
                    break
                output, renewed = wait_for(context, ticket).outputs[0], True
                continue
        context.wait(backoff(attempt))
    raise _unfetched(context, ticket, problem) from problem


def _resume_hint(ticket: str) -> str:
    return f"run again to resume it, or `upscale-bridge tasks resume {ticket}`"


def _failed(context: Context, ticket: str, status: Failed) -> TaskFailedError:
    title = context.operation.vendor.title
    code = f" (code {status.code})" if status.code else ""
    reason = shortened(status.reason)
    text = (
        f"{title} says that task {ticket} failed{code}: {reason}. Change the "
        f"{context.operation.media} or the settings; running again submits a new task."
    )
    context.journal.fail(context.name, text)
    return TaskFailedError(text, ticket=ticket)


def _timeout(context: Context, ticket: str, spent: dict[str, float]) -> TaskTimeoutError:
    title = context.operation.vendor.title
    return TaskTimeoutError(
        f"{title} gave no result for task {ticket} in {sum(spent.values()):.0f} s. The task goes "
        f"on there: {_resume_hint(ticket)}; task_seconds and queue_seconds in the settings allow "
        "longer waits.",
        ticket=ticket,
    )


def _unfetched(context: Context, ticket: str, problem: Exception | None) -> TaskError:
    return TaskError(
        f"The result of task {ticket or context.name[:12]} is ready but cannot be fetched: "
        f"{problem} Nothing is lost yet: {_resume_hint(ticket or context.name[:12])}.",
        ticket=ticket,
    )


def _nameless(context: Context, ticket: str) -> TaskError:
    title = context.operation.vendor.title
    if _is_old(context):
        return _gone(context, ticket, f"{title} does not name its result any more")
    return TaskError(
        f"{title} says that task {ticket} is done, but its answers name no result that can be "
        f"read. Nothing is lost yet: {_resume_hint(ticket)}.",
        ticket=ticket,
    )


def _lost(context: Context, ticket: str) -> TaskLostError:
    """Say that the service does not know the task; an old one is given up for good."""
    title = context.operation.vendor.title
    if _is_old(context):
        return _gone(context, ticket, f"{title} does not know it any more")
    return TaskLostError(
        f"{_before(context)}{title} does not know task {ticket}. Check that key and base URL are "
        f"those of its submit; `upscale-bridge tasks forget {context.name[:12]}` gives it up, and "
        "running again then costs again.",
        ticket=ticket,
    )


def _is_old(context: Context) -> bool:
    """Tell whether the service may have dropped the result."""
    return context.journal.age(context.task) > _SHORTEST_LIFE


def _gone(context: Context, ticket: str, what: str) -> TaskLostError:
    """Give a task up for good."""
    hours = context.journal.age(context.task) / 3600
    text = (
        f"{_before(context)}The result of task {ticket} is gone: {what}. It was submitted at least "
        f"{hours:.0f} h ago. Running again submits it anew, which costs again."
    )
    context.journal.fail(context.name, text, expired=True)
    return TaskLostError(text, ticket=ticket)


def _before(context: Context) -> str:
    """Return why the task is asked about once more, with a blank, or nothing."""
    reason = context.task.reason
    return f"{reason} " if reason else ""
