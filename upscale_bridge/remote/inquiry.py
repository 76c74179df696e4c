"""Looking for a task whose submit was not answered in the list that its service keeps.

What is found is the ticket. What two looks a minute apart do not find was not accepted; the next
run that a person starts looks a third time and submits it again. A look that proves nothing leaves
the task in doubt: another key is set, the calendar has jumped, the list cannot be read to its end,
or it has a task of that time which is not ours for all we know and whose image it names otherwise.
"""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime

from ..contract.history import History
from ..contract.http import Call, Reply
from ..contract.operation import RemoteOperation
from ..errors import AmbiguousSubmitError, InvalidInputError, ProviderError, TransportError
from .context import Context
from .submit import known_source
from .task import Task

_APART = 60.0  # seconds between two looks; the list may lag behind
_WINDOW = 86_400.0  # seconds before and after the submit: the clocks may differ
_JUMP = 0.8 * _WINDOW  # by which calendar and lived time may differ
_NEAR = 900.0  # the same, once the service's clock is known
_MOST_PAGES = 20


def resolve(context: Context, error: AmbiguousSubmitError) -> None:
    """Give an ambiguous task its ticket; raises `error`, or a similar one that knows more."""
    task = context.task
    found = look(context, task)
    if found == "":
        context.show("asking")
        context.wait(_APART)
        found = look(context, task)
    if found is None:
        raise error
    if not found:
        context.journal.note_absent(context.name)
        raise absent(context) from error
    context.journal.accept(context.name, found)


def look(context: Context, task: Task) -> str | None:
    """Return the ticket of a task, empty when the list does not have it, None when unknown."""
    history, paid = context.operation.history, _paid_call(context, task)
    if history is None or paid is None or task.account != context.transport.account:
        return None
    context.show("asking")
    operation, paid_call = paid
    try:
        return _search(context, history, operation, paid_call, task.submitted)
    except (ProviderError, TransportError):
        return None


def absent(context: Context) -> AmbiguousSubmitError:
    """Return what is said of a task that the list does not have."""
    title, name = context.operation.vendor.title, context.name[:12]
    return AmbiguousSubmitError(
        f"The answer to the submit was lost. Two looks into {title}'s list of tasks, a minute "
        f"apart, did not find it: it was not accepted. Run again to submit it anew, or drop it by "
        f"`upscale-bridge tasks forget {name}`."
    )


def _search(
    context: Context, history: History, operation: RemoteOperation, paid: Call, submitted: float
) -> str | None:
    now = context.clock.now()
    since, until = min(submitted, now) - _WINDOW, max(submitted, now) + _WINDOW
    # A calendar that has jumped since the submit may have moved it out of the time asked for.
    unclear = abs(now - submitted - context.journal.age(context.task)) > _JUMP
    for page in range(1, _MOST_PAGES + 1):
        reply = context.send_patiently(history.ask(operation, since, until, page))
        ahead = _ahead(context, reply)
        if abs(ahead) > _WINDOW:
            return None
        found = history.read(reply)
        for past in found.tasks:
            likeness = history.compare(operation, paid, past)
            if likeness == "other" or context.journal.has_ticket(past.ticket):
                continue
            if likeness == "same":
                return past.ticket
            near = past.created is None or past.created > submitted + ahead - _NEAR
            unclear = unclear or near
        if found.last:
            return None if unclear else ""
    return None


def _ahead(context: Context, reply: Reply) -> float:
    """Return by how many seconds the service's clock is ahead of ours, 0 when it shows none."""
    try:
        there = parsedate_to_datetime(reply.headers.get("date", "")).timestamp()
    except (TypeError, ValueError):
        return 0.0
    return there - context.clock.now()


def _paid_call(context: Context, task: Task) -> tuple[RemoteOperation, Call] | None:
    """Return the operation and its submit as it was sent, None when nobody knows that any more."""
    operation: RemoteOperation | None = context.operation
    if context.request.resumes:
        operation = _remembered(type(context.operation), task)
    if operation is None:
        return None
    source = known_source(operation, context.request.file, task)
    return None if source is None else (operation, operation.wire.submit(operation, source))


def _remembered(kind: type[RemoteOperation], task: Task) -> RemoteOperation | None:
    try:
        return kind(**json.loads(task.parameters))
    except (InvalidInputError, TypeError):  # written down by another version
        return None
