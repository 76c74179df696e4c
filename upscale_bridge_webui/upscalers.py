"""Entries for the WebUI's lists of upscalers.

One for each local model, each remote operation, and each of an operation's models.
"""

from __future__ import annotations

import functools
import logging
from typing import Any, ClassVar

from modules import modelloader, script_callbacks, scripts, shared, upscaler
from PIL import Image

from upscale_bridge.contract.operation import RemoteOperation
from upscale_bridge.contract.sizing import reaching
from upscale_bridge.errors import StoppedError
from upscale_bridge.images.sizes import on_grid
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.params import Operation
from upscale_bridge.vendors import OPERATIONS

from . import extras, host, options
from .names import entry_name
from .operations import always, told
from .run import run

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

        Below a scale of 1 no model runs, as in the WebUI. SD.Next does not round, and passes the
        name of an entry. Raises `UpscaleBridgeError`.
        """
        wanted = on_grid(img.size, scale)
        if host.is_sdnext():
            wanted = int(img.width * scale), int(img.height * scale)
            paths = {one.name: one.data_path for one in shared.sd_upscalers}
            selected_model = paths.get(selected_model, selected_model)
        if scale >= 1:
            try:
                return _enlarged(img, scale, selected_model, wanted)
            except StoppedError:
                if host.in_extras():
                    extras.stop(_kind(selected_model))
            except Exception as error:
                if host.in_extras():
                    raise
                # It would throw away the image that is being generated.
                name = selected_model.removeprefix(_SCHEME).rstrip("/")
                log.exception("Upscale Bridge: Lanczos took the place of %s.", name)
                shared.state.textinfo = getattr(error, "detail", str(error))
        return _resized(img, wanted)

    def do_upscale(self, img: Image.Image, selected_model: str) -> Image.Image:
        """Return `img` enlarged by the factor that was asked for last."""
        return self.upscale(img, self.scale, selected_model)


def _enlarged(img: Image.Image, scale: float, path: str, wanted: tuple[int, int]) -> Image.Image:
    extras.refuse_entry()
    with host.translated():
        operation = chosen(path, img.width, img.height, scale)
    extras.refuse_frames(operation)
    found, summary = run(
        operation,
        img,
        # Another size may mean another scale, of which only the host knows.
        lambda other: operation if other.size == img.size else None,
        wanted,
    )
    found = _resized(found, wanted)
    extras.note(found, told(operation), summary)
    return found


def _resized(img: Image.Image, size: tuple[int, int]) -> Image.Image:
    return img if img.size == size else img.resize(size, Image.Resampling.LANCZOS)


def _kind(path: str) -> type[Operation]:
    """Return the operation that an entry's path names."""
    name = path.removeprefix(_SCHEME).split("/", 1)[0]
    return next((one for one in OPERATIONS if one.__name__ == name), LocalUpscale)


def chosen(path: str, width: int, height: int, scale: float) -> Operation:
    """Return the operation of an entry's path for an image and a scale of 1 or more."""
    kind, name = _kind(path), path.split("/", 2)[-1]
    if not issubclass(kind, RemoteOperation):
        # The WebUI's 0 means no tiles, ours means a size that fits.
        tile = host.tile_size(0) or _WHOLE
        factor = LocalUpscale.nearest_factor(scale)
        return LocalUpscale(model=name, scale_factor=factor, tile_size=tile)
    values = {"when_unavailable": options.value("when_unavailable"), **always(kind)}
    if name:
        values[kind.model_parameter] = name
    return reaching(kind, width, height, scale, **values)


def entries() -> list[upscaler.UpscalerData]:
    """Return all entries; their names are stored in infotexts and never change."""
    ours = BridgeUpscaler()
    models = [entry for entry in host.service().library.entries() if entry.path is not None]
    found = [
        upscaler.UpscalerData(
            entry_name(entry.name),
            f"{_SCHEME}{_LOCAL}/{entry.name}",
            ours,
            scale=entry.spec.scale if entry.spec and entry.spec.scale else 4,
        )
        for entry in models
    ]
    if options.value("list_remote"):
        found += [
            upscaler.UpscalerData(
                entry_name(kind.title, model), f"{_SCHEME}{kind.__name__}/{model}", ours, scale=4
            )
            for kind in OPERATIONS
            if kind.size_parameter
            for model in ("", *_models(kind))
        ]
    return found


def _models(kind: type[RemoteOperation]) -> tuple[str, ...]:
    """Return the models of a service that have entries of their own."""
    named = (item for item in kind.params() if item.name == kind.model_parameter)
    return next((item.choices for item in named), ())


def add() -> None:
    """Add the entries that are missing; reForge asks no subclass for its entries."""
    try:
        present = {data.name for data in shared.sd_upscalers}
        missing = {data.name: data for data in reversed(entries()) if data.name not in present}
        shared.sd_upscalers += reversed(missing.values())
    except Exception:  # the WebUI would not start
        log.exception("Upscale Bridge cannot list its upscalers.")


def stay() -> None:
    """Add the entries again whenever the host makes its list anew: SD.Next and Forge Neo have a
    button for that."""
    load = modelloader.load_upscalers
    if hasattr(load, "__wrapped__"):
        return

    @functools.wraps(load)
    def load_with_ours(*args: Any, **options: Any) -> Any:
        found = load(*args, **options)
        add()
        return found if found is None else [one.name for one in shared.sd_upscalers]

    modelloader.load_upscalers = load_with_ours
    for data in scripts.postprocessing_scripts_data:  # they may have a name of their own for it
        names = getattr(data.script_class.ui, "__globals__", {})
        if names.get("load_upscalers") is load:
            names["load_upscalers"] = load_with_ours


def register() -> None:
    """Add the entries whenever the WebUI builds its page."""

    def begin() -> None:
        add()
        stay()

    script_callbacks.on_before_ui(begin)
