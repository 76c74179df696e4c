"""Between encoded images and tensors; torch and Pillow are imported when first used."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInputError
from . import containers, metadata, pillow_reader, png, png16, tiff
from .fitting import fit
from .headers import READERS, Head, read_head, sniff, turned
from .metadata import Metadata
from .pictures import Picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

log = logging.getLogger(__name__)

MOST_PIXELS = 89_478_485
"""Larger files are refused before they are decoded; Pillow warns from the same size on."""

RESULT_FORMATS = ("png", "jpeg", "webp")
"""What services give back; nothing else is decoded there."""

SERVER_FORMATS = (*RESULT_FORMATS, "tiff", "bmp", "avif")
"""What the server takes."""

FILE_FORMATS = (*SERVER_FORMATS, "gif", "ppm")
"""What is read from the user's own files: no format that Pillow hands to another program."""

MIMES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "tiff": "image/tiff"}
"""The formats that can be written."""

DEEP_FORMATS = ("png", "tiff")
"""Those that hold 16 bits per channel."""

_TITLES = {"png": "PNG", "jpeg": "JPEG", "webp": "WebP", "tiff": "TIFF"}
_WITHOUT_ALPHA = ("jpeg",)
_LONGEST = {"jpeg": 65_500, "webp": 16_383, "png": 2**31 - 1, "tiff": 2**31 - 1}  # pixels


@dataclass
class Decoded:
    """An image as a tensor, with what a copy of the file should keep."""

    pixels: Tensor
    """float32 [height, width, channels] in 0..1, upright; gray, gray+alpha, RGB or RGBA."""
    format: str
    """One of `FILE_FORMATS`."""
    bits: int
    """Bits per channel that a copy needs, 8 or 16."""
    about: Metadata = field(default_factory=Metadata)
    """What describes it, upright, with what of that could not be read."""

    @property
    def icc(self) -> bytes | None:
        """The colour profile that the pixels are in."""
        return self.about.icc

    @property
    def exif(self) -> bytes | None:
        """EXIF data from its TIFF header on, the orientation taken out."""
        return self.about.exif


@dataclass(frozen=True)
class Header:
    """What a picture's file says before a pixel of it is decoded."""

    format: str
    """One of `FILE_FORMATS`."""
    width: int
    """Pixels, upright: the orientation is applied, as in `Decoded.pixels`."""
    height: int


def read_header(data: bytes, name: str = "image", formats: Sequence[str] = FILE_FORMATS) -> Header:
    """Return format and size of a still image, or raise `InvalidInputError` that names `name`.

    No pixel is decoded: it takes a second at most, and no more memory than the file itself,
    whatever it claims. The size is not limited here; what follows the header may be damaged.
    """
    format, head = _look(data, name, formats)
    turned = head.orientation in (5, 6, 7, 8)
    width, height = (head.height, head.width) if turned else (head.width, head.height)
    return Header(format, width, height)


def decode(
    data: bytes,
    name: str = "image",
    formats: Sequence[str] = FILE_FORMATS,
    most_pixels: int = MOST_PIXELS,
) -> Decoded:
    """Decode a still image, or raise `InvalidInputError` that names `name`.

    Only `formats` are tried, told by the first bytes; larger images are refused undecoded.
    """
    format, head = _look(data, name, formats)
    if head.width * head.height > most_pixels:
        raise InvalidInputError(name, _too_large(name, most_pixels))
    try:
        return _decode(data, format, head)
    except NotImplementedError as error:
        raise InvalidInputError(
            name,
            f"{name} is {_article(format)} of a kind that is not read here ({error}); "
            "save it as PNG, or as TIFF with 8 or 16 bits per channel.",
        ) from error
    except Exception as error:  # a damaged file can fail anywhere inside a decoder
        raise _damaged(name, error) from error


def encode(
    pixels: Tensor,
    format: str = "png",
    *,
    quality: int = 95,
    bits: int = 8,
    about: Metadata | None = None,
) -> Picture:
    """Encode float [height, width, 1 to 4 channels] in 0..1; values are rounded, not truncated.

    `quality` 1..100 is for JPEG and WebP (100 is lossless WebP). 16 `bits` are kept in
    `DEEP_FORMATS`; elsewhere 8 are written. Of `about`, `unfit` tells what is lost.
    """
    height, width, channels = pixels.shape
    check_format(format, (width, height), transparent=channels in (2, 4))
    deep_ = bits == 16 and format in DEEP_FORMATS
    array = _quantize(pixels, 65535 if deep_ else 255)
    try:
        parts, order, _ = fit(about or Metadata(), format, (width, height))
        if isinstance(parts, dict):
            data = tiff.write(array, parts, order)
        else:
            encoded = (
                png.write(array) if format == "png" else _encode_pillow(array, format, quality)
            )
            data = containers.join(encoded, format, parts)
    except Exception as error:  # an encoder can fail in any way as well
        raise InvalidInputError(
            "format",
            f"{format} cannot hold these {width} x {height} px "
            f"({error or type(error).__name__}); choose another format.",
        ) from error
    return Picture(data, MIMES[format], width, height)


def check_format(format: str, size: tuple[int, int], *, transparent: bool) -> None:
    """Raise `InvalidInputError` if `format` cannot hold a picture of `size` (width, height)."""
    if format not in MIMES:
        raise InvalidInputError(
            "format", f"format must be one of {', '.join(MIMES)}; got {format}."
        )
    if transparent and format in _WITHOUT_ALPHA:
        raise InvalidInputError(
            "format", "JPEG cannot hold transparency; choose the format png or webp."
        )
    longest = _LONGEST[format]
    if max(size) > longest:
        raise InvalidInputError(
            "format",
            f"{format} cannot hold {size[0]} x {size[1]} px, {longest} px is its longest side; "
            f"choose {'tiff' if format == 'png' else 'png'} or a smaller size.",
        )


def unfit(about: Metadata, format: str, size: tuple[int, int], bits: int) -> list[str]:
    """Return in words what a file of `format` and that size (width, height) will not hold."""
    lost = fit(about, format, size)[2]
    if bits == 16 and format not in DEEP_FORMATS:
        lost.append(f"8 of 16 bits per channel ({_TITLES[format]} has 8; png and tiff keep 16)")
    return lost


def to_srgb(pixels: Tensor, gamma: float, *, transparent: bool) -> Tensor:
    """Return pixels that are light to the power of `gamma` (PNG's gAMA) as sRGB has them.

    float [height, width, channels] in 0..1; the last channel is left when it is `transparent`.
    """
    colours = pixels.shape[-1] - transparent
    light = pixels[..., :colours].pow(1 / gamma)
    found = pixels.clone()
    found[..., :colours] = (1.055 * light.pow(1 / 2.4) - 0.055).where(
        light > 0.0031308, 12.92 * light
    )
    return found


def to_uint8(pixels: Tensor) -> NDArray[np.uint8]:
    """Return float [..., channels] in 0..1 as rounded uint8 of the same shape."""
    array: NDArray[np.uint8] = _quantize(pixels, 255)
    return array


def to_uint16(pixels: Tensor) -> NDArray[np.uint16]:
    """Return float [..., channels] in 0..1 as rounded uint16 of the same shape."""
    array: NDArray[np.uint16] = _quantize(pixels, 65535)
    return array


def depth(pixels: Tensor) -> int:
    """Return how many bits float [..., channels] in 0..1 need for each number: 8 where those hold
    all that there is, else 16."""
    import torch

    held = torch.from_numpy(_to_floats(to_uint8(pixels), 255))
    return 8 if torch.equal(held, pixels.float().cpu()) else 16


def _quantize(pixels: Tensor, top: int) -> Any:
    import numpy as np
    import torch

    rows = []
    for row in torch.split(pixels, 64):  # blocks that fit the caches
        values = row.float().nan_to_num(nan=0.0).mul(top).round_().clamp_(0, top)
        rows.append(values.to(torch.uint8 if top == 255 else torch.int32).cpu().numpy())
    return np.concatenate(rows).astype(np.uint8 if top == 255 else np.uint16, copy=False)


def _look(data: bytes, name: str, formats: Sequence[str]) -> tuple[str, Head]:
    """Return the format and what its header says, or refuse the file before Pillow sees it."""
    if not data:
        raise InvalidInputError(name, f"{name} is empty (0 bytes); export it again.")
    format = sniff(data)
    if format not in formats:
        raise InvalidInputError(
            name,
            f"{name} is not an image of a format that is read here "
            f"({', '.join(format.upper() for format in formats)})"
            f"{f' but {format}' if format else ''}; save it as PNG or JPEG.",
        )
    try:
        head = read_head(data, format) if format in READERS else _read_avif_head(data, name)
    except ValueError as error:
        raise _damaged(name, error) from error
    if head.moves:
        raise InvalidInputError(
            name, f"{name} is animated or has several pages; export its frames as single images."
        )
    return format, head


def _read_avif_head(data: bytes, name: str) -> Head:
    from PIL import Image

    Image.init()
    if "AVIF" not in Image.OPEN:
        raise InvalidInputError(
            name, f"{name} is an AVIF, which this Pillow cannot read; save it as PNG or JPEG."
        )
    try:
        with Image.open(io.BytesIO(data), formats=["AVIF"]) as image:
            exif = image.info.get("exif") or b""
            orientation = turned(exif, image.info.get("xmp") or b"")
            moves = bool(getattr(image, "is_animated", False))
            return Head(image.width, image.height, orientation, moves)
    except Exception as error:  # a damaged file can fail anywhere inside Pillow
        raise ValueError(str(error)) from error


def _damaged(name: str, error: Exception) -> InvalidInputError:
    return InvalidInputError(
        name, f"{name} is damaged or cut off ({error}); copy or export it again."
    )


def _too_large(name: str, most_pixels: int) -> str:
    return f"{name} has more than {most_pixels / 1e6:.0f} million pixels; cut it into parts first."


def _article(format: str) -> str:
    return f"{'an' if format == 'avif' else 'a'} {format.upper()}"


def _decode(data: bytes, format: str, head: Head) -> Decoded:
    """Give pixels to a decoder, and the rest to nobody but our own readers."""
    import torch

    about, pixels = Metadata(), data
    if format in ("png", "jpeg", "webp"):
        pixels, parts = containers.split(data, format)
        readers = {"png": metadata.of_png, "jpeg": metadata.of_jpeg, "webp": metadata.of_webp}
        about = readers[format](parts)
    elif format == "tiff":
        about = metadata.of_tiff(data)
    samples = _read_numbers(data, format)
    if samples is None:
        pixels = tiff.for_pillow(data) if format == "tiff" else pixels
        samples, about = pillow_reader.read(pixels, format, head, about)
    if samples.array.shape[:2] != (head.height, head.width):
        raise ValueError("it tells two sizes")
    if head.orientation >= 5 and about.density:
        across, down, inches = about.density
        about.density = down, across, inches
    about.left_out += samples.notes
    array = _turn(samples.array, head.orientation)
    return Decoded(torch.from_numpy(_to_floats(array, samples.top)), format, samples.bits, about)


def _read_numbers(data: bytes, format: str) -> tiff.Samples | None:
    """Return pixels that Pillow would cut to 8 bits or take for others, None for all others."""
    if format == "tiff":
        return tiff.read(data)
    found = png16.read_netpbm(data) if format == "ppm" else None
    if found is None:
        return None
    samples = tiff.Samples(*found, 16)
    if samples.top == 1:
        tiff.check_range(samples.array, 0, 1, 0.1, samples.notes)
        samples.notes.append("what its numbers of 32 bits have beyond 16")
    return samples


def _to_floats(array: NDArray[Any], top: int) -> NDArray[np.float32]:
    """Return float32 [height, width, channels] in 0..1 of values in 0..`top`, in new memory."""
    import numpy as np

    array = array[..., None] if array.ndim == 2 else array
    floats = np.empty(array.shape, np.float32)
    for start in range(0, len(array), 64):  # what lies between takes a block's memory only
        block = array[start : start + 64].astype(np.float32)
        block /= np.float32(top)
        floats[start : start + 64] = np.nan_to_num(block, copy=False).clip(0.0, 1.0)
    return floats


def _turn(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply an EXIF orientation, 1 to 8 (CIPA DC-008, tag 274), to a view [height, width, ...]."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def _encode_pillow(array: NDArray[Any], format: str, quality: int) -> bytes:
    from PIL import Image

    image = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
    options: dict[str, Any] = {
        "jpeg": {"quality": quality, "subsampling": 0 if quality >= 90 else 2},
        "webp": {"quality": quality, "lossless": quality == 100, "exact": quality == 100},
    }[format]
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()
