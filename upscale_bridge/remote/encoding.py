"""Between images and what a remote service takes and gives.

Services get RGB: none documents what it does with transparency. Alpha stays here, is enlarged by
Lanczos and joined again to the result. A server of ours that does the local operation gets all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..contract.enlarging import Enlarging
from ..contract.operation import Limits, RemoteOperation
from ..errors import BadReplyError, InvalidInputError
from ..images import codecs, sizes
from ..images.pictures import Picture
from ..images.sizes import Size
from ..monitor import Monitor
from .context import Delivered

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_ASPECT_SLACK = 0.02  # services round sizes to multiples of what their models need


@dataclass(frozen=True)
class Parcel:
    """One image, ready to be sent, and what its result has to fit to."""

    picture: Picture | None
    """RGB, all channels for a server of ours; None when the user gave an address in place of it."""
    pixels: bytes
    """What identifies the image: a hash of its pixels and size."""
    alpha: Tensor | None
    """float32 [height, width, 1] of the image before it was shrunk."""
    size: Size
    """(width, height) of the image before it was shrunk."""
    colours: Tensor | None = None
    """float [height, width, 3] of that image, where the result is to have its colours."""


def pack(operation: RemoteOperation, image: Tensor, monitor: Monitor) -> Parcel:
    """Prepare float [height, width, 1 to 4 channels] to be sent.

    Raises `InvalidInputError` when the service does not take it and `when_too_large` is refuse.
    """
    from ..images.channels import fill_transparent

    height, width, channels = image.shape
    if operation.result_size == "exact" and not operation.promises_size():
        raise InvalidInputError(
            "result_size",
            f"With these settings nobody knows which size {operation.title} is to make; set "
            "result_size to as delivered.",
        )
    if operation.image_address:
        if operation.colour_match != "none":
            raise InvalidInputError(
                "colour_match",
                "Of an image that only its address names nobody here knows the colours; set "
                "colour_match to none.",
            )
        return Parcel(None, b"", None, (width, height))
    if isinstance(operation, Enlarging):
        deep = codecs.depth(image) == 16
        picture = codecs.encode(image, bits=16 if deep else 8)
        pixels = codecs.to_uint16(image) if deep else codecs.to_uint8(image)
        return Parcel(picture, _digest(pixels), None, (width, height))
    alpha = None
    if channels in (2, 4):
        alpha = image[..., -1:].float().nan_to_num(nan=0.0).clamp(0, 1).cpu()
    colours = image if alpha is None else fill_transparent(image)[..., :-1]
    colours = colours.expand(-1, -1, 3) if colours.shape[-1] == 1 else colours
    kept = None if operation.colour_match == "none" else colours
    colours = _fit(operation, colours, monitor)
    picture = _encode(operation, colours, monitor)
    return Parcel(picture, _digest(codecs.to_uint8(colours)), alpha, (width, height), kept)


def _digest(array: NDArray[Any]) -> bytes:
    """Return what identifies the pixels and size of an image."""
    return hashlib.sha256(repr(array.shape).encode() + array.tobytes()).digest()


def unpack(operation: RemoteOperation, parcel: Parcel) -> Callable[[Delivered], Tensor]:
    """Return what turns a result into float32 [height, width, 3 or 4].

    It raises `InvalidInputError` for a broken file and `BadReplyError` for a result that is
    smaller than what was sent or shows another part of it.
    """
    sent = parcel.size
    if parcel.picture is not None:
        sent = parcel.picture.width, parcel.picture.height

    def decode_result(found: Delivered) -> Tensor:
        if isinstance(operation, Enlarging):
            return _exact(found, operation.target(*sent))
        pixels = decode(found)
        check_size(operation, sent, (pixels.shape[1], pixels.shape[0]))
        if operation.result_size == "exact":
            pixels = _resize(pixels, operation.target(*parcel.size))
        if parcel.colours is not None:
            pixels = _match(operation, pixels, parcel.colours)
        return pixels if parcel.alpha is None else _join(operation, pixels, parcel.alpha)

    return decode_result


def _exact(found: Delivered, wanted: Size) -> Tensor:
    """Return what a server of ours made, with the channels of what it was sent."""
    pixels = _decoded(found)
    came = pixels.shape[1], pixels.shape[0]
    if came != wanted:
        raise BadReplyError(
            f"The result is {came[0]} x {came[1]} px; {wanted[0]} x {wanted[1]} px were asked for."
        )
    return pixels


def _decoded(found: Delivered) -> Tensor:
    data = found if isinstance(found, bytes) else found.read_bytes()
    return codecs.decode(data, "the result", codecs.RESULT_FORMATS).pixels


def decode(found: Delivered) -> Tensor:
    """Decode a result to float32 [height, width, 3 or 4]; opaque alpha is dropped."""
    import torch

    pixels = _decoded(found)
    if pixels.shape[-1] in (2, 4) and bool((pixels[..., -1] == 1).all()):
        pixels = pixels[..., :-1]
    if pixels.shape[-1] <= 2:
        gray, rest = pixels[..., :1].expand(-1, -1, 3), pixels[..., 1:]
        pixels = torch.cat([gray, rest], dim=-1)
    return pixels


def check_size(operation: RemoteOperation, sent: Size, came: Size) -> None:
    """Raise `BadReplyError` unless a result of size `came` can be that of an image `sent`."""
    wanted = operation.target(*sent)
    if not operation.promises_size() or not operation.keeps_aspect() or came == wanted:
        return
    least = min(sent[0], wanted[0]), min(sent[1], wanted[1])
    if came[0] < least[0] or came[1] < least[1]:
        what = "the image that was sent" if least == sent else "what was asked for"
        raise BadReplyError(
            f"The result is {came[0]} x {came[1]} px, smaller than {what} "
            f"({least[0]} x {least[1]} px)."
        )
    skew = (came[0] / came[1]) / (sent[0] / sent[1])
    if abs(skew - 1) > _ASPECT_SLACK + 2 / min(*sent, *came):
        raise BadReplyError(
            f"The result ({came[0]} x {came[1]} px) has other proportions than the image that was "
            f"sent ({sent[0]} x {sent[1]} px)."
        )


def join_batch(images: list[Tensor]) -> Tensor:
    """Return float32 [batch, height, width, 3 or 4] of images of one size.

    Raises `InvalidInputError` when the sizes differ; the caller's results are kept elsewhere.
    """
    import torch

    sizes = sorted({(image.shape[1], image.shape[0]) for image in images})
    if len(sizes) > 1:
        listed = ", ".join(f"{width} x {height}" for width, height in sizes)
        raise InvalidInputError(
            "result_size",
            f"The results have different sizes ({listed} px) and make no batch. They are kept: set "
            "result_size to exact and run again, which costs nothing.",
        )
    if len({image.shape[-1] for image in images}) > 1:
        images = [
            torch.cat([image, torch.ones_like(image[..., :1])], dim=-1)
            if image.shape[-1] == 3
            else image
            for image in images
        ]
    return torch.stack(images)


def _fit(operation: RemoteOperation, colours: Tensor, monitor: Monitor) -> Tensor:
    """Return the image within the service's limits, or refuse it."""
    height, width = colours.shape[:2]
    small = sendable_size(operation, width, height)
    if small == (width, height):
        return colours
    name, allowed = operation.title, max(small)
    if operation.when_too_large == "refuse":
        raise InvalidInputError(
            "image",
            f"The image is {width} x {height} px; with these settings {name} takes at most "
            f"{allowed} px on the longer side. Make it smaller, change the settings, or set "
            f"when_too_large to fit, which shrinks it to {small[0]} x {small[1]} px first.",
        )
    monitor.notice(f"{name}: the image was shrunk to {small[0]} x {small[1]} px before sending.")
    return _resize(colours, small)


def sendable_size(operation: RemoteOperation, width: int, height: int) -> Size:
    """Return the size of an image within the service's limits, (width, height) if it is."""
    allowed = _longest(operation.limits, operation, width, height)
    return (width, height) if allowed is None else sizes.within((width, height), allowed)


def _longest(limits: Limits, operation: RemoteOperation, width: int, height: int) -> int | None:
    """Return the longest side that may be sent, None without a limit."""
    allowed = [] if limits.edge is None else [limits.edge]
    if limits.result_edge is not None:
        longest = max(operation.target(width, height))
        if longest > limits.result_edge:
            allowed.append(int(max(width, height) * limits.result_edge / longest))
    return min(allowed, default=None)


def _encode(operation: RemoteOperation, colours: Tensor, monitor: Monitor) -> Picture:
    """Encode without loss; a file beyond the service's limit is made smaller by choice only."""
    limit = operation.limits.size
    picture = codecs.encode(colours)
    if limit is None or len(picture.data) <= limit:
        return picture
    if operation.when_too_large == "fit":
        for about, quality in (("lossless WebP", 100), ("WebP of quality 95", 95)):
            picture = codecs.encode(colours, "webp", quality=quality)
            if len(picture.data) <= limit:
                monitor.notice(f"{operation.title}: the image is sent as {about}, to fit.")
                return picture
    raise InvalidInputError(
        "image",
        f"The image has {len(picture.data) / 1e6:.0f} MB; {operation.title} takes at most "
        f"{limit / 1e6:.0f} MB. Make it smaller, or set when_too_large to fit.",
    )


def _resize(pixels: Tensor, size: Size) -> Tensor:
    from ..images.resample import resize

    return resize(pixels, *size)


def _match(operation: RemoteOperation, pixels: Tensor, original: Tensor) -> Tensor:
    """Return float32 [height, width, 3 or 4] with the colours of what was sent."""
    from ..images.colours import match

    original = original.cpu()
    if not operation.keeps_aspect():
        size = original.shape[1], original.shape[0]
        original = fit_layer(operation, original, size, (pixels.shape[1], pixels.shape[0]))
    pixels = pixels.clone()
    match(pixels[..., :3], original, operation.colour_match)
    return pixels


def _join(operation: RemoteOperation, pixels: Tensor, alpha: Tensor) -> Tensor:
    """Return the result with the alpha of its image."""
    import torch

    size = pixels.shape[1], pixels.shape[0]
    enlarged = fit_layer(operation, alpha, (alpha.shape[1], alpha.shape[0]), size)
    return torch.cat([pixels[..., :3], enlarged], dim=-1)


def fit_layer(operation: RemoteOperation, layer: Tensor, image: Size, result: Size) -> Tensor:
    """Return what lies over an image, as alpha or a mask does, in the size of the result.

    `layer` is float [height, width, channels], of any size; `image` and `result` are (width,
    height). It is cropped as the result was.
    """
    from ..images.resample import centre

    if operation.keeps_aspect():
        return _resize(layer, result)
    return centre(_resize(layer, operation.plan(*image).size), *result)
