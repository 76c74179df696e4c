"""From an image or video to a ticket: upload, and the paid call, which is sent once.

It is sent again only when it is certain that nothing was accepted: no connection, the image not
handed over whole, or HTTP 429. After anything else that is no clear answer, the task is ambiguous.
"""

from __future__ import annotations

import base64
import math
from dataclasses import replace

from ..contract.files import Sendable
from ..contract.http import Call, Reply
from ..contract.operation import RemoteOperation
from ..contract.reading import spot_id
from ..contract.tasks import Done, Source, Ticket
from ..errors import (
    AmbiguousSubmitError,
    BadReplyError,
    InvalidInputError,
    ProviderError,
    RetiredError,
    SettingsError,
    StoppedError,
    TaskError,
    TransportError,
)
from ..images.pictures import Picture
from .clock import backoff, retry_after
from .context import LARGEST_REPLY, TRIES, Context
from .results import rejected, write
from .task import Task

_READ_SECONDS = 300.0  # synchronous APIs answer when the image is done


def submit(context: Context, task: Task) -> Done | None:
    """Submit a task of ours; return the result when the answer holds it already.

    The journal knows the ticket when this returns. Raises a `ProviderError` or `TransportError`
    when certainly nothing was accepted, else `AmbiguousSubmitError`.
    """
    context.show("uploading")
    try:
        source = _source(context, task)
    except TransportError as error:
        raise _unsent(context, error) from error
    call = context.operation.wire.submit(context.operation, source)
    call = replace(call, headers={**call.headers, "Idempotency-Key": task.key})
    until = context.clock.monotonic() + context.settings.task_seconds
    attempt = 0
    while True:
        context.show("submitting")
        reply = _send_paid(context, call, last=attempt + 1 >= TRIES)
        if reply is None:
            pause = backoff(attempt)
        elif reply.status != 429 or spot_id(reply.body, context.ticket_path):
            return _read_accepted(context, reply)
        else:
            context.journal.end_submit(context.name)
            asked = retry_after(reply.headers, context.clock.now())
            pause = max(asked or 0.0, 0.5 + backoff(attempt))
            if context.clock.monotonic() + pause > until:
                return _read_accepted(context, reply)
        context.show("waiting")
        context.wait(pause)
        attempt += 1


def doubt(
    operation: RemoteOperation | type[RemoteOperation], request: str, reason: str, ticket: str = ""
) -> AmbiguousSubmitError:
    """Return what the user has to know about a task that may have been accepted.

    `ticket` is an id that the answer named, though it was no clear one.
    """
    title, name = operation.vendor.title, request[:12]
    look = f"Look for it in your account at {title}. "
    if ticket:
        fetch = (
            f"The answer names task {ticket}: running again, or `upscale-bridge tasks resume "
            f"{name}`, looks for that one, free of cost. If it is not there, "
        )
    elif operation.has_tasks():
        fetch = (
            f"{look}If it is there, `upscale-bridge tasks resume {name} --ticket ITS_ID` fetches "
            "it; if not, "
        )
    else:
        fetch = f"{look}This API has no way to fetch a result later; "
    return AmbiguousSubmitError(
        f"{reason} Nobody knows whether {title} accepted (and bills) this task, so it is not "
        f"submitted again. {fetch}`upscale-bridge tasks forget {name}`, or a higher attempt, "
        "submits it anew.",
        ticket=ticket,
    )


def _source(context: Context, task: Task) -> Source:
    """Return the image or video as the submit carries it; upload it first where that is the way."""
    operation, file = context.operation, context.request.file
    if file is None and not operation.image_address:
        raise InvalidInputError("image", "There is no image to send; connect one.")
    if file is not None and not task.upload and operation.ways()[0] == "upload":
        task = replace(task, upload=_upload(context, file))
    source = known_source(operation, file, task)
    if source is not None:
        if task.upload:
            context.journal.keep_upload(context.name, task.upload)
        return source
    if operation.ways() == ("upload",):
        raise InvalidInputError(
            operation.media,
            f"This host takes no uploads, so it cannot be sent a {operation.media}; check "
            f"{operation.vendor.url_variable}.",
        )
    switches = " and ".join(operation.without_address)
    other = f"switch on {switches} (not documented by the vendor; our own server takes it), or "
    raise InvalidInputError(
        "image_url",
        f"{operation.title} takes an image only by its address. Give its public address in "
        f"image_url, or {other if switches else ''}use an operation that sends the image.",
    )


def known_source(operation: RemoteOperation, file: Sendable | None, task: Task) -> Source | None:
    """Return the file as a submit carries it that uploads nothing, None where there is no way.

    `task` knows an earlier upload.
    """
    if operation.image_address:
        return Source("url", operation.image_address)
    for way in operation.ways():
        if way == "upload" and task.upload:
            return Source("url", task.upload)
        if way == "base64" and isinstance(file, Picture):
            return Source("base64", base64.b64encode(file.data).decode())
        if way == "data_uri" and isinstance(file, Picture):
            text = base64.b64encode(file.data).decode()
            return Source("data_uri", f"data:{file.mime};base64,{text}")
    return None


def _upload(context: Context, file: Sendable) -> str:
    """Return the address of the uploaded image, empty when the host takes no uploads."""
    operation = context.operation
    uploads = operation.uploads
    assert uploads is not None
    reply = context.send_patiently(uploads.ask(file))
    if reply.status in (404, 405):
        reply = context.send_patiently(uploads.post(file))
        return "" if reply.status in (404, 405) else uploads.read_posted(reply)
    place = uploads.read_place(reply, file)
    placed = context.send_patiently(place.call)
    if placed.status == 403:  # the ticket's signature may have expired
        place = uploads.read_place(context.send_patiently(uploads.ask(file)), file)
        placed = context.send_patiently(place.call)
    if not 200 <= placed.status < 300:
        operation.vendor.refuse(placed, "the file could not be uploaded")
    return place.url


def _send_paid(context: Context, call: Call, *, last: bool) -> Reply | None:
    """Send the paid call; None when nothing arrived and it may be sent again."""
    context.check()
    if context.halt.is_set():
        raise StoppedError
    most = context.settings.max_cost_day or math.inf
    account = context.transport.account
    if not context.journal.begin_submit(context.name, account, context.cost, most):
        raise TaskError("Another program took this task over or forgot it; run again to join it.")
    try:
        return context.transport.send(
            call, stop=context.check, limit=LARGEST_REPLY, read_seconds=_READ_SECONDS, once=True
        )
    except TransportError as error:
        if error.sent:
            spotted = spot_id(error.received, context.ticket_path)
            ticket = context.transport.hide(spotted)
            raise leave_in_doubt(context, str(error), ticket) from error
        context.journal.end_submit(context.name)
        if last:
            raise _unsent(context, error) from error
        return None
    except BadReplyError as error:
        raise leave_in_doubt(context, str(error)) from error
    except StoppedError:  # raised only while the body is on its way
        context.journal.end_submit(context.name)
        raise
    except BaseException as error:
        raise leave_in_doubt(context, f"{type(error).__name__} during the submit.") from error


def _unsent(context: Context, error: TransportError) -> TransportError:
    return TransportError(
        f"{error} Nothing was submitted and nothing is billed; check the connection, the proxy or "
        f"{context.operation.vendor.url_variable}.",
        sent=False,
    )


def _read_accepted(context: Context, reply: Reply) -> Done | None:
    """Store what the service accepted, or raise why it did not.

    An id is kept whatever else is wrong with the answer: with a good status the task is followed,
    with another one it may have been accepted all the same.
    """
    wire = context.operation.wire
    try:
        accepted = wire.read_submit(reply)
    except ProviderError as error:
        ticket = reply.hide(spot_id(reply.body, context.ticket_path))
        good = 200 <= reply.status < 300 and error.status in (0, reply.status)
        if ticket and good and isinstance(error, BadReplyError):
            accepted = Ticket(ticket)
        elif ticket:
            raise leave_in_doubt(context, str(error), ticket) from error
        elif isinstance(error, BadReplyError):
            raise leave_in_doubt(context, str(error) + _put_aside(context, reply)) from error
        else:
            context.journal.end_submit(context.name)
            raise _explained(context, error) from error
    ticket = accepted.ticket if isinstance(accepted, Done) else accepted.id
    if ticket:
        _note(context, ticket)
    return accepted if isinstance(accepted, Done) else None


def _put_aside(context: Context, reply: Reply) -> str:
    """Keep an answer that may hold a result which cannot be fetched again; say where."""
    if context.operation.has_tasks() or reply.status != 200 or not reply.body:
        return ""
    path = rejected(context.journal.results, context.name)
    try:
        write(path, reply.body)
    except OSError:
        return ""
    return f" What it sent is kept in {path}."


def _note(context: Context, ticket: str) -> None:
    """Store the ticket; if that fails the user has to."""
    try:
        context.journal.accept(context.name, ticket)
    except SettingsError as error:
        kind = type(context.operation).__name__
        raise TaskError(
            f"{context.operation.vendor.title} accepted task {ticket}, but that could not be "
            f"noted. {error} Write the id down: `upscale-bridge tasks resume {ticket} --made-by "
            f"{kind}`, or the node Resume Upscale Task, fetches its result.",
            ticket=ticket,
        ) from error


def leave_in_doubt(context: Context, reason: str, ticket: str = "") -> AmbiguousSubmitError:
    """Note that nobody knows the end of a submit, and return what the user has to know."""
    context.journal.doubt(context.name, reason, ticket)
    return doubt(context.operation, context.name, reason, ticket)


def _explained(context: Context, error: ProviderError) -> ProviderError:
    """Say what an unknown address means: an API that has ended, or the wrong host."""
    operation, vendor = context.operation, context.operation.vendor
    if error.status not in (404, 410):
        return error
    if context.transport.base_url != vendor.base_url:
        return ProviderError(
            f"{error} This host may not offer the API; check {vendor.url_variable}.",
            provider=vendor.name,
            status=error.status,
        )
    if not operation.retirement:
        return error
    return retired(operation, error.status)


def retired(operation: RemoteOperation, status: int = 0) -> RetiredError:
    """Return what to say of an API that its vendor has ended."""
    vendor = operation.vendor
    return RetiredError(
        f"{operation.retirement}. Name your own server or a compatible host in "
        f"{vendor.url_variable}.",
        provider=vendor.name,
        status=status,
    )
