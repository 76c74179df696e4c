"""Local ESRGAN Upscale Video."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from ..upscale_bridge.local.operation import LocalUpscaleVideo
from ..upscale_bridge.monitor import Monitor
from . import host, progress, results, video_io, video_rewrite
from .inputs import by_group
from .local import CONNECTED_MODEL, model_widgets
from .shared import PackNode
from .video_files import file_of, new_file

if TYPE_CHECKING:
    from torch import Tensor

    from ..upscale_bridge.result import Result


class LocalESRGANUpscaleVideo(PackNode):
    """Upscales a video on this machine with any model that spandrel loads."""

    OPERATION = LocalUpscaleVideo
    DESCRIPTION = LocalUpscaleVideo.__doc__
    SEARCH_ALIASES: ClassVar = ["upscale video", "video super resolution", "enlarge video"]
    RETURN_TYPES = ("VIDEO", "STRING")
    RETURN_NAMES = ("video", "info")
    OUTPUT_TOOLTIPS = (
        "The enlarged video (MP4, H.264); Save Video stores it as it is.",
        "JSON: model, device, precision, frames, seconds and sizes.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 (ComfyUI's name)
        """Describe the inputs."""
        required, later = by_group(cls.OPERATION, model_widgets(cls.OPERATION))
        return {
            "required": {"video": ("VIDEO", {"tooltip": "A video of any length."}), **required},
            "optional": {**CONNECTED_MODEL, **later},
        }

    @classmethod
    def VALIDATE_INPUTS(  # noqa: N802 (ComfyUI's name)
        cls, model: Any = None, mixed_with: Any = None
    ) -> bool:
        """Accept models that are not listed: the run then says what is missing and what to do."""
        return True

    def upscale(self, video: Any, upscale_model: object = None, **values: Any) -> Any:
        """Run the operation; ComfyUI calls this with the widgets' values."""
        from comfy_api.latest import InputImpl

        with host.translated(), file_of(video) as source:
            operation = self.OPERATION(**values)
            monitor = progress.ComfyMonitor()
            found = video_io.look(source)
            if found.bits > 8:
                monitor.notice(f"The video has {found.bits} bits per channel; the result has 8.")
            run = partial(host.service().run, operation, descriptor=upscale_model)
            frames = _FrameRun(run, monitor, found.frames)
            target = new_file()
            size = operation.target(found.width, found.height)
            written = video_rewrite.rewrite(
                source, target, found, size, operation.crf, frames.change
            )
            if written.damaged:
                monitor.notice(f"{written.damaged} damaged parts of the video were left out.")
            result, before = frames.shown(written)
            monitor.finish(result.summary)
            outputs = InputImpl.VideoFromFile(str(target)), json.dumps(result.info)
            return results.shown(outputs, result, before)


class _FrameRun:
    """Passes frames through the operation, and keeps one of them to show."""

    def __init__(self, run: Any, monitor: Monitor, total: int) -> None:
        self._run, self._monitor, self._total = run, monitor, total
        self._started = time.monotonic()
        self._count = 0
        self._kept: list[tuple[Result, Tensor]] = []

    def change(self, pixels: Tensor) -> Tensor:
        """Return the enlarged `pixels` [1, height, width, 3]."""
        result: Result = self._run(pixels, _PartMonitor(self._monitor, self._count, self._total))
        if self._count in (0, self._total // 2):  # many videos begin in black
            self._kept = [(result, pixels)]
        self._count += 1
        self._monitor.status(self._told())
        return result.images

    def shown(self, written: video_rewrite.Written) -> tuple[Result, Tensor]:
        """Return what to show for the whole video: a result with one frame, and the original."""
        ((result, before),) = self._kept
        seconds = round(time.monotonic() - self._started, 3)
        names = ("model", "architecture", "device", "precision", "input_size", "size")
        info = {name: result.info[name] for name in names}
        info |= {"frames": written.frames, "damaged": written.damaged, "seconds": seconds}
        (width, height), (new_width, new_height) = info["input_size"], info["size"]
        summary = (
            f"{written.frames} frames, {width} x {height} -> {new_width} x {new_height} with "
            f"{info['model']}, {info['device']} {info['precision']}, {seconds:.1f} s"
        )
        return replace(result, info=info, summary=summary), before

    def _told(self) -> str:
        rate = self._count / max(time.monotonic() - self._started, 0.001)
        total = f" of about {self._total}" if self._total else ""
        return f"Frame {self._count}{total}, {rate:.2g} per second"


class _PartMonitor(Monitor):
    """Shows the progress of one frame as a part of the whole video's."""

    def __init__(self, whole: Monitor, index: int, total: int) -> None:
        self._whole, self._index, self._total = whole, index, max(total, index + 1)

    def check(self) -> None:
        self._whole.check()

    def status(self, text: str) -> None:
        if not self._index:  # of others the line about frames tells more
            self._whole.status(text)

    def notice(self, text: str) -> None:
        self._whole.notice(text)

    def progress(self, done: float, total: float) -> None:
        self._whole.progress(self._index + done / total, self._total)

    def preview(self, tile: Tensor) -> None:
        self._whole.preview(tile)
