"""Show the page what a node has made: whether it was new, and the first image before and after.

Event `upscale_bridge.result`: {"node", "how", "size", "before", "after"}; the last two are files
for ComfyUI's /view, absent where the node had no image of its own.
"""

from __future__ import annotations

import logging
import secrets
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..upscale_bridge.errors import UpscaleError
from . import host

if TYPE_CHECKING:
    from torch import Tensor

    from ..upscale_bridge.service import Result

log = logging.getLogger("upscale_bridge")

EVENT = "upscale_bridge.result"
_FOLDER = "upscale_bridge"
_QUALITY = 92


def show(result: Result, before: Tensor | None = None) -> None:
    """Tell the page about a result; the node does not wait for the files.

    `before` is the node's image input [batch, height, width, channels].
    """
    node = host.node_with_page()
    if node is None:
        return
    told = {
        "node": node,
        "how": sorted({task["how"] for task in result.info.get("tasks", ())}),
        "size": list(result.info["size"]),
    }
    pair = None if before is None else (before[0].cpu(), result.images[0].cpu())
    threading.Thread(target=_tell, args=(told, pair), daemon=True).start()


def _tell(told: dict[str, Any], pair: tuple[Tensor, Tensor] | None) -> None:
    if pair is not None:
        try:
            told |= dict(zip(("before", "after"), map(_keep, pair), strict=True))
        except (UpscaleError, OSError):  # a full disk, say; the node's own result is safe
            log.warning("Upscale Bridge cannot show the result.", exc_info=True)
    host.tell_page(EVENT, told)


def _keep(pixels: Tensor) -> dict[str, str]:
    """Write an image into ComfyUI's temporary folder, which it empties itself."""
    import folder_paths

    from ..upscale_bridge import codecs

    if pixels.shape[-1] in (2, 4):
        pixels = pixels[..., :-1]
    name = f"{secrets.token_hex(8)}.jpg"
    folder = Path(folder_paths.get_temp_directory(), _FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(codecs.encode(pixels, "jpeg", quality=_QUALITY).data)
    return {"filename": name, "subfolder": _FOLDER, "type": "temp"}
