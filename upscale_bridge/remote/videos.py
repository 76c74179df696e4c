"""A remote operation on a video: a file goes there and a file comes back.

Neither is ever whole in memory, and no frame is decoded. Journal and lifecycle are those of images.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contract.files import StoredFile
from ..contract.operation import RemoteOperation
from ..errors import InvalidInputError, UpscaleError
from ..images.sizes import Size
from ..images.videos import MIMES, Header, read_header
from ..monitor import Monitor
from ..vendors import operation_named
from .context import Delivered, Request
from .lifecycle import Outcome
from .results import digest_of
from .run import ResumeTask, describe_task, summarize

if TYPE_CHECKING:
    from .client import Client, Outlook

_ROUNDED = 0.5  # seconds by which heads may tell too much

Take = Callable[[Path], None]
"""Copies or links a kept result to where it is wanted, before it may be removed."""


@dataclass(frozen=True)
class VideoResult:
    """What is to be said about a video that was made."""

    format: str
    """One of `images.videos.MIMES`, which is the ending of its name as well."""
    info: dict[str, Any]
    """What was done, as plain data for JSON; no secrets."""
    summary: str
    """One line about it for the user."""


def run_video(
    client: Client, operation: RemoteOperation, source: Path, take: Take, monitor: Monitor
) -> VideoResult:
    """Do a remote operation to the video `source` and hand the result to `take`.

    Raises an `UpscaleError`, or what `monitor` or `take` raise; whatever was accepted or came back
    before is kept, and found again by the next run of the same.
    """
    started = time.monotonic()
    (found,) = client.run([_request(client, operation, source, monitor)], monitor)
    if isinstance(found, UpscaleError):
        raise found
    return _hand_over(client, found, take, started)


def video_outlook(
    client: Client, operation: RemoteOperation, source: Path, monitor: Monitor
) -> tuple[Outlook, Size]:
    """Tell what `run_video` would do, and (width, height) of the video; nothing is sent."""
    request = _request(client, operation, source, monitor)
    return client.outlook(request), (request.task.width, request.task.height)


def _request(client: Client, operation: RemoteOperation, source: Path, monitor: Monitor) -> Request:
    header = _check(operation, source)
    monitor.check()
    file = _stored(source, header)
    return client.request(operation, file, bytes.fromhex(file.sha256), _read)


def resume_video(
    client: Client, operation: ResumeTask, take: Take, monitor: Monitor
) -> VideoResult:
    """Hand the result of a video's task to `take`; costs nothing."""
    started = time.monotonic()
    kind = client.maker(operation.task_id, operation.made_by)
    if kind is not None and kind.media != "video":
        raise InvalidInputError(
            "task_id", f"Task {operation.task_id} is of an image; name the result .png or .jpg."
        )
    found = client.resume(operation.task_id, lambda task: _read, monitor, kind)
    return _hand_over(client, found, take, started)


def _check(operation: RemoteOperation, source: Path) -> Header:
    """Return what a video says; raise `InvalidInputError` for one that is not taken."""
    name, limits = str(source), operation.limits
    header, size = read_header(source, name), _size(source)
    if limits.size is not None and size > limits.size:
        raise InvalidInputError(
            name,
            f"{name} has {size / 1e6:.0f} MB; {operation.title} takes at most "
            f"{limits.size / 1e6:.0f} MB. Cut it into parts, or encode it smaller.",
        )
    longest, seconds = limits.seconds, header.seconds
    if longest is not None and seconds is not None and seconds > longest + _ROUNDED:
        raise InvalidInputError(
            name,
            f"{name} is {seconds:.0f} s long; {operation.own_model} takes at most {longest:.0f} s. "
            "Cut it into parts, or choose another model.",
        )
    return header


def _size(source: Path) -> int:
    try:
        return source.stat().st_size
    except OSError as error:
        raise _unreadable(source, error) from error


def _stored(source: Path, header: Header) -> StoredFile:
    try:
        sha256 = digest_of(source)
    except OSError as error:
        raise _unreadable(source, error) from error
    return StoredFile(
        path=source,
        mime=MIMES[header.format],
        ending=header.format,
        size=_size(source),
        sha256=sha256,
        width=header.width,
        height=header.height,
    )


def _unreadable(source: Path, error: OSError) -> InvalidInputError:
    return InvalidInputError(str(source), f"Cannot read {source} ({error.strerror}).")


def _read(found: Delivered) -> Header:
    """Return what a result says; raises `InvalidInputError` when it is no video, or cut off."""
    if isinstance(found, bytes):
        raise TypeError("a video is read from its file")
    return read_header(found, "the result")


def _hand_over(client: Client, found: Outcome, take: Take, started: float) -> VideoResult:
    task, header = found.task, found.value
    path = client.journal.results / task.result
    info = {
        "operation": operation_named(task.operation).title,
        "model": json.loads(task.parameters).get("model", ""),
        "input_size": (task.width, task.height),
        "tasks": [describe_task(found)],
        "format": header.format,
        "size": (header.width, header.height),
        "duration": header.seconds,
        "bytes": path.stat().st_size,
    }
    take(path)
    client.deliver([found])
    info["seconds"] = round(time.monotonic() - started, 3)
    return VideoResult(header.format, info, summarize(info))
