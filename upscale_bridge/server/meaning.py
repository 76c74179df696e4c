"""What the vendors' operations mean here: each is done by the local engine.

Factors give exact sizes; 2k, 4k and 8k are long edges of 2048, 4096 and 8192 px and never shrink.
Where a vendor's model is not known, this server's own takes its place. Novita v2 does what the
WebUI's Extras tab does, rounding down to multiples of 8 px and black borders of a crop included
(scripts/postprocessing_upscale.py of AUTOMATIC1111's WebUI). Faces are not restored and nothing is
checked for decency: requests for the first are refused, for the second answered with null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import codecs
from ..errors import InvalidInputError
from ..local.operation import SHIPPED_MODEL, LocalUpscale
from ..monitor import Monitor
from ..pictures import Picture
from ..remote.provider import RemoteOperation
from ..remote.providers import NovitaUpscaleV2
from ..service import Service

if TYPE_CHECKING:
    from torch import Tensor

_BLOCK = 16  # sides of what JPEG packs together with subsampled colours


def check_input(width: int, height: int, most_megapixels: int = 0) -> None:
    """Raise `InvalidInputError` for an image of more pixels than a key may send; 0: any."""
    most = min(most_megapixels * 1_000_000 or codecs.MOST_PIXELS, codecs.MOST_PIXELS)
    if width * height > most:
        raise InvalidInputError(
            "image",
            f"The image has {width} x {height} px, more than {most / 1e6:.0f} million; make it "
            "smaller.",
        )


def check(
    service: Service,
    operation: RemoteOperation,
    width: int,
    height: int,
    most_megapixels: int = 0,
) -> None:
    """Raise `InvalidInputError` for what cannot be done here.

    `most_megapixels` bounds the result of a key; 0: the server's own bound alone.
    """
    if isinstance(operation, NovitaUpscaleV2):
        for name in ("gfpgan_visibility", "codeformer_visibility"):
            if getattr(operation, name) > 0:
                raise InvalidInputError(name, f"{name}: this server does not restore faces; use 0.")
    for model in _models(operation):
        if service.library.find(model) is None:
            raise InvalidInputError(
                "model",
                f"The model {model[:80]} is not on this server; its owner can fetch it, if "
                f"it is a known one, with `upscale-bridge models download {model[:80]}`.",
            )
    most = min(most_megapixels * 1_000_000 or codecs.MOST_PIXELS, codecs.MOST_PIXELS)
    wide, high = _largest(operation, width, height)
    if wide * high > most:
        raise InvalidInputError(
            "image",
            f"The result would have {wide} x {high} px, more than {most / 1e6:.0f} million; choose "
            "a smaller size.",
        )


def largest_result(operation: RemoteOperation, width: int, height: int) -> int:
    """Return a number of bytes that the file of a result never exceeds.

    Four bytes a pixel of JPEG's blocks, and what the formats add to pixels that cannot be packed:
    PNG a byte a row and five for every 16 kB (RFC 1950), all of them heads.
    """
    wide, high = (-(-side // _BLOCK) * _BLOCK for side in _largest(operation, width, height))
    pixels = 4 * wide * high + high
    return pixels + pixels // 1000 + (64 << 10)


def _largest(operation: RemoteOperation, width: int, height: int) -> tuple[int, int]:
    """Return the size of the largest image that is made on the way to a result."""
    wide, high = operation.target(width, height)
    if isinstance(operation, NovitaUpscaleV2):
        covered = operation.covered(width, height)
        return max(wide, covered[0]), max(high, covered[1])
    return wide, high


def carry_out(
    service: Service, operation: RemoteOperation, data: bytes, monitor: Monitor
) -> Picture:
    """Do an operation to an encoded image."""
    image = codecs.decode(data, "the image", codecs.SERVER_FORMATS).pixels
    if isinstance(operation, NovitaUpscaleV2):
        pixels = _like_the_webui(service, operation, image, monitor)
    else:
        pixels = _enlarge(service, operation, image, monitor)
    format = _format(operation)
    if format == "jpeg" and pixels.shape[-1] in (2, 4):
        pixels = pixels[..., :-1]
    return codecs.encode(pixels, format, quality=95)


def _models(operation: RemoteOperation) -> list[str]:
    equivalent = operation.equivalent(64, 64)
    found = [equivalent.model] if equivalent is not None and equivalent.model else []
    if isinstance(operation, NovitaUpscaleV2):
        found = [operation.local_model(operation.upscaler_1)]
        if operation.upscaler_2 and operation.extras_upscaler_2_visibility:
            found.append(operation.local_model(operation.upscaler_2))
    return [name for name in found if name not in ("None", "")]


def _format(operation: RemoteOperation) -> str:
    for name in ("response_image_type", "output_format"):
        value = getattr(operation, name, None)
        if value is not None:
            return str(value)
    return "png"


def _enlarge(
    service: Service, operation: RemoteOperation, image: Tensor, monitor: Monitor
) -> Tensor:
    height, width = image.shape[:2]
    equivalent = operation.equivalent(width, height)
    if equivalent is None:
        raise InvalidInputError("operation", "These settings cannot be carried out here.")
    factor = LocalUpscale.nearest_factor(equivalent.scale_factor)
    local = LocalUpscale(model=equivalent.model or SHIPPED_MODEL, scale_factor=factor)
    size = operation.target(width, height)
    return service.run(local, image[None], monitor, size=size).images[0]


def _like_the_webui(
    service: Service, operation: NovitaUpscaleV2, image: Tensor, monitor: Monitor
) -> Tensor:
    """Return what the Extras tab makes of an image: one or two upscalers, blended."""
    if operation.upscaler_1 in ("None", ""):
        return image
    first = _one_upscaler(service, operation, operation.upscaler_1, image, monitor)
    share = operation.extras_upscaler_2_visibility
    if operation.upscaler_2 in ("None", "") or not share:
        return first
    second = _one_upscaler(service, operation, operation.upscaler_2, image, monitor)
    return first * (1 - share) + second * share


def _one_upscaler(
    service: Service, operation: NovitaUpscaleV2, name: str, image: Tensor, monitor: Monitor
) -> Tensor:
    from ..local.resample import centre, resize

    height, width = image.shape[:2]
    factor = operation.factor(width, height)
    size = operation.covered(width, height)
    if factor >= 1:  # below, the WebUI asks no model
        factor = LocalUpscale.nearest_factor(factor)
        local = LocalUpscale(model=operation.local_model(name), scale_factor=factor)
        pixels = service.run(local, image[None], monitor, size=size).images[0]
    else:
        pixels = resize(image, *size)
    if operation.keeps_aspect():
        return pixels
    # Alpha is lost here, as in the WebUI.
    colours = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., :1].expand(-1, -1, 3)
    return centre(colours, *operation.target(width, height))
