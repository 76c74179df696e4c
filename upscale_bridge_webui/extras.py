"""One image on its way through the Extras tab: what else is on, and how a stop ends it.

The WebUI does one run at a time, so what is known of it stands here.
"""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from modules import progress, scripts, shared
from PIL import Image

from upscale_bridge.contract.operation import RemoteOperation
from upscale_bridge.params import Operation

from . import host, options
from .names import PREFIX

log = logging.getLogger("upscale_bridge")

TOLD, RESULT = "Upscale Bridge", "Upscale Bridge result"
"""What infotexts call the operation and what came of it."""

_NOTES = "upscale_bridge_notes"
_CONFLICT = 409  # what the API answers when another request has stopped this one
_TWICE = (
    f"An upscaler '{PREFIX}...' and the panel Upscale Bridge are both on: the image would be "
    "enlarged twice, and paid for twice where both are services. Set Upscaler 1 and Upscaler 2 to "
    "None, or switch the panel off."
)
_VIDEO = "The panel Upscale Bridge enlarges images, not videos; switch it off."


@dataclass
class _Run:
    panel: bool = False
    """The panel will enlarge the image."""
    video: bool = False
    """The image is a frame of a video."""
    stopped: bool = False
    """An entry's image was stopped, and the WebUI may keep what stands in its place."""
    notes: list[tuple[str, str]] = field(default_factory=list)
    """What entries have done to the image."""


_run = _Run()


def begin(pp: object, *, panel: bool) -> None:
    """Note what will happen to the next image `pp`; `panel` tells whether our panel is on.

    The WebUI gives back what it keeps of the same image and settings. What it keeps of a run that
    was stopped is dropped, or a task that was stopped would never be resumed.
    """
    _run.panel, _run.video, _run.notes = panel, _is_frame(pp), []
    if _run.stopped:
        _run.stopped = False
        scripts.scripts_postproc.image_changed()


def refuse_entry() -> None:
    """Raise `UpscaleBridgeError` where the panel would enlarge what an entry is about to."""
    if _run.panel and host.in_extras():
        raise host.UpscaleBridgeError(_TWICE, 422)


def refuse_panel(pp: Any) -> None:
    """Raise `UpscaleBridgeError` for what SD.Next hands to the panel too: an image on which an
    entry has been at work, and a video."""
    if pp.image is None:
        raise host.UpscaleBridgeError(_VIDEO, 422)
    if host.is_sdnext() and any(str(value).startswith(PREFIX) for value in pp.info.values()):
        kept = "What the upscaler has made is kept: alone it costs nothing in the next run."
        raise host.UpscaleBridgeError(f"{_TWICE} {kept}", 422)


def note(image: Image.Image, told: str, summary: str) -> None:
    """Note which image an entry has made in the Extras tab, and how, for its infotext."""
    if host.in_extras():
        _run.notes.append((told, summary))
        setattr(image, _NOTES, [(told, summary)])  # the WebUI may give it back without asking us


def infotext(image: Image.Image) -> dict[str, str]:
    """Return what the infotext says of what entries did to an image."""
    notes, _run.notes = _run.notes or getattr(image, _NOTES, []), []
    found: dict[str, str] = {}
    for number, (told, summary) in enumerate(notes, start=1):
        end = f" {number}" if number > 1 else ""
        found |= {f"{TOLD}{end}": told, f"{RESULT}{end}": summary}
    return found


def stop(operation: type[Operation]) -> None:
    """End an image that was stopped: nothing of it is shown or saved, and one sentence says so.

    Raises `UpscaleBridgeError` for the API, and in hosts that save whatever a script leaves.
    """
    text = "Stopped; nothing was saved."
    if issubclass(operation, RemoteOperation):
        text += (
            " A task that the service has accepted goes on there: the next run of the same image "
            "and settings fetches its result and is not billed again."
        )
    if progress.current_task is None or host.is_sdnext():
        shared.state.end()  # the API leaves it at an error's place
        raise host.UpscaleBridgeError(text, _CONFLICT) from None
    _run.stopped = shared.state.skipped = True
    log.info("Upscale Bridge: %s", text)
    gr.Info(text)


def refuse_frames(operation: Operation) -> None:
    """Raise `UpscaleBridgeError` where a frame would be paid for without the user's word.

    Forge Neo hands over a video frame by frame.
    """
    if not (_run.video and host.in_extras() and isinstance(operation, RemoteOperation)):
        return
    free = host.service().client.hosts.is_private(operation.vendor)
    if not free and not options.value("pay_for_frames"):
        raise host.UpscaleBridgeError(
            f"This is a video of {shared.state.job_count} frames, and each would be a payment to "
            f"{operation.vendor.title}. Use a model of this machine, or allow it in Settings / "
            "Upscale Bridge (Pay for frames).",
            422,
        )


def _is_frame(pp: object) -> bool:
    if getattr(getattr(pp, "shared", None), "is_video", False):
        return True
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_name != "run_postprocessing_video":
        frame = frame.f_back
    return frame is not None
