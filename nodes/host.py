"""What only ComfyUI knows: folders, memory, progress, cancelling and how to say errors.

ComfyUI's modules are imported inside the functions, so that the pack imports and tests without it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..upscale_bridge.errors import OutOfMemoryError, SettingsError, StoppedError, UpscaleError
from ..upscale_bridge.monitor import Monitor
from ..upscale_bridge.service import Service
from ..upscale_bridge.storage.keys import Keys
from ..upscale_bridge.texts import printable

if TYPE_CHECKING:
    import torch

    from ..upscale_bridge.local.devices import Memory

log = logging.getLogger("upscale_bridge")  # the pack's own name here is its folder's path

T = TypeVar("T")

EVENT = "upscale_bridge.status"
"""What a node is doing: {"prompt": id of the run, "node": id with those of the subgraphs around it,
"text", "stays": whether later lines leave it there}."""

_LOOK_SECONDS = 0.1
_PREVIEW_SECONDS = 0.5
_PREVIEW_SIDE = 512


@lru_cache(maxsize=1)
def service() -> Service:
    """Return the service with ComfyUI's folders and memory manager."""
    return Service(model_folders, _memory, keys())


@lru_cache(maxsize=1)
def keys() -> Keys:
    """Return the keys, which lie in a folder of the user folder that ComfyUI serves to nobody."""
    return Keys(_private_folder)


def _private_folder() -> Path:
    import folder_paths

    # The rule of get_system_user_directory, which ComfyUI before 0.3.65 does not have.
    return Path(folder_paths.get_user_directory()) / "__upscale_bridge"


def model_folders() -> list[Path]:
    """Return all folders of upscale models, extra_model_paths.yaml included, then our own."""
    import folder_paths

    from ..upscale_bridge.local.library import own_model_folder

    return [*map(Path, folder_paths.get_folder_paths("upscale_models")), own_model_folder()]


def temporary_folder() -> Path:
    """Return our part of ComfyUI's temporary folder, which it empties itself and /view shows."""
    import folder_paths

    folder = Path(folder_paths.get_temp_directory(), "upscale_bridge")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"Cannot make {folder} ({error.strerror}); free some space or start ComfyUI with "
            "another --temp-directory."
        ) from error
    return folder


def _memory() -> Memory:
    """Return the memory policy that asks ComfyUI's manager for everything."""
    import comfy.model_management as manager
    from comfy.model_patcher import ModelPatcher

    from ..upscale_bridge.local.devices import Memory, bring

    class ComfyMemory(Memory):
        def device(self) -> torch.device:
            device: torch.device = manager.get_torch_device()
            return device

        def free_bytes(self, device: torch.device) -> int | None:
            return None if device.type == "cpu" else int(manager.get_free_memory(device))

        def make_room(self, size: int, device: torch.device) -> None:
            manager.free_memory(size, device)

        def place(self, module: torch.nn.Module, device: torch.device) -> None:
            if device.type != "cpu":
                # A patcher lets the manager evict the model when another one needs the room. It
                # lives as long as the module: the manager takes a lost patcher for a leak.
                if not hasattr(module, "upscale_bridge_patcher"):
                    offload = manager.unet_offload_device()
                    module.upscale_bridge_patcher = ModelPatcher(module, device, offload)
                manager.load_models_gpu([module.upscale_bridge_patcher])
            bring(module, device)  # newer managers leave foreign modules where they are

        def empty_cache(self, device: torch.device) -> None:
            manager.soft_empty_cache()

    return ComfyMemory()


def to_intermediate(images: torch.Tensor) -> torch.Tensor:
    """Bring a result to where, and into the number format in which, ComfyUI passes it on."""
    import comfy.model_management as manager

    device = manager.intermediate_device()
    if hasattr(manager, "intermediate_dtype"):  # ComfyUI 0.18 and newer
        return images.to(device, manager.intermediate_dtype())
    return images.to(device)


class ComfyMonitor(Monitor):
    """The node's progress bar, a preview of finished tiles, and the Cancel button."""

    def __init__(self) -> None:
        from comfy.utils import ProgressBar

        self._bar = ProgressBar(1000)
        self._done = 0
        self._said = ""
        self._shown = 0.0

    def check(self) -> None:
        import comfy.model_management as manager

        manager.throw_exception_if_processing_interrupted()

    def notice(self, text: str) -> None:
        log.warning("Upscale Bridge: %s", printable(text))
        _show_text(text, stays=True)

    def status(self, text: str) -> None:
        if text != self._said:
            self._said = text
            log.debug("Upscale Bridge: %s", printable(text))
            _show_text(text)

    def progress(self, done: float, total: float) -> None:
        self._done = round(1000 * done / total)
        self._bar.update_absolute(self._done, 1000)

    def preview(self, tile: torch.Tensor) -> None:
        if time.monotonic() - self._shown > _PREVIEW_SECONDS:
            self._bar.update_absolute(self._done, 1000, _preview(tile))
            self._shown = time.monotonic()

    def finish(self, summary: str, result: torch.Tensor) -> None:
        """Show what was done, and all of `result` [height, width, channels] where a tile was last:
        ComfyUI leaves the last preview on the node."""
        self.status(summary)
        if self._shown:
            step = max(1, max(result.shape[:2]) // (2 * _PREVIEW_SIDE))
            self._bar.update_absolute(self._done, 1000, _preview(result[::step, ::step]))


class Mailbox(Monitor):
    """What an operation on a thread of its own has to say, kept until the node reads it."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._latest: dict[str, tuple[Any, ...]] = {}
        self._notices: list[str] = []

    def check(self) -> None:
        if self.stopped.is_set():
            raise StoppedError

    def status(self, text: str) -> None:
        self._keep("status", text)

    def notice(self, text: str) -> None:
        with self._lock:
            self._notices.append(text)

    def progress(self, done: float, total: float) -> None:
        self._keep("progress", done, total)

    def preview(self, tile: torch.Tensor) -> None:
        self._keep("preview", tile)

    def deliver(self, monitor: Monitor) -> None:
        """Hand over what came since the last time."""
        with self._lock:
            latest, self._latest = self._latest, {}
            notices, self._notices = self._notices, []
        for text in notices:
            monitor.notice(text)
        for name, arguments in latest.items():
            getattr(monitor, name)(*arguments)

    def _keep(self, name: str, *arguments: Any) -> None:
        with self._lock:
            self._latest[name] = arguments


async def on_own_thread(work: Callable[[Monitor], T], shown: Monitor) -> T:
    """Return what `work` returns; other nodes run meanwhile, and `shown` is told how far it is.

    ComfyUI runs all nodes of a prompt in one event loop, which any other node may block: the work
    must not need the loop. A stop leaves the thread at once; it ends by itself.
    """
    mailbox = Mailbox()
    future: Future[T] = Future()

    def carry_out() -> None:
        try:
            future.set_result(work(mailbox))
        except BaseException as error:  # handed to the node
            future.set_exception(error)

    threading.Thread(target=carry_out, daemon=True).start()
    try:
        while not future.done():
            shown.check()
            mailbox.deliver(shown)
            await asyncio.sleep(_LOOK_SECONDS)
    finally:  # also when ComfyUI cancels the node because another one failed
        mailbox.stopped.set()
    mailbox.deliver(shown)
    return future.result()


def page_is_open() -> bool:
    """Tell whether a page is connected to ComfyUI's server."""
    from server import PromptServer

    return bool(getattr(getattr(PromptServer, "instance", None), "sockets", None))


def tell_page(event: str, data: dict[str, Any], page: str | None = None) -> None:
    """Send an event to one `page` or to every open one, where ComfyUI's server runs."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.send_sync(event, data, page)


def _show_text(text: str, *, stays: bool = False) -> None:
    """Show a line on the node that is running, in the page that asked for the run.

    ComfyUI's own progress text does not appear on the nodes of its newer design (1.35).
    """
    from comfy_execution.utils import get_executing_context
    from server import PromptServer

    context, server = get_executing_context(), getattr(PromptServer, "instance", None)
    if context is not None and server is not None and server.client_id:
        told = {"prompt": context.prompt_id, "node": context.node_id, "text": text, "stays": stays}
        tell_page(EVENT, told, server.client_id)


def _preview(tile: torch.Tensor) -> tuple[str, Any, int]:
    from PIL import Image

    from ..upscale_bridge.images.codecs import to_uint8

    array = to_uint8(tile)
    image = Image.fromarray(array[..., :3] if array.shape[-1] >= 3 else array[..., 0])
    return ("JPEG", image, _PREVIEW_SIDE)


@contextmanager
def translated() -> Iterator[None]:
    """Say our errors in ComfyUI's words: a stop is an interruption, the rest one sentence."""
    try:
        yield
    except StoppedError as error:
        from comfy.model_management import InterruptProcessingException

        raise InterruptProcessingException from error
    except OutOfMemoryError as error:
        import torch

        # ComfyUI unloads its models when it sees an exception of this class.
        raise torch.cuda.OutOfMemoryError(str(error)) from error
    except UpscaleError as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
