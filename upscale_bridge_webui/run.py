"""One image of the WebUI through one operation."""

from __future__ import annotations

from PIL import Image

from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.params import Operation

from . import host, images


def run(
    operation: Operation, image: Image.Image, size: tuple[int, int] | None = None
) -> tuple[Image.Image, str]:
    """Return the result and one line about it.

    `size` (width, height) is that of a local result. Raises `UpscaleBridgeError`, and
    `StoppedError` after Interrupt or Skip.
    """
    with host.translated(), host.monitored() as monitor:
        monitor.check()
        try:
            exact = size if isinstance(operation, LocalUpscale) else None
            found = host.service().run(operation, images.to_tensor(image), monitor, size=exact)
        finally:
            host.memory().park()
        monitor.status(found.summary)
        return images.to_image(found.images[0]), found.summary
