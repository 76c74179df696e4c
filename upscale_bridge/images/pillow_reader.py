"""Files that Pillow decodes, as plain numbers: gray, gray with alpha, RGB or RGBA."""

from __future__ import annotations

import io
import logging
import struct
from typing import TYPE_CHECKING

from . import metadata, png16, tiff
from .headers import Head
from .metadata import Metadata

if TYPE_CHECKING:
    from PIL import Image

log = logging.getLogger(__name__)


def read(data: bytes, format: str, head: Head, about: Metadata) -> tuple[tiff.Samples, Metadata]:
    """Return the numbers of a file without metadata, and `about` with what Pillow alone reads.

    Raises `NotImplementedError` for what Pillow would cut or does not know, `ValueError` where the
    file contradicts its `head`, and whatever a damaged file makes Pillow raise.
    """
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        opened = Image.open(io.BytesIO(data), formats=[format.upper()])
    except UnidentifiedImageError as error:
        raise NotImplementedError("Pillow does not know it") from error
    with opened as image:
        if image.size != (head.width, head.height):
            raise ValueError("it tells two sizes")
        image.load()
        if format in ("avif", "bmp", "gif"):
            exif = image.info.get("exif") if format == "avif" else None
            about = metadata.of_info(image.info, exif)
        if format == "avif" and not about.icc:
            about.colours = _avif_colours(data)
        array = png16.read_png(image, data) if format == "png" else None
        if array is not None:
            return tiff.Samples(array, 65535, 16), about
        if image.mode[:1] in ("F", "I"):
            raise NotImplementedError(f"Pillow's mode {image.mode}")
        if format == "png":
            _scale_key(image, data)
        image, icc = _to_plain_mode(image, about.icc)
        about.icc = icc
        notes = _avif_notes(data) if format == "avif" else []
        return tiff.Samples(np.asarray(image), 255, 8, notes), about


def _scale_key(image: Image.Image, data: bytes) -> None:
    """Bring the transparent gray of a PNG of 1, 2 or 4 bits to the 8 bits of Pillow's pixels."""
    if data[25] == 0 and data[24] < 8 and "transparency" in image.info:
        image.info["transparency"] = image.info["transparency"] * 255 // (2 ** data[24] - 1)


def _avif_colours(data: bytes) -> dict[str, bytes]:
    """Return as cICP the colour space that an AVIF names (ISO/IEC 14496-12, colr), if not sRGB."""
    at = data.find(b"colrnclx")
    if at < 0 or at + 14 > len(data):
        return {}
    primaries, transfer = struct.unpack_from(">HH", data, at + 8)
    if primaries > 255 or transfer > 255 or (primaries in (1, 2) and transfer in (1, 2, 6, 13)):
        return {}
    return {"cICP": bytes([primaries, transfer, 0, 1])}


def _avif_notes(data: bytes) -> list[str]:
    """Say what the AV1 codec configuration (av1C) has that Pillow does not give."""
    at = data.find(b"av1C")
    if at < 0 or at + 7 > len(data) or not data[at + 6] & 0x40:
        return []
    return [f"bits beyond 8 of its {12 if data[at + 6] & 0x20 else 10} per channel"]


def _to_plain_mode(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, bytes | None]:
    """Return the image as L, LA, RGB or RGBA, and the profile that fits it then."""
    if image.mode in ("CMYK", "LAB"):
        return _to_srgb(image, icc), None
    if image.mode in ("1", "L", "LA", "RGB", "RGBA") and "transparency" not in image.info:
        return image.convert("L") if image.mode == "1" else image, icc
    if image.mode == "PA" or "transparency" in image.info:
        return image.convert("LA" if image.mode in ("1", "L") else "RGBA"), icc
    return image.convert("RGB"), icc


def _to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Convert by the file's own profile when it has one; a CMYK profile does not fit RGB."""
    from PIL import ImageCms

    if icc:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError) as error:
            log.warning("Its colour profile cannot be used (%s); colours may shift.", error)
        else:
            if converted is not None:
                return converted
    return image.convert("RGB")
