"""What only the WebUI knows: folders, memory, progress, interruption and how errors are told."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules import devices, scripts, shared

from upscale_bridge.errors import (
    InvalidInputError,
    ModelNotFoundError,
    ProviderError,
    StoppedError,
    TaskError,
    TransportError,
    UnsupportedModelError,
    UpscaleError,
)
from upscale_bridge.monitor import Monitor
from upscale_bridge.service import Service
from upscale_bridge.texts import printable

from . import faces
from .options import chosen_settings
from .wording import reworded

if TYPE_CHECKING:
    import torch

log = logging.getLogger("upscale_bridge")

# The WebUI's folders of models that enlarge images, the one for downloads first.
_FOLDERS = (
    *("ESRGAN", "RealESRGAN", "BSRGAN", "DAT", "SwinIR", "ScuNET"),
    *("RCAN", "PLKSR", "HAT", "SRFormer", "GRL", "OmniSR", "SPAN", "COMPACT"),
)
_MANAGERS = ("backend.memory_management", "ldm_patched.modules.model_management")
_BAD_REQUEST = (InvalidInputError, ModelNotFoundError, UnsupportedModelError)
_BAD_GATEWAY = (ProviderError, TransportError, TaskError)


class UpscaleBridgeError(Exception):
    """An error of ours, in the form that the WebUI shows and its API answers."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(_quoted(message) if is_sdnext() else message)
        self.status_code, self.detail = status, message


def _quoted(message: str) -> str:
    """Return a message as SD.Next's page shows all of it.

    The page takes errors for infotexts and shows their parameters: what stands after a colon, up to
    a comma. Quotes keep a value whole, and some names with a colon and a space begin the parameters
    even inside them.
    """
    quoted = json.dumps(message, ensure_ascii=False).replace(": ", ":\N{NO-BREAK SPACE}")
    return f"Upscale Bridge: {quoted}"


@lru_cache(maxsize=1)
def service() -> Service:
    """Return the service with the WebUI's folders, memory and settings."""
    return Service(model_folders, memory, settings=chosen_settings, face_restorers=faces.restorers)


def model_folders() -> list[Path]:
    """Return all folders of upscale models, those named at the command line included."""
    from upscale_bridge.local.library import own_model_folder

    named = [getattr(shared.cmd_opts, f"{name.lower()}_models_path", None) for name in _FOLDERS]
    usual = [Path(shared.models_path, name) for name in _FOLDERS]
    found = [Path(path or folder) for path, folder in zip(named, usual, strict=True)]
    return [*dict.fromkeys([*found, *usual]), own_model_folder()]


@lru_cache(maxsize=1)
def memory() -> Any:
    """Return the memory policy that asks Forge's and reForge's managers for room."""
    from upscale_bridge.local.devices import Memory

    class WebUIMemory(Memory):
        def __init__(self) -> None:
            super().__init__()
            self.placed: set[torch.nn.Module] = set()

        def device(self) -> torch.device:
            return device()

        def free_bytes(self, device: torch.device) -> int | None:
            manager = _manager()
            if manager is None or device.type == "cpu":
                return super().free_bytes(device)
            return int(manager.get_free_memory(device))

        def make_room(self, size: int, device: torch.device) -> None:
            manager = _manager()
            if manager is not None:
                manager.free_memory(size, device)
            devices.torch_gc()

        def place(self, module: torch.nn.Module, device: torch.device) -> None:
            self.placed.add(module)
            module.to(device)

        def park(self) -> None:
            """Leave the device to the WebUI, which does not know of our models."""
            if device().type != "cpu":
                for module in self.placed:
                    module.to("cpu")
                devices.torch_gc()
            self.placed.clear()

    return WebUIMemory()


def device() -> torch.device:
    """Return where the host runs upscalers; SD.Next has one device for all."""
    chosen: torch.device = getattr(devices, "device_esrgan", None) or devices.device
    return chosen


def tile_size(otherwise: int) -> int:
    """Return the host's size of tiles, 0 for none; `otherwise` where it has no such setting."""
    for name in ("ESRGAN_tile", "upscaler_tile_size"):
        found = getattr(shared.opts, name, None)
        if found is not None:
            return int(found)
    return otherwise


def is_sdnext() -> bool:
    """Tell whether this is SD.Next.

    It passes names of entries and not their paths, keeps sizes as they come, does not announce an
    image to all scripts, and saves whatever they leave.
    """
    return "modules.scripts_manager" in sys.modules


def _manager() -> Any:
    """Return the host's memory manager; A1111 has none."""
    return next((sys.modules[name] for name in _MANAGERS if name in sys.modules), None)


def in_extras() -> bool:
    """Tell whether the Extras tab or its API is at work, not a generation."""
    names = {script.name for script in scripts.scripts_postproc.scripts or ()}
    return shared.state.job == "extras" or shared.state.job in names


class WebUIMonitor(Monitor):
    """The progress bar and its text; the Interrupt and Skip buttons."""

    def __init__(self, *, bar: bool) -> None:
        """`bar` is False inside a generation, whose sampler moves the bar."""
        self._bar = bar

    def check(self) -> None:
        if shared.state.interrupted or shared.state.skipped:
            raise StoppedError

    def status(self, text: str) -> None:
        shared.state.textinfo = text

    def notice(self, text: str) -> None:
        text = reworded(text)
        log.warning("Upscale Bridge: %s", printable(text))
        shared.state.textinfo = text

    def progress(self, done: float, total: float) -> None:
        if self._bar:
            shared.state.sampling_step = round(shared.state.sampling_steps * done / total)


@contextmanager
def monitored() -> Iterator[Monitor]:
    """Show the progress of one image."""
    state, bar = shared.state, in_extras()
    if not bar:
        yield WebUIMonitor(bar=False)
        return
    before = state.job_no, state.sampling_step, state.sampling_steps
    # The Extras tab counts an image as done when it begins with it.
    state.job_no, state.sampling_step, state.sampling_steps = max(state.job_no - 1, 0), 0, 1000
    try:
        yield WebUIMonitor(bar=True)
    finally:
        state.job_no, state.sampling_step, state.sampling_steps = before


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors into the WebUI's; a `StoppedError` passes.

    They come without their cause: reForge prints the local variables of every frame.
    """
    try:
        yield
    except StoppedError:
        raise
    except UpscaleError as error:
        log.debug("Upscale Bridge", exc_info=True)
        told = UpscaleBridgeError(reworded(str(error)), _status(error))
    else:
        return
    raise told from None


def _status(error: UpscaleError) -> int:
    """Return what the API answers with."""
    if isinstance(error, _BAD_REQUEST):
        return 422
    return 502 if isinstance(error, _BAD_GATEWAY) else 500
