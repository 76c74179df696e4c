"""16 bits per channel: Pillow reads and writes them in gray images only."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

_OPPOSITE = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}.items()
}


def read_deep(image: Image.Image, data: bytes) -> Any:
    """Return uint16 [height, width, channels], or None if the file has fewer bits.

    `image` is what Pillow made of the file `data`. A colour that the file declares transparent
    (PNG's tRNS) becomes an alpha channel.
    """
    import numpy as np

    values = _gray(image) if image.mode.startswith("I") else _colour(image, data)
    if values is not None and "transparency" in image.info:
        visible = (values != np.asarray(image.info["transparency"])).any(axis=-1, keepdims=True)
        values = np.concatenate([values, visible * np.uint16(65535)], axis=-1)
    return values


def write_deep_png(array: NDArray[Any], icc: bytes | None, exif: bytes | None) -> bytes:
    """Return a PNG (3rd edition) of uint16 [height, width, 1 to 4 channels]."""
    import numpy as np

    height, width, channels = array.shape
    rows = array.astype(">u2").view(np.uint8).reshape(height, width * channels * 2)
    left = np.zeros_like(rows)
    left[:, 2 * channels :] = rows[:, : -2 * channels]
    filtered = np.concatenate([np.full((height, 1), 1, np.uint8), rows - left], axis=1)  # Sub
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = [_chunk(b"IHDR", head)]
    if icc:
        chunks.append(_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc)))
    if exif:
        chunks.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    chunks.append(_chunk(b"IDAT", zlib.compress(filtered.tobytes(), 4)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + _chunk(b"IEND", b"")


def _gray(image: Image.Image) -> Any:
    import numpy as np

    return np.asarray(image).clip(0, 65535).astype(np.uint16)[..., None]


def _colour(image: Image.Image, data: bytes) -> Any:
    """Return uint16 [height, width, 3 or 4], or None if the file has fewer bits.

    Pillow keeps only the high byte of such pixels. Telling its decoder the opposite byte order
    makes it keep the low byte: two decodes give all 16 bits.
    """
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(data)) as again:
        tiles = again.tile
        modes = {_raw_mode(tile) for tile in tiles}
        if image.mode not in ("RGB", "RGBA") or not modes <= _OPPOSITE.keys() or not modes:
            return None
        for index, tile in enumerate(tiles):
            args = tile[3]
            opposite = _OPPOSITE[_raw_mode(tile)]
            swapped = opposite if isinstance(args, str) else (opposite, *args[1:])
            tiles[index] = (
                type(tile)(*tile[:3], swapped) if hasattr(tile, "_fields") else (*tile[:3], swapped)
            )
        again.load()
        values = np.asarray(image).astype(np.uint16)
        values <<= 8
        values |= np.asarray(again)
        return values


def _raw_mode(tile: Any) -> str:
    """Return how the decoder is told to read pixels, for example RGB;16B."""
    args = tile[3]
    return args if isinstance(args, str) else str(args[0]) if args else ""


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
