"""What a node's panel shows after a run: how it was made, and the first image before and after.

It is `upscale_bridge` in the node's `ui` output: {"how", "from", "size", "count", "frames",
"seconds", "cost", "before", "after"}. `how` lists what became of the tasks (new, joined, resumed,
reused) and "local" when this machine stood in for a service; `from` and `size` are (width, height)
of input and result; `count` is that of the images, `frames` that of a video's; `cost` is what the
run was said to cost. The last two are files for ComfyUI's /view. What is not known is absent.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any

from ..upscale_bridge.contract.pricing import money
from ..upscale_bridge.errors import UpscaleError
from . import host

if TYPE_CHECKING:
    from torch import Tensor

    from ..upscale_bridge.result import Result

log = logging.getLogger("upscale_bridge")

_QUALITY = 92


def shown(outputs: tuple[Any, ...], result: Result, before: Tensor | None = None) -> Any:
    """Return a node's outputs, with what its panel shows when a page is open.

    `before` is the node's image input [batch, height, width, channels].
    """
    if not host.page_is_open():
        return outputs
    info = result.info
    tasks = info.get("tasks", ())
    ways = {task["how"] for task in tasks}
    if "local" in info:
        ways.add("local")
    told: dict[str, Any] = {
        "how": sorted(ways),
        "from": list(info["input_size"]),
        "size": list(info["size"]),
        "count": len(result.images),
        "seconds": info["seconds"],
    }
    if "frames" in info:
        told["frames"] = info["frames"]
    if cost := sum(task.get("cost", 0.0) for task in tasks if task["how"] == "new"):
        told["cost"] = money(cost)
    if before is not None:
        try:
            told |= {"before": _keep(before[0]), "after": _keep(result.images[0])}
        except (UpscaleError, OSError):  # a full disk, say; the result itself is safe
            log.warning("Upscale Bridge cannot show the result.", exc_info=True)
    return {"ui": {"upscale_bridge": [told]}, "result": outputs}


def _keep(pixels: Tensor) -> dict[str, str]:
    """Write an image into ComfyUI's temporary folder, which it empties itself."""
    from ..upscale_bridge.images import codecs

    transparent = pixels.shape[-1] in (2, 4)
    format, ending = ("webp", "webp") if transparent else ("jpeg", "jpg")
    name = f"{secrets.token_hex(8)}.{ending}"
    folder = host.temporary_folder()
    (folder / name).write_bytes(codecs.encode(pixels, format, quality=_QUALITY).data)
    return {"filename": name, "subfolder": folder.name, "type": "temp"}
