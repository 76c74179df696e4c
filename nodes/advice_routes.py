"""What a node can say before it runs.

POST /upscale_bridge/advice    {"node": "NovitaUpscale", "values": {...}, "size": [width, height]}

`values` are those of its widgets, `size` that of the image or null.
"""

from __future__ import annotations

from typing import Any

from ..upscale_bridge.contract.http import Json
from ..upscale_bridge.errors import InvalidInputError
from ..upscale_bridge.params import Operation
from ..upscale_bridge.preflight import advise
from . import host, remote, remote_video
from .extras import LocalUpscaleExtras
from .http import PREFIX, Handler, telling
from .local import LocalESRGANUpscale
from .video import LocalESRGANUpscaleVideo

_NODES: tuple[Any, ...] = (
    LocalESRGANUpscale,
    LocalESRGANUpscaleVideo,
    LocalUpscaleExtras,
    *remote.NODES,
    *remote_video.NODES,
)
KINDS: dict[str, type[Operation]] = {node.__name__: node.OPERATION for node in _NODES}


def advice(body: Json) -> Json:
    """Return the advice on one node."""
    return advise(host.service(), operation_of(body), _size(body.get("size"))).as_dict()


def operation_of(body: Json) -> Operation:
    """Return what a node would run; raises `InvalidInputError`."""
    kind, values = KINDS.get(str(body.get("node"))), body.get("values")
    if kind is None or not isinstance(values, dict):
        raise InvalidInputError("node", "There is no such node.")
    known = {item.name for item in kind.params()}
    return kind(**{name: value for name, value in values.items() if name in known})


def _size(value: object) -> tuple[int, int] | None:
    match value:
        case [int(width), int(height)] if width > 0 and height > 0:
            return width, height
    return None


ROUTES: dict[tuple[str, str], Handler] = {("POST", f"{PREFIX}/advice"): telling(advice)}
