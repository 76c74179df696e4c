"""Entries for the WebUI's lists of upscalers: one per local model, one per remote operation."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from modules import script_callbacks, shared, upscaler
from PIL import Image

from upscale_bridge.contract.sizing import reaching
from upscale_bridge.errors import StoppedError
from upscale_bridge.images.sizes import on_grid
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.params import Operation
from upscale_bridge.vendors import OPERATIONS

from . import extras, host, options
from .names import PREFIX
from .run import always, run

log = logging.getLogger("upscale_bridge")

_SCHEME = "upscale-bridge/"  # begins the paths of all entries
_LOCAL = LocalUpscale.__name__
_WHOLE = 4096  # a tile side that no tile of these models exceeds


class BridgeUpscaler(upscaler.Upscaler):  # type: ignore[misc]
    """What all entries call; it does in one run what the WebUI's own does in up to three."""

    scalers: ClassVar[list[Any]] = []  # the WebUI's own scan adds none, `register` does

    def __init__(self, dirname: str | None = None) -> None:
        """`dirname` is what the WebUI passes."""
        super().__init__(create_dirs=False)

    def upscale(self, img: Image.Image, scale: float, selected_model: str = "") -> Image.Image:
        """Return `img` enlarged, its sides rounded down to multiples of 8 as the WebUI does.

        Below a scale of 1 no model runs, as in the WebUI. Raises `UpscaleBridgeError`.
        """
        wanted = on_grid(img.size, scale)
        if scale >= 1:
            try:
                extras.refuse_entry()
                with host.translated():
                    operation = chosen(selected_model, img.width, img.height, scale)
                img, _ = run(operation, img, wanted)
            except StoppedError:
                if host.in_extras():
                    extras.stop(type(operation))
            except Exception as error:
                if host.in_extras():
                    raise
                # It would throw away the image that is being generated.
                name = selected_model.removeprefix(_SCHEME).rstrip("/")
                log.exception("Upscale Bridge: Lanczos took the place of %s.", name)
                shared.state.textinfo = str(error)
        return img if img.size == wanted else img.resize(wanted, upscaler.LANCZOS)

    def do_upscale(self, img: Image.Image, selected_model: str) -> Image.Image:
        """Return `img` enlarged by the factor that was asked for last."""
        return self.upscale(img, self.scale, selected_model)


def chosen(path: str, width: int, height: int, scale: float) -> Operation:
    """Return the operation of an entry's path for an image and a scale of 1 or more."""
    kind, name = path.removeprefix(_SCHEME).split("/", 1)
    if kind == _LOCAL:
        # The WebUI's 0 means no tiles, ours means a size that fits.
        tile = int(getattr(shared.opts, "ESRGAN_tile", 0)) or _WHOLE
        factor = LocalUpscale.nearest_factor(scale)
        return LocalUpscale(model=name, scale_factor=factor, tile_size=tile)
    operation = next(one for one in OPERATIONS if one.__name__ == kind)
    unavailable = options.value("when_unavailable")
    values = {"when_unavailable": unavailable, **always(operation)}
    return reaching(operation, width, height, scale, **values)


def entries() -> list[upscaler.UpscalerData]:
    """Return all entries; their names are stored in infotexts and never change."""
    ours = BridgeUpscaler()
    models = [entry for entry in host.service().library.entries() if entry.path is not None]
    found = [
        upscaler.UpscalerData(
            PREFIX + entry.name,
            f"{_SCHEME}{_LOCAL}/{entry.name}",
            ours,
            scale=entry.spec.scale if entry.spec and entry.spec.scale else 4,
        )
        for entry in models
    ]
    if options.value("list_remote"):
        found += [
            upscaler.UpscalerData(PREFIX + kind.title, f"{_SCHEME}{kind.__name__}/", ours, scale=4)
            for kind in OPERATIONS
            if kind.size_parameter
        ]
    return found


def add() -> None:
    """Add the entries that are missing; reForge asks no subclass for its entries."""
    try:
        present = {data.name for data in shared.sd_upscalers}
        missing = {data.name: data for data in reversed(entries()) if data.name not in present}
        shared.sd_upscalers += reversed(missing.values())
    except Exception:  # the WebUI would not start
        log.exception("Upscale Bridge cannot list its upscalers.")


def register() -> None:
    """Add the entries whenever the WebUI builds its page."""
    script_callbacks.on_before_ui(add)
