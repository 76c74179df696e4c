"""The nodes of remote services for videos; they run while other nodes do."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..upscale_bridge.contract.operation import RemoteOperation
from ..upscale_bridge.errors import InvalidInputError
from ..upscale_bridge.images.videos import read_header
from ..upscale_bridge.result import Result
from ..upscale_bridge.vendors import VIDEOS
from . import host, progress, results, video_io
from .remote import all_widgets
from .shared import PackNode
from .video_files import borrow, file_of

if TYPE_CHECKING:
    from torch import Tensor

    from ..upscale_bridge.monitor import Monitor


class RemoteUpscaleVideo(PackNode):
    """What the nodes of all remote operations on videos share."""

    OPERATION: ClassVar[type[RemoteOperation]]
    DESCRIPTION: ClassVar[str | None]
    SEARCH_ALIASES: ClassVar[list[str]]
    RETURN_TYPES = ("VIDEO", "STRING")
    RETURN_NAMES = ("video", "info")
    OUTPUT_TOOLTIPS = (
        "The video as the service made it; Save Video stores it.",
        "JSON: task id, whether new, joined, resumed or reused, times and sizes; no key.",
    )

    def __init_subclass__(cls) -> None:
        cls.DESCRIPTION = cls.OPERATION.__doc__
        vendor = cls.OPERATION.vendor.name
        cls.SEARCH_ALIASES = ["upscale video api", "remote video upscale", vendor]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 (ComfyUI's name)
        """Describe the inputs."""
        return {
            "required": {
                "video": ("VIDEO", {"tooltip": "A video; its file is uploaded as it is."}),
                **all_widgets(cls.OPERATION),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, model: Any = None) -> bool:  # noqa: N802 (ComfyUI's name)
        """Accept models that are not listed: the vendor's catalogue may have new ones."""
        return True

    async def upscale(self, video: Any, **values: Any) -> Any:
        """Run the operation; ComfyUI awaits this with the widgets' values."""
        from comfy_api.latest import InputImpl

        with host.translated():
            operation = self.OPERATION(**values)
            monitor = progress.ComfyMonitor()
            made = await progress.on_own_thread(partial(_run, operation, video), monitor)
            target, result, before = made
            monitor.finish(result.summary)
            outputs = InputImpl.VideoFromFile(str(target)), json.dumps(result.info)
            return await asyncio.to_thread(results.shown, outputs, result, before)


def _run(
    operation: RemoteOperation, video: Any, monitor: Monitor
) -> tuple[Path, Result, Tensor | None]:
    """Return the result's file, what is said and shown of it, and the frame to compare it with."""
    import torch

    target = Path()

    def take(kept: Path) -> None:
        nonlocal target
        target = borrow(kept)

    with file_of(video, _is_taken) as source:
        made = host.service().run_video(operation, source, take, monitor)
        pair = video_io.pair(source, target) if host.page_is_open() else None
    info = made.info
    if not all(info["size"]):  # its head does not tell it
        found = video_io.look(target)
        info["size"] = found.width, found.height
    before, after = pair or (None, torch.empty(0))
    return target, Result(after, info, made.summary), before


def _is_taken(file: Path) -> bool:
    """Tell whether a file is of a format that services are sent."""
    try:
        read_header(file)
    except InvalidInputError:
        return False
    return True


def node_of(operation: type[RemoteOperation]) -> type[RemoteUpscaleVideo]:
    """Return the node of an operation; its id, which workflows save, is the operation's name."""
    body = {"__doc__": f"{operation.title}.", "OPERATION": operation}
    return type(operation.__name__, (RemoteUpscaleVideo,), body)


NODES = tuple(map(node_of, VIDEOS))
