"""What a node tells of its work: progress, lines, finished tiles; and that it should stop."""

from __future__ import annotations

import asyncio
import base64
import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from ..upscale_bridge.errors import StoppedError
from ..upscale_bridge.monitor import Monitor
from ..upscale_bridge.texts import printable
from .host import tell_page

if TYPE_CHECKING:
    import torch

log = logging.getLogger("upscale_bridge")  # the pack's own name here is its folder's path

T = TypeVar("T")

EVENT = "upscale_bridge.status"
"""What a node is doing: {"prompt": id of the run, "node": id with those of the subgraphs around it,
"text", "stays": whether later lines leave it there}."""
PREVIEW = "upscale_bridge.preview"
"""A finished tile: {"prompt", "node", "image": a JPEG as a data: address}."""

_LOOK_SECONDS = 0.1
_PREVIEW_SECONDS = 0.5
_PREVIEW_SIDE = 512
_PREVIEW_QUALITY = 80


class ComfyMonitor(Monitor):
    """The node's progress bar, a line and finished tiles in its panel, and the Cancel button."""

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
        _tell_node(EVENT, text=text, stays=True)

    def status(self, text: str) -> None:
        if text != self._said:
            self._said = text
            log.debug("Upscale Bridge: %s", printable(text))
            _tell_node(EVENT, text=text, stays=False)

    def progress(self, done: float, total: float) -> None:
        self._done = round(1000 * done / total)
        self._bar.update_absolute(self._done, 1000)

    def preview(self, tile: torch.Tensor) -> None:
        if time.monotonic() - self._shown > _PREVIEW_SECONDS:
            _tell_node(PREVIEW, image=_address(tile))
            self._shown = time.monotonic()

    def finish(self, summary: str) -> None:
        """Note what was done; the panel draws its own line of the node's `ui` output."""
        log.info("Upscale Bridge: %s", printable(summary))


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


def _tell_node(event: str, **data: Any) -> None:
    """Tell of the node that is running, in the page that asked for the run.

    ComfyUI's own progress text does not appear on the nodes of its newer design (1.35), and its own
    preview stays on the node after the run, below the result, captioned with its own size.
    """
    from comfy_execution.utils import get_executing_context
    from server import PromptServer

    context, server = get_executing_context(), getattr(PromptServer, "instance", None)
    if context is not None and server is not None and server.client_id:
        place = {"prompt": context.prompt_id, "node": context.node_id}
        tell_page(event, {**place, **data}, server.client_id)


def _address(tile: torch.Tensor) -> str:
    """Return a small picture of a tile [height, width, channels] as an address."""
    from ..upscale_bridge.images import codecs

    step = math.ceil(max(tile.shape[:2]) / _PREVIEW_SIDE)
    colours = tile[::step, ::step, : 3 if tile.shape[-1] >= 3 else 1]
    data = codecs.encode(colours, "jpeg", quality=_PREVIEW_QUALITY).data
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()
