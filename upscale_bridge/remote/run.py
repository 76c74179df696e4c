"""A remote operation on a batch of images: packed, sent, unpacked, or done elsewhere instead."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..contract.operation import RemoteOperation
from ..contract.shared import ERROR
from ..errors import (
    AmbiguousSubmitError,
    InvalidInputError,
    MissingKeyError,
    QuotaError,
    RetiredError,
    StoppedError,
    TransportError,
    UpscaleError,
    restated,
)
from ..images.sizes import Size
from ..monitor import Monitor
from ..params import Operation, param
from ..result import Result
from ..vendors import ALL, operation_named
from . import encoding
from .context import Delivered
from .lifecycle import Outcome

if TYPE_CHECKING:
    from torch import Tensor

    from .client import Client, Outlook
    from .context import Request
    from .task import Task

Ending = Outcome | UpscaleError
KNOWN_HERE = "known here"


@dataclass(frozen=True)
class ResumeTask(Operation):
    """Fetch the result of a remote task that was submitted before, here or elsewhere; free."""

    title: ClassVar[str] = "Resume Upscale Task"

    task_id: str = param("", "The service's id of the task, or its name in `tasks list`.")
    made_by: str = param(
        KNOWN_HERE,
        "Which operation made the task, when another machine submitted it.",
        choices=(KNOWN_HERE, *(kind.__name__ for kind in ALL if kind.has_tasks())),
    )


class Fallback(Protocol):
    """What does an operation elsewhere when its service cannot be used."""

    def advice(self, operation: RemoteOperation, size: Size) -> str:
        """Return the advice to choose it, which begins in the middle of a sentence, or nothing."""

    def stand_in(
        self, operation: RemoteOperation, images: Tensor, monitor: Monitor, error: UpscaleError
    ) -> Result:
        """Do it to `images`; raise `error` with more to say when that fails too."""


def run_remote(
    client: Client,
    operation: RemoteOperation,
    images: Tensor,
    monitor: Monitor,
    fallback: Fallback,
) -> Result:
    """Do a remote operation to `images` [batch, height, width, 1 to 4 channels].

    Raises an `UpscaleError`, or what `monitor` raises; whatever was accepted or came back before
    is kept, and found again by the next run of the same.
    """
    started = time.monotonic()
    found = client.run(_requests(client, operation, images, monitor), monitor)
    height, width = images.shape[1:3]
    info: dict[str, Any] = {"operation": operation.title, "input_size": (width, height)}
    pixels: list[Tensor | None] = [o.value if isinstance(o, Outcome) else None for o in found]
    failed = [index for index, outcome in enumerate(found) if isinstance(outcome, UpscaleError)]
    if failed:
        error = _worst(found)
        unavailable = _is_unavailable(found)
        if unavailable and operation.when_unavailable == ERROR:
            advice = fallback.advice(operation, (width, height))
            error = restated(error, f"{error} Or {advice}.") if advice else error
        if not unavailable or operation.when_unavailable == ERROR:
            raise _told(error, failed, len(found))
        local = fallback.stand_in(operation, images[failed], monitor, error)
        for index, image in zip(failed, local.images, strict=True):
            pixels[index] = image
        info["local"] = {"because": f"{type(error).__name__}: {error}", **local.info}
    info["tasks"] = [describe_task(outcome) for outcome in found if isinstance(outcome, Outcome)]
    batch = encoding.join_batch([image for image in pixels if image is not None])
    info["size"] = (batch.shape[2], batch.shape[1])
    info["seconds"] = round(time.monotonic() - started, 3)
    client.deliver([outcome for outcome in found if isinstance(outcome, Outcome)])
    return Result(batch, info, summarize(info))


def outlooks(
    client: Client, operation: RemoteOperation, images: Tensor, monitor: Monitor
) -> list[Outlook]:
    """Tell what `run_remote` would do for each image; nothing is sent."""
    return [client.outlook(one) for one in _requests(client, operation, images, monitor)]


def _requests(
    client: Client, operation: RemoteOperation, images: Tensor, monitor: Monitor
) -> list[Request]:
    parcels = [encoding.pack(operation, image, monitor) for image in images]
    return [
        client.request(operation, parcel.picture, parcel.pixels, encoding.unpack(operation, parcel))
        for parcel in parcels
    ]


def resume(client: Client, operation: ResumeTask, monitor: Monitor) -> Result:
    """Return the result of a task, as the service made it: transparency stays with its image."""
    started = time.monotonic()
    kind = client.maker(operation.task_id, operation.made_by)
    if kind is not None and kind.media == "video":
        raise _not_an_image(client, operation.task_id, kind)

    def reader(task: Task) -> Callable[[Delivered], Tensor]:
        return encoding.decode

    outcome = client.resume(operation.task_id, reader, monitor, kind)
    pixels = outcome.value
    info = {
        "operation": operation_named(outcome.task.operation).title,
        "input_size": (outcome.task.width, outcome.task.height),
        "tasks": [describe_task(outcome)],
        "size": (pixels.shape[1], pixels.shape[0]),
        "seconds": round(time.monotonic() - started, 3),
    }
    client.deliver([outcome])
    return Result(pixels[None], info, summarize(info))


def _not_an_image(client: Client, name: str, kind: type[RemoteOperation]) -> InvalidInputError:
    """Return how the result of a video's task is fetched."""
    again = f"run {kind.title} once more with the same video and settings, or "
    fetch = f"`upscale-bridge tasks resume {name} -o OUT.mp4"
    if client.journal.find(name.strip()) is None:  # here it would be submitted anew
        again, fetch = "", f"{fetch} --made-by {kind.__name__}"
    return InvalidInputError(
        "task_id",
        f"Task {name} is of a video, no image; {again}{fetch}`, which fetches it free of cost.",
    )


def _is_unavailable(found: Sequence[Ending]) -> bool:
    """Tell whether every failure means that the service cannot be used and has accepted nothing."""
    return all(
        isinstance(outcome, (Outcome, MissingKeyError))
        or (isinstance(outcome, (RetiredError, QuotaError)) and not outcome.ticket)
        or (isinstance(outcome, TransportError) and not outcome.sent)
        for outcome in found
    )


def _worst(found: Sequence[Ending]) -> UpscaleError:
    """Return the error that matters most: a doubt, and not a stop that followed from another."""
    errors = [outcome for outcome in found if isinstance(outcome, UpscaleError)]
    return min(
        errors,
        key=lambda error: (
            not isinstance(error, AmbiguousSubmitError),
            isinstance(error, StoppedError),
        ),
    )


def _told(error: UpscaleError, failed: list[int], count: int) -> UpscaleError:
    """Say which images of a batch failed, and that the others are kept."""
    if count == 1:
        return error
    shown = ", ".join(str(index + 1) for index in failed[:10]) + (", ..." * (len(failed) > 10))
    kept = count - len(failed)
    tail = f" The other {kept} results are kept and cost nothing in the next run." if kept else ""
    return restated(error, f"Image {shown} of {count}: {error}{tail}")


def describe_task(outcome: Outcome) -> dict[str, Any]:
    """Return what is said of a task in the `info` of its run."""
    task = outcome.task
    fields: dict[str, Any] = {"id": task.ticket, "request": task.request[:12], "how": outcome.how}
    for name in ("submitted", "finished"):
        moment = datetime.fromtimestamp(getattr(task, name), timezone.utc)
        fields[name] = moment.isoformat(timespec="seconds")
    if task.cost:
        fields["cost"] = task.cost
    if outcome.flagged:
        fields["flagged"] = True
    return fields


def summarize(info: dict[str, Any]) -> str:
    """Return one line about what was done."""
    before, after = (
        f"{width} x {height}" if width else "unknown size"
        for width, height in (info["input_size"], info["size"])
    )
    tasks = info["tasks"]
    kinds = [task["how"] for task in tasks]
    counts = ", ".join(
        f"{kinds.count(kind)} {kind}" if len(kinds) > 1 else kind for kind in dict.fromkeys(kinds)
    )
    ids = f", task {tasks[0]['id']}" if len(tasks) == 1 and tasks[0]["id"] else ""
    local = info.get("local", {})
    here = f"{local['model']} on this machine" if local else ""
    here += f", {local['faces']['summary']}" if "faces" in local else ""
    ways = " and ".join(way for way in (here, counts) if way)
    return f"{before} -> {after} by {info['operation']} ({ways}{ids}), {info['seconds']:.1f} s"
