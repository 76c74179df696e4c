"""All vendors: a folder or module each, entered once in `ENTRIES`.

Their operations are imported from their own places, `from upscale_bridge.vendors.NAME import ...`;
those of the first three stand here as well.
"""

from ..contract.operation import RemoteOperation
from ..contract.server import ServerWire
from ..contract.vendor import Vendor
from . import novita, photio, wavespeed
from .novita import NovitaUpscale, NovitaUpscaleToResolution, NovitaUpscaleV2
from .photio import PhotioUpscale
from .wavespeed import (
    UpscaleBridgeLocal,
    WaveSpeedUpscale,
    WaveSpeedUpscaleAny,
    WaveSpeedUpscaleVideo,
)

ENTRIES = (
    novita.ENTRY,
    photio.ENTRY,
    wavespeed.ENTRY,
)
"""In the order in which hosts show them; each vendor's module or package makes its own."""

VENDORS: tuple[Vendor, ...] = tuple(entry.vendor for entry in ENTRIES)
OPERATIONS: tuple[type[RemoteOperation], ...] = tuple(
    operation for entry in ENTRIES for operation in entry.operations
)
"""Those on images."""
VIDEOS: tuple[type[RemoteOperation], ...] = tuple(
    operation for entry in ENTRIES for operation in entry.videos
)
ALL: tuple[type[RemoteOperation], ...] = tuple(
    operation for entry in ENTRIES for operation in (*entry.operations, *entry.videos, *entry.own)
)
"""Of images, of videos and of our own servers, as journal and lists of tasks know them."""
SERVERS: tuple[ServerWire, ...] = tuple(server for entry in ENTRIES for server in entry.servers)


def operation_named(name: str) -> type[RemoteOperation]:
    """Return the operation of a class name, as journal and queue store it; raises `KeyError`."""
    return {kind.__name__: kind for kind in ALL}[name]


def server_at(path: str) -> ServerWire | None:
    """Return the API of our server that an address belongs to."""
    below = f"{path}/"
    fitting = [
        (len(root), one)
        for one in SERVERS
        for root in one.roots
        if below.startswith(root if root.endswith("/") else f"{root}/")
    ]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def server_for(operation: str) -> ServerWire:
    """Return the API of our server that takes an operation, by its class name."""
    return next(one for one in SERVERS if operation in {kind.__name__ for kind in one.operations})


__all__ = [
    "ALL",
    "ENTRIES",
    "OPERATIONS",
    "SERVERS",
    "VENDORS",
    "VIDEOS",
    "NovitaUpscale",
    "NovitaUpscaleToResolution",
    "NovitaUpscaleV2",
    "PhotioUpscale",
    "UpscaleBridgeLocal",
    "WaveSpeedUpscale",
    "WaveSpeedUpscaleAny",
    "WaveSpeedUpscaleVideo",
    "operation_named",
    "server_at",
    "server_for",
]
