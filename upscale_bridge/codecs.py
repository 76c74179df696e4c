"""Between encoded images and tensors; torch and Pillow are imported when first used."""

from __future__ import annotations

import io
import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .deep import read_deep, write_deep_png
from .errors import InvalidInputError
from .headers import READERS, Head, read_head, sniff
from .pictures import Picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
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

_WITHOUT_ALPHA = ("jpeg",)
_ORIENTATION = 0x0112  # the EXIF tag
# Description, camera, resolution, software, date, author, rights, EXIF and GPS (TIFF 6.0, EXIF 2.3)
_DESCRIPTIVE = {270, 271, 272, 282, 283, 296, 305, 306, 315, 33432, 34665, 34853}


@dataclass
class Decoded:
    """An image as a tensor, with what a copy of the file should keep."""

    pixels: Tensor
    """float32 [height, width, channels] in 0..1, upright; gray, gray+alpha, RGB or RGBA."""
    format: str
    """One of `FILE_FORMATS`."""
    bits: int
    """Bits per channel in the file, 8 or 16."""
    icc: bytes | None = None
    """The colour profile that the pixels are in."""
    exif: bytes | None = field(default=None, repr=False)
    """Metadata, the orientation taken out."""


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
    from PIL import Image, UnidentifiedImageError

    format, head = _look(data, name, formats)
    if head.width * head.height > most_pixels:
        raise InvalidInputError(name, _too_large(name, most_pixels))
    try:
        with Image.open(io.BytesIO(data), formats=[format.upper()]) as image:
            sides = image.size, image.size[::-1] if format == "tiff" else image.size
            if (head.width, head.height) not in sides:
                raise ValueError("it tells two sizes")
            image.load()
            return _from_pillow(image, data, format, head)
    except UnidentifiedImageError as error:
        raise InvalidInputError(
            name,
            f"{name} is damaged, or a {format.upper()} of a kind that Pillow cannot read; "
            "save it as PNG or JPEG.",
        ) from error
    except Exception as error:  # a damaged file can fail anywhere inside Pillow
        raise _damaged(name, error) from error


def encode(
    pixels: Tensor,
    format: str = "png",
    *,
    quality: int = 95,
    bits: int = 8,
    icc: bytes | None = None,
    exif: bytes | None = None,
) -> Picture:
    """Encode float [height, width, 1 to 4 channels] in 0..1; values are rounded, not truncated.

    `quality` 1..100 is for JPEG and WebP (100 is lossless WebP). 16 `bits` are kept in png, and
    in tiff without colour; elsewhere 8 are written.
    """
    height, width, channels = pixels.shape
    if format not in MIMES:
        raise InvalidInputError(
            "format", f"format must be one of {', '.join(MIMES)}; got {format}."
        )
    if channels in (2, 4) and format in _WITHOUT_ALPHA:
        raise InvalidInputError(
            "format", "JPEG cannot hold transparency; choose the format png or webp."
        )
    deep = bits == 16 and (format == "png" or (format == "tiff" and channels == 1))
    array = _quantize(pixels, 65535 if deep else 255)
    if deep and format == "png":
        data = write_deep_png(array, icc, exif)
    else:
        data = _encode_pillow(array, format, quality, icc, exif)
    return Picture(data, MIMES[format], width, height)


def to_uint8(pixels: Tensor) -> NDArray[np.uint8]:
    """Return float [..., channels] in 0..1 as rounded uint8 of the same shape."""
    array: NDArray[np.uint8] = _quantize(pixels, 255)
    return array


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
            orientation = image.getexif().get(_ORIENTATION, 1)
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


def _from_pillow(image: Image.Image, data: bytes, format: str, head: Head) -> Decoded:
    import numpy as np
    import torch

    icc = image.info.get("icc_profile")
    exif = image.getexif()
    exif.pop(_ORIENTATION, 1)
    orientation = 1 if format == "tiff" else head.orientation  # those Pillow turns itself
    if format == "tiff":  # its tags also say how the pixels lie in the file
        for tag in set(exif) - _DESCRIPTIVE:
            del exif[tag]
    array, top = read_deep(image, data), 65535
    if array is None:
        image, icc = _to_plain_mode(image, icc)
        array, top = np.asarray(image), 1 if image.mode == "F" else 255
    pixels = _to_floats(_turn(array, orientation), top)
    return Decoded(
        pixels=torch.from_numpy(pixels),
        format=format,
        bits=16 if top == 65535 else 8,
        icc=icc,
        exif=exif.tobytes() if len(exif) else None,
    )


def _to_plain_mode(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, bytes | None]:
    """Return the image as L, LA, RGB, RGBA or F, and the profile that fits it then."""
    if image.mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        return _to_srgb(image, icc), None
    if image.mode in ("1", "L", "LA", "RGB", "RGBA", "F") and "transparency" not in image.info:
        return image.convert("L") if image.mode == "1" else image, icc
    if image.mode == "PA" or "transparency" in image.info:
        return image.convert("LA" if image.mode in ("1", "L") else "RGBA"), icc
    return image.convert("RGB"), icc


def _to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Convert by the file's own profile when it has one; a CMYK profile does not fit RGB."""
    from PIL import ImageCms

    if icc and image.mode in ("CMYK", "LAB"):
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
        except ImageCms.PyCMSError as error:
            log.warning("Its colour profile cannot be used (%s); colours may shift.", error)
        else:
            if converted is not None:
                return converted
    return image.convert("RGB")


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


def _encode_pillow(
    array: NDArray[Any], format: str, quality: int, icc: bytes | None, exif: bytes | None
) -> bytes:
    from PIL import Image

    image = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
    options: dict[str, Any] = {"png": {"compress_type": zlib.Z_RLE}}.get(format, {})
    if format == "jpeg":
        options = {"quality": quality, "subsampling": 0 if quality >= 90 else 2}
    elif format == "webp":
        options = {"quality": quality, "lossless": quality == 100, "exact": quality == 100}
    if icc:
        options["icc_profile"] = icc
    if exif:
        options["exif"] = exif
    buffer = io.BytesIO()
    try:
        image.save(buffer, format, **options)
    except (OSError, ValueError) as error:  # WebP, for one, ends at 16383 px
        raise InvalidInputError(
            "format",
            f"{format} cannot hold {image.width} x {image.height} px ({error}); choose png.",
        ) from error
    return buffer.getvalue()
