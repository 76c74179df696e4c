"""One image on its way through the Extras tab, and how a stop ends it.

The WebUI does one run at a time, so what is known of it stands here.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import gradio as gr
from modules import progress, scripts, scripts_postprocessing, shared

from upscale_bridge.contract.operation import RemoteOperation
from upscale_bridge.params import Operation

from . import host

log = logging.getLogger("upscale_bridge")

_CONFLICT = 409  # what the API answers when another request has stopped this one


@dataclass
class _Run:
    stopped: bool = False
    """An entry's image was stopped, and the WebUI may keep what stands in its place."""


_run = _Run()


def begin() -> None:
    """Begin with the next image.

    The WebUI gives back what it keeps of the same image and settings. What it keeps of a run that
    was stopped is dropped, or a task that was stopped would never be resumed.
    """
    if _run.stopped:
        _run.stopped = False
        scripts.scripts_postproc.image_changed()


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
    if progress.current_task is None or not _announces():
        raise host.UpscaleBridgeError(text, _CONFLICT) from None
    _run.stopped = shared.state.skipped = True
    log.info("Upscale Bridge: %s", text)
    gr.Info(text)


def _announces() -> bool:
    """Tell whether the host announces an image to all scripts before any of them works on it.

    Those that do leave out an image that was skipped.
    """
    return hasattr(scripts_postprocessing.ScriptPostprocessing, "process_firstpass")
