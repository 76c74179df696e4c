"""A remote operation on a batch of images: packed, sent, unpacked, or done here instead."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

from . import exchange, here
from .errors import (
    AmbiguousSubmitError,
    DownloadError,
    MissingKeyError,
    QuotaError,
    RetiredError,
    StoppedError,
    TransportError,
    UpscaleError,
)
from .monitor import Monitor
from .params import Operation, param
from .remote.choices import ANY_MODEL, ERROR
from .remote.life import Outcome
from .remote.provider import RemoteOperation
from .remote.providers import OPERATIONS
from .service import Result
from .sizes import Size

if TYPE_CHECKING:
    from torch import Tensor

    from .remote.task import Task
    from .service import Service

Found = Outcome | UpscaleError
KNOWN_HERE = "known here"


@dataclass(frozen=True)
class ResumeTask(Operation):
    """Fetch the result of a remote task that was submitted before, here or elsewhere; free."""

    title: ClassVar[str] = "Resume Upscale Task"

    task_id: str = param("", "The service's id of the task, or its name in `tasks list`.")
    made_by: str = param(
        KNOWN_HERE,
        "Which operation made the task, when another machine submitted it.",
        choices=(
            KNOWN_HERE,
            "NovitaUpscale",
            "NovitaUpscaleToResolution",
            "NovitaUpscaleV2",
            "WaveSpeedUpscale",
        ),
    )


def run_remote(
    service: Service, operation: RemoteOperation, images: Tensor, monitor: Monitor
) -> Result:
    """Do a remote operation to `images` [batch, height, width, 1 to 4 channels].

    Raises an `UpscaleError`, or what `monitor` raises; whatever was accepted or came back before
    is kept, and found again by the next run of the same.
    """
    started = time.monotonic()
    client = service.client
    parcels = [exchange.pack(operation, image, monitor) for image in images]
    requests = [
        client.request(operation, parcel.picture, parcel.pixels, exchange.unpack(operation, parcel))
        for parcel in parcels
    ]
    found = client.run(requests, monitor)
    height, width = images.shape[1:3]
    info: dict[str, Any] = {"operation": operation.title, "input_size": (width, height)}
    pixels: list[Tensor | None] = [o.value if isinstance(o, Outcome) else None for o in found]
    failed = [index for index, outcome in enumerate(found) if isinstance(outcome, UpscaleError)]
    if failed:
        error = _worst(found)
        unavailable = _is_unavailable(found)
        if unavailable and operation.when_unavailable == ERROR:
            error = _with_ways(service, operation, (width, height), error)
        if not unavailable or operation.when_unavailable == ERROR:
            raise _told(error, failed, len(found))
        local = _run_here(service, operation, images[failed], monitor, error)
        for index, image in zip(failed, local.images, strict=True):
            pixels[index] = image
        info["local"] = {"because": f"{type(error).__name__}: {error}", **local.info}
    info["tasks"] = [_describe(outcome) for outcome in found if isinstance(outcome, Outcome)]
    batch = exchange.join_batch([image for image in pixels if image is not None])
    info["size"] = (batch.shape[2], batch.shape[1])
    info["seconds"] = round(time.monotonic() - started, 3)
    client.deliver([outcome for outcome in found if isinstance(outcome, Outcome)])
    return Result(batch, info, _summary(info))


def resume(service: Service, operation: ResumeTask, monitor: Monitor) -> Result:
    """Return the result of a task, as the service made it: transparency stays with its image."""
    started = time.monotonic()
    kinds = {kind.__name__: kind for kind in OPERATIONS}

    def accept(task: Task) -> Callable[[bytes], Tensor]:
        return exchange.decode

    outcome = service.client.resume(
        operation.task_id, accept, monitor, kinds.get(operation.made_by)
    )
    pixels = outcome.value
    info = {
        "operation": kinds[outcome.task.operation].title,
        "input_size": (outcome.task.width, outcome.task.height),
        "tasks": [_describe(outcome)],
        "size": (pixels.shape[1], pixels.shape[0]),
        "seconds": round(time.monotonic() - started, 3),
    }
    service.client.deliver([outcome])
    return Result(pixels[None], info, _summary(info))


def _run_here(
    service: Service,
    operation: RemoteOperation,
    images: Tensor,
    monitor: Monitor,
    error: UpscaleError,
) -> Result:
    """Do the same with the local engine."""
    if operation.only_there():
        raise _restated(
            error, f"{error} These settings ({operation.only_there()}) cannot be run locally."
        )
    size = images.shape[2], images.shape[1]
    try:
        models = here.choose(service, operation, size, monitor)
        running = here.described(models) or "the same"
        monitor.notice(
            f"{operation.title} is not available, running {running} here instead: {error}"
        )
        return here.carry_out(service, operation, images, monitor, models)
    except StoppedError:
        raise
    except UpscaleError as local:
        further = ""
        if isinstance(local, DownloadError):
            further = f" Or {here.advised([ANY_MODEL])}."
        text = f"{error} Running locally failed as well: {local}{further}"
        raise _restated(local, text) from local


def _with_ways(
    service: Service, operation: RemoteOperation, size: Size, error: UpscaleError
) -> UpscaleError:
    """Name the choices of when_unavailable that would bring a result now."""
    ways = here.other_ways(service.library, operation, size)
    return _restated(error, f"{error} Or {here.advised(ways)}.") if ways else error


def _is_unavailable(found: Sequence[Found]) -> bool:
    """Tell whether every failure means that the service cannot be used and has accepted nothing."""
    return all(
        isinstance(outcome, (Outcome, MissingKeyError))
        or (isinstance(outcome, (RetiredError, QuotaError)) and not outcome.ticket)
        or (isinstance(outcome, TransportError) and not outcome.sent)
        for outcome in found
    )


def _worst(found: Sequence[Found]) -> UpscaleError:
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
    return _restated(error, f"Image {shown} of {count}: {error}{tail}")


def _restated(error: UpscaleError, text: str) -> UpscaleError:
    """Return the same error with more to say."""
    error.args = (text,)
    return error


def _describe(outcome: Outcome) -> dict[str, Any]:
    task = outcome.task
    fields: dict[str, Any] = {"id": task.ticket, "request": task.request[:12], "how": outcome.how}
    for name in ("submitted", "finished"):
        moment = datetime.fromtimestamp(getattr(task, name), timezone.utc)
        fields[name] = moment.isoformat(timespec="seconds")
    if outcome.flagged:
        fields["flagged"] = True
    return fields


def _summary(info: dict[str, Any]) -> str:
    (width, height), (new_width, new_height) = info["input_size"], info["size"]
    tasks = info["tasks"]
    kinds = [task["how"] for task in tasks]
    counts = ", ".join(
        f"{kinds.count(kind)} {kind}" if len(kinds) > 1 else kind for kind in dict.fromkeys(kinds)
    )
    ids = f", task {tasks[0]['id']}" if len(tasks) == 1 and tasks[0]["id"] else ""
    here = f"{info['local']['model']} on this machine" if "local" in info else ""
    ways = " and ".join(way for way in (here, counts) if way)
    return (
        f"{width} x {height} -> {new_width} x {new_height} by {info['operation']} "
        f"({ways}{ids}), {info['seconds']:.1f} s"
    )
