"""A remote operation done on this machine: by our server, and elsewhere without the service.

Factors and presets are one run of a model. Novita v2 is what the WebUI's Extras tab does, rounding
down to multiples of 8 px and black borders of a crop included (modules/upscaler.py and
scripts/postprocessing_upscale.py of AUTOMATIC1111's WebUI).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .errors import ModelNotFoundError, UnsupportedModelError
from .local.catalogue import find_spec
from .local.operation import SHIPPED_MODEL, LocalUpscale
from .monitor import Monitor
from .remote.choices import ANY_MODEL, DOWNLOAD, ERROR, RUN_LOCALLY
from .remote.provider import RemoteOperation
from .remote.providers import NovitaUpscaleV2
from .remote.providers.novita_v2 import PLAIN
from .service import Result
from .sizes import Size, rounded_down

if TYPE_CHECKING:
    from torch import Tensor

    from .local.library import Library
    from .service import Service

Models = Mapping[str, str]
"""Which model that is here does the work of which one that was asked for."""


def asked_for(operation: RemoteOperation) -> tuple[str, ...]:
    """Return the local names of the models that an operation asks for."""
    return tuple(name or SHIPPED_MODEL for name in operation.models())


def needed(operation: RemoteOperation, size: Size) -> tuple[str, ...]:
    """Return those that it needs for an image of this size: below a factor of 1 none."""
    return asked_for(operation) if operation.factor(*size) >= 1 else ()


def missing(library: Library, operation: RemoteOperation, size: Size) -> list[str]:
    """Return those of them that are not on this machine."""
    return [name for name in needed(operation, size) if library.find(name) is None]


def works(library: Library, operation: RemoteOperation, size: Size, when: str) -> bool:
    """Tell whether `when`, a choice of when_unavailable, would bring a result here."""
    if when == ERROR or operation.only_there():
        return False
    absent = missing(library, operation, size)
    if when == DOWNLOAD:
        return all(find_spec(name) is not None for name in absent)
    return not absent or when == ANY_MODEL


def other_ways(library: Library, operation: RemoteOperation, size: Size) -> list[str]:
    """Return the choices of when_unavailable that would bring a result, where the set one does not.

    Where the first is enough it stands alone.
    """
    if works(library, operation, size, operation.when_unavailable):
        return []
    choices = (RUN_LOCALLY, DOWNLOAD, ANY_MODEL)
    ways = [when for when in choices if works(library, operation, size, when)]
    return ways[:1] if RUN_LOCALLY in ways else ways


def advised(ways: list[str]) -> str:
    """Return the advice to choose one of `ways`, which begins in the middle of a sentence."""
    return f"set when_unavailable to {' or '.join(map(repr, ways))}"


def candidates(library: Library, name: str) -> list[str]:
    """Return what can do the work of `name` here, best first: itself, others, the shipped one.

    Others are known models for the same kind of picture; what a model is for that nobody knows
    cannot be told.
    """
    found = [name] if library.find(name) is not None else []
    spec = find_spec(name)
    if spec is not None:
        tags = set(spec.tags)
        paths = [entry.path for entry in library.entries() if entry.path is not None]
        known = [find_spec(path.name) or find_spec(path.stem) for path in paths]
        alike = [one for one in known if one not in (None, spec) and tags & set(one.tags)]
        alike.sort(key=lambda one: (-len(tags & set(one.tags)), one.scale != spec.scale))
        found += [one.name for one in alike]
    return [*dict.fromkeys([*found, SHIPPED_MODEL])]


def choose(service: Service, operation: RemoteOperation, size: Size, monitor: Monitor) -> Models:
    """Return the models that do an operation here, as its when_unavailable has it.

    Raises `ModelNotFoundError`, or `UnsupportedModelError` for a file that is no model.
    """
    when, models = operation.when_unavailable, {}
    for name in needed(operation, size):
        if when == ANY_MODEL:
            models[name] = _first_sound(service, name, monitor)
        else:
            _require(service.library, name, may_download=when == DOWNLOAD)
            models[name] = name
    return models


def _require(library: Library, name: str, *, may_download: bool) -> None:
    if library.find(name) is not None:
        return
    spec = library.known(name, otherwise=advised([ANY_MODEL]))
    if not may_download:
        raise ModelNotFoundError(
            f"{spec.name} is not on this machine. Fetch it by `upscale-bridge models download "
            f"{spec.name}` ({spec.terms}), or {advised([DOWNLOAD, ANY_MODEL])}."
        )


def _first_sound(service: Service, name: str, monitor: Monitor) -> str:
    """Return the first candidate whose file can be loaded; the shipped one always can."""
    *others, last = candidates(service.library, name)
    for other in others:
        try:
            service.library.load(other, monitor)
        except UnsupportedModelError as error:
            monitor.notice(str(error))
        else:
            return other
    return last


def described(models: Models) -> str:
    """Return which models do the work, and in place of which others."""
    parts = []
    for name, model in models.items():
        parts.append(model if model == name else f"{model} in place of {name}")
        spec = find_spec(model)
        if model != name and spec is not None and not spec.commercial_use:
            parts[-1] += f" (licence {spec.licence}: no commercial use)"
    return " and ".join(parts)


def carry_out(
    service: Service,
    operation: RemoteOperation,
    images: Tensor,
    monitor: Monitor,
    models: Models,
) -> Result:
    """Do an operation to `images` [batch, height, width, 1 to 4 channels] with these models.

    Returns float32 [batch, height', width', channels], of the operation's target. Raises an
    `UpscaleError`, or what `monitor` raises.
    """
    if isinstance(operation, NovitaUpscaleV2):
        return _extras(service, operation, images, monitor, models)
    height, width = images.shape[1:3]
    (name,) = needed(operation, (width, height))
    size = operation.target(width, height)
    local = _local(operation, models[name], operation.factor(width, height))
    return service.run(local, images, monitor, size=size)


def _local(operation: RemoteOperation, model: str, factor: float) -> LocalUpscale:
    # The size is what was promised; tiny images may need more than the largest factor.
    return LocalUpscale(
        model=model,
        scale_factor=LocalUpscale.nearest_factor(factor),
        download=operation.when_unavailable == DOWNLOAD,
    )


def _extras(
    service: Service,
    operation: NovitaUpscaleV2,
    images: Tensor,
    monitor: Monitor,
    models: Models,
) -> Result:
    """Return what the Extras tab makes of images: one or two upscalers, blended and cropped."""
    from .local.resample import centre

    height, width = images.shape[1:3]
    done = [
        _upscaler(service, operation, name, images, monitor, models)
        for name in operation.upscalers()
    ]
    size = operation.target(width, height)
    if not done:
        return Result(_clean(images), {"model": "no upscaler"}, "")
    pixels = done[0].images
    if len(done) > 1:
        share = operation.extras_upscaler_2_visibility
        pixels = pixels * (1 - share) + done[1].images * share
    if not operation.keeps_aspect():
        pixels = _each(pixels, lambda image: centre(image, *size))
    used = " and ".join(str(one.info["model"]) for one in done)
    return Result(pixels, {**done[0].info, "model": used}, "")


def _upscaler(
    service: Service,
    operation: NovitaUpscaleV2,
    name: str,
    images: Tensor,
    monitor: Monitor,
    models: Models,
) -> Result:
    """Return what one upscaler of the WebUI makes of images."""
    from .local.resample import nearest, resize

    shape = images.shape[2], images.shape[1]
    factor, size = operation.factor(*shape), operation.covered(*shape)
    if factor >= 1 and name not in PLAIN:
        model = models[operation.local_model(name)]
        return service.run(_local(operation, model, factor), images, monitor, size=size)
    monitor.check()
    if factor < 1:
        name = "Lanczos"  # whatever was asked for
    way = nearest if name == "Nearest" else resize
    first = rounded_down(shape, max(factor, 1.0))  # the WebUI's own; the grid comes after it

    def change(image: Tensor) -> Tensor:
        monitor.check()
        return resize(way(image, *first), *size)

    return Result(_each(_clean(images), change), {"model": name}, "")


def _clean(images: Tensor) -> Tensor:
    """Return float32 in 0..1 on the CPU, without NaN."""
    return images.cpu().float().nan_to_num(nan=0.0).clamp(0.0, 1.0)


def _each(images: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    made = [change(image) for image in images]
    result = made[0].new_empty((len(made), *made[0].shape))
    for place, one in zip(result, made, strict=True):
        place.copy_(one)
    return result
