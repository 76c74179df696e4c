"""One image of the WebUI through one operation."""

from __future__ import annotations

from PIL import Image

from upscale_bridge.contract.operation import RemoteOperation
from upscale_bridge.params import Operation

from . import host, images
from .batch import Batch, Choose

_batch = Batch()


def run(
    operation: Operation,
    image: Image.Image,
    choose: Choose,
    size: tuple[int, int] | None = None,
) -> tuple[Image.Image, str]:
    """Return the result and one line about it.

    `choose` tells what will be done to the other images of a batch; `size` (width, height) is that
    of a local result. Raises `UpscaleBridgeError`, and `StoppedError` after Interrupt or Skip.
    """
    with host.translated(), host.monitored() as monitor:
        monitor.check()
        try:
            if isinstance(operation, RemoteOperation):
                found = _batch.run(operation, image, choose, monitor)
            else:
                found = host.service().run(operation, images.to_tensor(image), monitor, size=size)
        finally:
            host.memory().park()
        monitor.status(found.summary)
        return images.to_image(found.images[0]), found.summary
