"""What a run that pays would do for one file, known before it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from . import batch
from .contract.operation import RemoteOperation
from .images.folders import is_there
from .monitor import Monitor
from .service import Service

if TYPE_CHECKING:
    from .remote.client import Outlook


@dataclass(frozen=True)
class FilePlan:
    """What a remote run would do for one file."""

    job: batch.FileJob
    outlook: Outlook | Literal["skipped"]
    size: tuple[int, int] = (0, 0)
    """(width, height) of the picture."""
    target: tuple[int, int] | None = None
    """The same of the result, None when the service does not promise it."""
    free: bool = False
    """Nobody sells the operation."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        found: dict[str, Any] = {"file": str(self.job.source), "output": str(self.job.target)}
        if self.outlook != "skipped":
            found |= {"input_size": self.size, "size": self.target}
        return {**found, "outlook": self.outlook}

    @property
    def described(self) -> str:
        """One line about it."""
        if self.outlook == "skipped":
            return f"{self.job.source}: skipped, {self.job.target} exists (--overwrite replaces it)"
        how = {
            "new": "would be submitted" if self.free else "would be submitted and paid",
            "resumed": "would be resumed, free of cost",
            "reused": "is kept, free of cost",
        }[self.outlook]
        made = f" -> {self.target[0]} x {self.target[1]}" if self.target else ""
        return f"{self.job.source}: {self.size[0]} x {self.size[1]}{made}, {how}"


def plan_picture(
    job: batch.FileJob,
    operation: RemoteOperation,
    output: batch.OutputOptions,
    service: Service,
    monitor: Monitor,
) -> FilePlan:
    """Return what `run_job` would do for one picture; nothing is sent."""
    if _is_skipped(job, output):
        return FilePlan(job, "skipped")
    _, pixels, _, _ = batch.opened(job, output)
    size = pixels.shape[1], pixels.shape[0]
    (outlook,) = service.outlooks(operation, pixels[None], monitor)
    target = operation.target(*size) if operation.promises_size() else None
    return FilePlan(job, outlook, size, target, operation.free)


def plan_video(
    job: batch.FileJob,
    operation: RemoteOperation,
    output: batch.OutputOptions,
    service: Service,
    monitor: Monitor,
) -> FilePlan:
    """Return what `run_video_job` would do for one video; nothing is sent."""
    if _is_skipped(job, output):
        return FilePlan(job, "skipped")
    outlook, size = service.video_outlook(operation, Path(job.source), monitor)
    return FilePlan(job, outlook, size)


def _is_skipped(job: batch.FileJob, output: batch.OutputOptions) -> bool:
    return isinstance(job.target, Path) and is_there(job.target) and not output.overwrite
