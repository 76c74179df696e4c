"""TIFF 6.0 and BigTIFF with whole or real numbers of 8 to 64 bits, of which Pillow has but a few.

Strips and tiles are unpacked here, LZW, PackBits and the like by libtiff through Pillow.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .directories import Directory, TagValue, long8s, longs, shorts, write_directory
from .exif import Tags, write_directories

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIXEL_TAGS = (
    *(254, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 284, 292, 293, 317),
    *(320, 322, 323, 324, 325, 332, 338, 339, 347, *range(512, 522), 529, 530, 531, 532),
)
"""What says how the pixels lie in the file. A decoder gets no other tag."""

_NONE, _PACKBITS, _DEFLATE = 1, 32773, (8, 32946)
_LIBTIFF = (5, _PACKBITS, 34925, 50000)  # LZW, PackBits, LZMA, Zstandard: bytes in, bytes out
_KINDS = {1: "u", 2: "i", 3: "f"}  # of SampleFormat
_AT_ONCE = 1 << 25  # bytes that are unpacked in one go
_MOST_CLASSIC = 2**32 - 2**20


@dataclass
class Samples:
    """The numbers of a file."""

    array: NDArray[Any]
    """[height, width, channels]: gray, gray+alpha, RGB or RGBA; whole numbers, or float32."""
    top: int
    """What stands for white; 1 for real numbers, which are not limited to it."""
    bits: int
    """Bits per channel that a copy needs, 8 or 16."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Layout:
    width: int
    height: int
    bits: int
    kind: str
    samples: int
    planar: bool
    compression: int
    predictor: int
    tiled: bool
    block: tuple[int, int]  # width and height of a strip or tile
    places: tuple[tuple[int, int], ...]  # where they are and how many bytes they have
    order: str


def read(data: bytes) -> Samples | None:
    """Return the numbers of a file, None when Pillow reads its kind as well as can be.

    Raises `ValueError` for damage, and `NotImplementedError` that says what is not read.
    """
    ifd = Directory(data)
    bits = ifd.numbers(258) or (1,)
    formats = ifd.numbers(339) or (1,)
    photometric, compression = ifd.number(262), ifd.number(259) or 1
    plain = photometric in (0, 1, 2) and compression in (_NONE, *_DEFLATE, *_LIBTIFF)
    shallow = max(bits) <= 8 and set(formats) <= {1, 4}
    if shallow and (not plain or set(bits) != {8} or ifd.number(266) == 2):
        return None
    if not plain or len(set(bits)) > 1 or len(set(formats)) > 1 or ifd.number(266) == 2:
        raise NotImplementedError(_described(bits, formats, photometric, compression))
    layout = _layout(data, ifd, bits[0], formats[0])
    extra = ifd.numbers(338)
    colours = 3 if photometric == 2 else 1
    if layout.samples < colours:
        raise ValueError("it has too few channels")
    return _finished(_unpacked(data, layout), layout, photometric == 0, colours, extra)


def for_pillow(data: bytes) -> bytes:
    """Return the file with a directory of `PIXEL_TAGS` alone, read upright as it lies there."""
    ifd = Directory(data)
    found = {tag: value for tag in PIXEL_TAGS if (value := ifd.value(tag)) is not None}
    at = len(data) + len(data) % 2
    body = write_directory(found, at, ifd.order, big=ifd.big)
    head = data[:8] if ifd.big else data[:4]
    head += struct.pack(ifd.order + ("Q" if ifd.big else "I"), at)
    return head + data[len(head) :] + bytes(at - len(data)) + body


def write(array: NDArray[Any], tags: Tags, order: str = "<") -> bytes:
    """Return an uncompressed TIFF of uint8 or uint16 [height, width, 1 to 4 channels].

    `tags` are further ones in that byte `order`. Beyond 4 GB it is a BigTIFF.
    """
    height, width, channels = array.shape
    bits = array.dtype.itemsize * 8
    row = width * channels * array.dtype.itemsize
    pixels = array.astype(f"{order}u{bits // 8}", copy=False).tobytes()
    big = len(pixels) + sum(len(value[2]) for ifd in tags.values() for value in ifd.values()) > (
        _MOST_CLASSIC
    )
    rows = max(1, (1 << 18) // row)
    starts = range(0, height, rows)
    counts = [min(rows, height - start) * row for start in starts]
    head = 16 if big else 8
    place = long8s if big else longs
    first: dict[int, TagValue] = {
        256: longs(order, width),
        257: longs(order, height),
        258: shorts(order, *[bits] * channels),
        259: shorts(order, _NONE),
        262: shorts(order, 2 if channels > 2 else 1),
        273: place(order, *(head + start * row for start in starts)),
        277: shorts(order, channels),
        278: longs(order, rows),
        279: place(order, *counts),
        284: shorts(order, 1),
    }
    if channels in (2, 4):
        first[338] = shorts(order, 2)
    at = head + len(pixels) + len(pixels) % 2
    mark = b"II" if order == "<" else b"MM"
    start = struct.pack(order + "HHHQ", 43, 8, 0, at) if big else struct.pack(order + "HI", 42, at)
    body = write_directories({**tags, 0: {**tags.get(0, {}), **first}}, at, order, big=big)
    return b"".join((mark, start, pixels, bytes(len(pixels) % 2), body))


def _described(
    bits: tuple[int, ...], formats: tuple[int, ...], photometric: int, compression: int
) -> str:
    names = {3: "a palette", 5: "CMYK", 6: "YCbCr", 8: "Lab", 9: "Lab", 32803: "raw sensor data"}
    depths = "/".join(map(str, sorted(set(bits))))
    parts = [names.get(photometric, "gray or RGB"), f"{depths} bits"]
    if set(formats) - {1, 4}:
        parts.append("signed or real numbers")
    if compression not in (_NONE, *_DEFLATE, *_LIBTIFF):
        parts.append(f"compression {compression}")
    return ", ".join(parts)


def _layout(data: bytes, ifd: Directory, bits: int, format: int) -> _Layout:
    width, height, samples = ifd.number(256), ifd.number(257), ifd.number(277) or 1
    kind = _KINDS.get(format if format != 4 else 1)
    compression = ifd.number(259) or 1
    # Without compression libtiff and others pay no heed to a predictor; with PackBits they differ.
    predictor = 1 if compression == _NONE else ifd.number(317) or 1
    whole = bits in (8, 16, 32, 64)
    readable = kind == "u" if bits in range(9, 16) else whole and not (kind == "f" and bits == 8)
    predicted = whole and compression != _PACKBITS and predictor in (2, 3)
    if not readable or kind is None or (predictor != 1 and not predicted):
        raise NotImplementedError(
            _described((bits,), (format,), ifd.number(262), compression)
            + (f", predictor {predictor}" if predictor != 1 else "")
        )
    tiled = ifd.count(324) > 0
    rows = min(ifd.number(278) or height, height)
    block = (ifd.number(322), ifd.number(323)) if tiled else (width, rows)
    places = ifd.numbers(324 if tiled else 273), ifd.numbers(325 if tiled else 279)
    planar = ifd.number(284) == 2 and samples > 1
    if min(block) < 1 or max(block) > 1 << 20 or block[0] * block[1] > 1 << 28 or samples > 8:
        raise ValueError("its strips or tiles have no size")
    many = -(-width // block[0]) * -(-height // block[1]) * (samples if planar else 1)
    if not many == len(places[0]) == len(places[1]):
        raise ValueError(f"it has {len(places[0])} strips or tiles in place of {many}")
    pairs = tuple(zip(*places, strict=True))
    return _Layout(
        width, height, bits, kind, samples, planar, compression, predictor, tiled, block, pairs,
        ifd.order,
    )  # fmt: skip


def _unpacked(data: bytes, layout: _Layout) -> NDArray[Any]:
    """Return [height, width, samples] as they are in the file, in the machine's byte order."""
    import numpy as np

    size = 2 if layout.bits in range(9, 16) else layout.bits // 8
    result = np.empty((layout.height, layout.width, layout.samples), f"{layout.kind}{size}")
    wide, high = layout.block
    across, down = -(-layout.width // wide), -(-layout.height // high)
    samples = 1 if layout.planar else layout.samples
    row = -(-wide * samples * layout.bits // 8)
    step = min(max(1, _AT_ONCE // (row * high)), across * down)
    for plane in range(layout.samples if layout.planar else 1):
        channels = slice(plane, plane + 1) if layout.planar else slice(None)
        for start in range(0, across * down, step):
            numbers = range(start, min(start + step, across * down))
            tops = [number // across * high for number in numbers]
            heights = [high if layout.tiled else min(high, layout.height - top) for top in tops]
            places = layout.places[plane * across * down + start :][: len(numbers)]
            packed = [data[place : place + count] for place, count in places]
            blocks = _blocks(_inflated(packed, layout.compression, row, heights), layout, samples)
            for index, (number, top) in enumerate(zip(numbers, tops, strict=True)):
                left = number % across * wide
                part = result[top : top + high, left : left + wide, channels]
                block = blocks[index * high : index * high + heights[index]]
                part[...] = block[: part.shape[0], : part.shape[1]]
    return result


def _blocks(raw: bytes, layout: _Layout, samples: int) -> NDArray[Any]:
    """Return the numbers [rows, columns, samples] of strips or tiles, one below another."""
    import numpy as np

    columns = layout.block[0]
    row = -(-columns * samples * layout.bits // 8)
    octets = np.frombuffer(raw, np.uint8).reshape(-1, row)
    shape, size = (len(octets), columns, samples), layout.bits // 8
    if layout.bits in range(9, 16):
        return _narrow(octets, layout.bits, columns * samples).reshape(shape)
    if layout.predictor == 3:  # TIFF technical note 3: bytes of equal weight, as differences
        summed = octets.reshape(len(octets), -1, samples).cumsum(axis=1, dtype=np.uint8)
        planes = summed.reshape(len(octets), size, columns * samples).transpose(0, 2, 1)
        return np.ascontiguousarray(planes).view(f">{layout.kind}{size}").reshape(shape)
    values = octets.view(f"{layout.order}u{size}").reshape(shape)
    values = values.astype(f"u{size}", copy=False)
    if layout.predictor == 2:
        values = values.cumsum(axis=1, dtype=values.dtype)
    return values.view(f"{layout.kind}{size}")


def _narrow(octets: NDArray[Any], bits: int, many: int) -> NDArray[Any]:
    """Return the numbers of 9 to 15 bits that stand without gaps, the highest bit first."""
    import numpy as np

    weights = (1 << np.arange(bits - 1, -1, -1)).astype(np.uint16)
    found = np.empty((len(octets), many), np.uint16)
    for index, row in enumerate(octets):
        found[index] = np.unpackbits(row)[: many * bits].reshape(many, bits) @ weights
    return found


def _inflated(packed: list[bytes], compression: int, row: int, heights: list[int]) -> bytes:
    """Return the bytes of strips or tiles, so many rows each, one behind another."""
    if compression in _LIBTIFF:
        found = _by_libtiff(packed, compression, row, heights)
    elif compression == _NONE:
        found = b"".join(piece[: row * rows] for piece, rows in zip(packed, heights, strict=True))
    else:
        try:
            found = b"".join(
                zlib.decompressobj().decompress(piece, row * rows)
                for piece, rows in zip(packed, heights, strict=True)
            )
        except zlib.error as error:
            raise ValueError(str(error)) from error
    if len(found) != row * sum(heights):
        raise ValueError("one of its strips or tiles ends too early")
    return found


def _by_libtiff(packed: list[bytes], compression: int, row: int, heights: list[int]) -> bytes:
    """Let libtiff unpack them as strips of gray pixels of 8 bits, which any version has.

    The file is opened past Pillow's limit on the size of pictures, which would count bytes here.
    """
    from PIL import TiffImagePlugin

    places = [8]
    for piece in packed:
        places.append(places[-1] + len(piece))
    at = places.pop()
    at += at % 2
    tags = {
        256: longs("<", row),
        257: longs("<", sum(heights)),
        258: shorts("<", 8),
        259: shorts("<", compression),
        262: shorts("<", 1),
        273: longs("<", *places),
        277: shorts("<", 1),
        278: longs("<", heights[0]),
        279: longs("<", *map(len, packed)),
    }
    data = (b"II*\0" + struct.pack("<I", at) + b"".join(packed)).ljust(at, b"\0")
    image = TiffImagePlugin.TiffImageFile(io.BytesIO(data + write_directory(tags, at, "<")))
    return image.tobytes()


def _finished(
    array: NDArray[Any], layout: _Layout, inverted: bool, colours: int, extra: tuple[int, ...]
) -> Samples:
    """Return gray, gray+alpha, RGB or RGBA where more stands for lighter."""
    import numpy as np

    notes = []
    # What is said to be nothing in particular is no transparency; without a word it is (Pillow).
    alpha = layout.samples > colours and (not extra or extra[0] in (1, 2))
    kept = colours + alpha
    if layout.samples > kept:
        notes.append(f"{layout.samples - kept} further channels")
        array = np.ascontiguousarray(array[..., :kept])
    if layout.kind == "f":
        array, top, bits = array.astype(np.float32, copy=False), 1, 16
        check_range(array, 0, 1, 0.1, notes)
        if layout.bits > 16:
            notes.append(f"what its numbers of {layout.bits} bits have beyond 16")
    elif layout.bits <= 16 and layout.kind == "u":
        top, bits = 2**layout.bits - 1, 8 if layout.bits == 8 else 16
    else:
        top, bits = {8: 127, 16: 32767}.get(layout.bits, 65535), 8 if layout.bits == 8 else 16
        check_range(array, 0, top, 0, notes)
        array = array.astype(np.uint16, copy=False)
    if inverted:
        array[..., 0] = top - array[..., 0]
    if alpha and extra[:1] == (1,):
        array, top = _divided(array, top), 1
    return Samples(array, top, bits, notes)


def check_range(
    array: NDArray[Any], low: int, high: int, tolerance: float, notes: list[str]
) -> None:
    """Raise `NotImplementedError` if numbers lie outside of what stands for black and white.

    A little of it, as filters make it, is cut off and noted.
    """
    import numpy as np

    finite = np.isfinite(array) if array.dtype.kind == "f" else None
    if finite is not None and not finite.all():
        notes.append(f"{array.size - int(finite.sum())} values that are no numbers (taken as 0)")
        array[~finite] = 0
    least, most = array.min(), array.max()
    if least < low - tolerance or most > high + tolerance:
        raise NotImplementedError(
            f"numbers from {least:g} to {most:g}, where {low} is black and {high} is white"
        )
    if least < low or most > high:
        notes.append(f"numbers from {least:g} to {most:g} (cut to {low} to {high})")


def _divided(array: NDArray[Any], top: int) -> NDArray[Any]:
    """Return colours that are not multiplied by alpha, as float32 in 0..1."""
    import numpy as np

    found: NDArray[Any] = array.astype(np.float32) / np.float32(top)
    alpha = found[..., -1:]
    np.divide(found[..., :-1], alpha, out=found[..., :-1], where=alpha > 0)
    return found
