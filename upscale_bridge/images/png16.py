"""16 bits per channel in PNG and Netpbm's formats: Pillow reads them in gray only."""

from __future__ import annotations

import io
import re
import sys
from typing import TYPE_CHECKING, Any

from .containers import png_chunk

if TYPE_CHECKING:
    from PIL import Image

_OPPOSITE = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}.items()
}


def read_png(image: Image.Image, data: bytes) -> Any:
    """Return uint16 [height, width, channels], or None if the file has fewer bits.

    `image` is what Pillow made of the PNG `data`, which has no metadata. A colour that the file
    declares transparent (tRNS) becomes an alpha channel.
    """
    import numpy as np

    if data[24] != 16:
        return None
    if data[25] == 4:
        return _gray_with_alpha(data)
    values = _gray(image) if image.mode.startswith("I") else _colour(image, data)
    if values is not None and "transparency" in image.info:
        visible = (values != np.asarray(image.info["transparency"])).any(axis=-1, keepdims=True)
        values = np.concatenate([values, visible * np.uint16(65535)], axis=-1)
    return values


_NUMBER = rb"(?:\s|#[^\r\n]{0,1000}[\r\n]){1,100}(-?[\d.eE+-]{1,20})"
_NETPBM = re.compile(rb"P([2356fF])" + 3 * _NUMBER)


def read_netpbm(data: bytes) -> tuple[Any, int] | None:
    """Return [height, width, 1 or 3] of more than 8 bits and what stands for white, or None.

    PFM (http://www.pauldebevec.com/Research/HDR/PFM/) has float32, the last row first; its scale
    is no factor, only its sign counts. Raises `ValueError` for damage.
    """
    import numpy as np

    found = _NETPBM.match(data)
    if found is None:
        return None
    kind, width, height = found[1], int(found[2]), int(found[3])
    shape = (height, width, 3 if kind in b"36F" else 1)
    many = height * width * shape[2]
    start = found.end() + 1
    if kind in b"fF":
        order = "<" if float(found[4]) < 0 else ">"
        if len(data) < start + 4 * many:
            raise ValueError("it ends too early")
        values = np.frombuffer(data, f"{order}f4", many, start).reshape(shape)[::-1]
        return values.astype(np.float32), 1
    top = int(found[4])
    if not 255 < top < 65536:
        return None
    if kind in b"56":
        if len(data) < start + 2 * many:
            raise ValueError("it ends too early")
        return np.frombuffer(data, ">u2", many, start).reshape(shape).astype(np.uint16), top
    numbers = re.sub(rb"#[^\r\n]*", b"", data[found.end() :]).split(maxsplit=many)[:many]
    if len(numbers) < many:
        raise ValueError("it ends too early")
    return np.array(numbers).astype(np.uint16).reshape(shape), top


def _gray_with_alpha(data: bytes) -> Any:
    """Return uint16 [height, width, 2].

    Pillow keeps the high bytes only. Filters work on bytes, so that gray with alpha of 16 bits is
    unpacked just as four channels of 8 bits are.
    """
    import numpy as np
    from PIL import Image

    head = png_chunk(b"IHDR", data[16:24] + b"\x08\x06" + data[26:29])
    with Image.open(io.BytesIO(data[:8] + head + data[33:]), formats=["PNG"]) as image:
        octets = np.asarray(image)
    return np.ascontiguousarray(octets).view(">u2").astype(np.uint16)


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

    with Image.open(io.BytesIO(data), formats=["PNG"]) as again:
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
