"""One image of the WebUI through one operation, and what its infotext says of that."""

from __future__ import annotations

from typing import Any

from PIL import Image

from upscale_bridge.contract.operation import RemoteOperation
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.params import Operation, Param

from . import host, images

_NOT_TOLD = ("when_too_large", "when_unavailable", "attempt", "download")


def always(kind: type[Operation]) -> dict[str, Any]:
    """Return what every run from the WebUI says: it has no place for the address of an image."""
    return dict(kind.without_address) if issubclass(kind, RemoteOperation) else {}


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


def parameters(kind: type[Operation]) -> list[Param]:
    """Return the parameters that the WebUI shows."""
    hidden = kind.client_only if issubclass(kind, RemoteOperation) else ()  # the image is the tab's
    return [item for item in kind.params() if item.name not in hidden]


def told(operation: Operation) -> str:
    """Return what an image's infotext says about an operation."""
    kind = type(operation)
    values = {
        item.name: getattr(operation, item.name)
        for item in parameters(kind)
        if item.name not in _NOT_TOLD
    }
    listed = ", ".join(f"{name} {value}" for name, value in values.items() if value != "")
    return f"{kind.title}: {listed}"
