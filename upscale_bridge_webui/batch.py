"""Batches of the Extras tab and its API: images are sent to a service before their turn.

The WebUI works on one image after the other, and a service would be waited for once for each. It
holds a list, though, which stands in the frames that called us; nothing of it is changed. As many
images are under way as the settings allow, and every one is run once: when its turn comes it is
given what came of that run, be it an error.
"""

from __future__ import annotations

import hashlib
import inspect
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from modules import images as host_images
from PIL import Image

from upscale_bridge.contract.operation import RemoteOperation
from upscale_bridge.errors import StoppedError, UpscaleError
from upscale_bridge.monitor import Monitor
from upscale_bridge.params import Operation
from upscale_bridge.result import Result

from . import host, images

if TYPE_CHECKING:
    from torch import Tensor

Choose = Callable[[Image.Image], "Operation | None"]
"""Tells what will be done to another image of a batch; None when that is not known."""

_LOOK_SECONDS = 0.1


class _Mailbox(Monitor):
    """What a run has to say until its turn comes, and whether it should stop."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.said, self.done = "", (0.0, 1.0)

    def check(self) -> None:
        if self.stopped.is_set():
            raise StoppedError

    def status(self, text: str) -> None:
        self.said = text

    def notice(self, text: str) -> None:
        self.said = text

    def progress(self, done: float, total: float) -> None:
        self.done = done, total


@dataclass
class _Run:
    """An image that was sent before its turn."""

    monitor: _Mailbox = field(default_factory=_Mailbox)
    future: Future[Result | str] = field(default_factory=Future)
    """What came of it, or one line about it where it was kept, and can be read again."""


class Batch:
    """The runs of one list of images; the WebUI works on one list at a time."""

    def __init__(self) -> None:
        self._list: Sequence[object] | None = None
        self._reached: dict[RemoteOperation, int] = {}
        self._runs: dict[str, _Run] = {}

    def run(
        self, operation: RemoteOperation, image: Image.Image, choose: Choose, monitor: Monitor
    ) -> Result:
        """Return what the service makes of `image`, and send those that follow it meanwhile.

        Raises an `UpscaleError`, or what `monitor` raises; nothing more is sent then.
        """
        pixels = images.to_tensor(image)
        try:
            self._send_ahead(operation, image, choose, monitor)
            run = self._runs.pop(_name(operation, pixels), None)
            found = _await(run, monitor) if run is not None else ""
            if isinstance(found, Result):
                return found
            again = host.service().run(operation, pixels, monitor)
            return replace(again, summary=found or again.summary)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Send nothing more; what was accepted is resumed by the next run of the same."""
        for run in self._runs.values():
            run.monitor.stopped.set()
        self._runs.clear()
        self._list = None

    def _send_ahead(
        self, operation: RemoteOperation, image: Image.Image, choose: Choose, monitor: Monitor
    ) -> None:
        client, found = host.service().client, _coming()
        if found is None or len(found[0]) == 1 or client.hosts.lacks_key(operation.vendor):
            return
        listed, place, read = found
        if self._list is not listed:
            self.stop()
            self._list, self._reached = listed, {}
        if operation not in self._reached:
            # What follows is sent only if this image is read here as the WebUI has read it.
            self._reached[operation] = place if _same(read(place), image) else len(listed)
        ahead = place + client.settings().concurrency
        for index in range(max(self._reached[operation], place) + 1, min(ahead, len(listed))):
            monitor.check()
            self._reached[operation] = index
            other = read(index)
            wanted = choose(other) if other is not None else None
            if isinstance(wanted, RemoteOperation):
                self._send(wanted, other)
        if place + 1 == len(listed):
            self._list = None  # it may be large

    def _send(self, operation: RemoteOperation, image: object) -> None:
        try:
            pixels = images.to_tensor(image)
        except UpscaleError:  # told when its turn comes
            return
        run = _Run()
        if self._runs.setdefault(_name(operation, pixels), run) is run:
            work = (run, operation, pixels)
            threading.Thread(target=_carry_out, args=work, daemon=True).start()


def _carry_out(run: _Run, operation: RemoteOperation, pixels: Tensor) -> None:
    try:
        found = host.service().run(operation, pixels, run.monitor)
    except BaseException as error:  # handed over when its turn comes
        run.future.set_exception(error)
    else:
        # Many large results would fill the memory; those of a service lie on the disk.
        run.future.set_result(found if "local" in found.info else found.summary)


def _await(run: _Run, monitor: Monitor) -> Result | str:
    """Return what came of a run, showing how far it is."""
    while not run.future.done():
        try:
            monitor.check()
        except BaseException:
            run.monitor.stopped.set()
            raise
        monitor.progress(*run.monitor.done)
        monitor.status(run.monitor.said)
        time.sleep(_LOOK_SECONDS)
    return run.future.result()


def _name(operation: RemoteOperation, pixels: Tensor) -> str:
    about = f"{operation}\0{tuple(pixels.shape)}\0".encode()
    return hashlib.sha256(about + pixels.numpy().tobytes()).hexdigest()


def _same(one: Image.Image | None, other: Image.Image) -> bool:
    if one is None or (one.mode, one.size) != (other.mode, other.size):
        return False
    return one.tobytes() == other.tobytes()


def _coming() -> tuple[Sequence[object], int, Callable[[int], Image.Image | None]] | None:
    """Return the list that the WebUI goes through, the place of the image at hand in it, and what
    reads an image as the WebUI will; None where there is no such list."""
    frame = inspect.currentframe()
    while frame is not None:
        values = frame.f_locals
        if frame.f_code.co_name == "run_postprocessing" and "data_to_process" in values:
            listed, now = values["data_to_process"], values.get("image_placeholder")
            return _placed(listed, [one for one, _ in listed], now, _read)
        if frame.f_code.co_name == "process_images" and "image_data" in values:  # SD.Next
            listed = values["image_data"]
            return _placed(listed, listed, values.get("image"), _read_rgb)
        frame = frame.f_back
    return None


def _placed(
    listed: Sequence[object], items: Sequence[object], now: object, read: Callable[[Any], Any]
) -> tuple[Sequence[object], int, Callable[[int], Image.Image | None]] | None:
    places = [index for index, one in enumerate(items) if one is now]
    return (listed, places[0], lambda index: read(items[index])) if places else None


def _read(item: Any) -> Image.Image | None:
    try:
        image: Image.Image = host_images.read(item) if isinstance(item, str) else item
    except Exception:  # the WebUI leaves it out
        return None
    return image if image.mode in ("RGBA", "RGB") else image.convert("RGB")


def _read_rgb(item: Any) -> Image.Image | None:
    return item.convert("RGB") if isinstance(item, Image.Image) else None
