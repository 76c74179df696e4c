"""What an encoded picture says about itself: format, size, orientation, whether it moves.

Nothing is decoded or inflated, and no decoder sees the file. Every reader takes a bounded number of
steps, whatever the file claims. Damage is a `ValueError`.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .directories import Directory

MOST_STEPS = 100_000
"""Chunks, blocks or markers of one file. A photo has some hundreds."""

MOST_SCANS = 100
"""Passes of a JPEG over its pixels. Progressive ones have about ten; each costs a whole decode."""

_ORIENTATION = 0x0112  # TIFF 6.0 and EXIF 2.3
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')


@dataclass(frozen=True)
class Head:
    """The size in pixels, and what a decoder would be asked for."""

    width: int
    height: int
    orientation: int = 1
    """How it is to be turned to stand upright, 1 to 8 (EXIF); `width` and `height` are before."""
    moves: bool = False
    """Whether it has several frames or pages."""


def sniff(data: bytes) -> str:
    """Return the format that the first bytes tell, in lower case; empty for none that is known.

    Formats that are only named, since no reader here takes them, are in capitals.
    """
    if data[4:8] == b"ftyp":  # ISO/IEC 23008-12: one major brand, then those that fit as well
        brands = {data[at : at + 4] for at in (8, *range(16, min(_u32(data, 0), 256), 4))}
        return "avif" if brands & {b"avif", b"avis"} else "HEIC or video"
    if data[:4] == b"RIFF":
        return "webp" if data[8:12] == b"WEBP" else ""
    for start, name in _STARTS.items():
        if data.startswith(start):
            return name
    return "ppm" if re.match(rb"P[1-6fF][\s#]", data) else ""


_STARTS = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
    b"BM": "bmp",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"%PDF": "PDF",
    b"8BPS": "PSD",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\0\0\x01\0": "ICO",
    b"<svg": "SVG",
    b"<?xml": "SVG or XML",
    b"<!DOCTYPE": "HTML",
    b"<html": "HTML",
    b"PK\x03\x04": "ZIP",
}


def read_head(data: bytes, format: str) -> Head:
    """Return what a file of a format that `READERS` names says; `ValueError` for damage."""
    try:
        head = READERS[format](data)
    except struct.error as error:
        raise ValueError("it ends too early") from error
    if head.width < 1 or head.height < 1:
        raise ValueError(f"it has {head.width} x {head.height} px")
    return head


def _png(data: bytes) -> Head:
    """PNG, 3rd edition; its frames are counted as Pillow does."""
    if data[8:16] != b"\0\0\0\x0dIHDR":
        raise ValueError("it does not begin with its header")
    width, height = struct.unpack_from(">II", data, 16)
    exif, xmp, frames, first, pixels = b"", b"", 0, False, False
    for kind, start, end in _chunks(data, 33, ">"):
        if kind == b"IHDR":
            raise ValueError("it has two headers")
        if kind == b"acTL" and not pixels:
            frames = _u32(data, start)
        elif kind == b"fcTL":
            first = first or not pixels
        elif kind == b"IDAT":
            pixels = True
        elif kind == b"eXIf":
            exif = data[start:end]
        elif kind == b"iTXt" and data.startswith(b"XML:com.adobe.xmp\0\0", start):
            xmp = data[start:end]
    moves = 0 < frames <= 0x8000_0000 and frames + (not first) > 1
    return Head(width, height, turned(exif, xmp), moves)


def _jpeg(data: bytes) -> Head:
    """JPEG (ITU T.81); further images behind its end, as in an MPO, are left alone."""
    size, exif, xmp, scans, at = None, b"", b"", 0, 2
    for _ in range(MOST_STEPS):
        found = MARKER.search(data, at)
        if found is None or found[0] == b"\xff\xd9":
            break
        marker, at = found[0][1], found.end()
        if marker in (0x01, 0xD8):  # these two stand alone
            continue
        length = _u16(data, at)
        if length < 2:
            raise ValueError("one of its segments is too short")
        if marker == 0xDA:
            scans += 1
        elif marker == 0xE1 and not exif and data.startswith(b"Exif\0", at + 2):
            exif = data[at + 2 : at + length]
        elif marker == 0xE1 and data.startswith(b"http://ns.adobe.com/xap/1.0/\0", at + 2):
            xmp = data[at + 2 : at + length]
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if size is not None:
                raise ValueError("it has two headers")
            height, width = struct.unpack_from(">HH", data, at + 3)
            size = width, height
        at += length
    else:
        raise ValueError("it has too many segments")
    if size is None:
        raise ValueError("it has no header")
    if scans > MOST_SCANS:
        raise ValueError(f"it is drawn in {scans} passes")
    return Head(*size, turned(exif, xmp))


MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # no stuffed zero, no restart, no filling


def _webp(data: bytes) -> Head:
    """WebP (RFC 9649)."""
    size, exif, xmp, frames = None, b"", b"", 0
    for kind, start, end in _chunks(data, 12, "<"):
        if kind == b"EXIF":
            exif = data[start:end]
        elif kind == b"XMP ":
            xmp = data[start:end]
        elif kind == b"ANMF":
            frames += 1
        if size is not None:
            continue
        if kind == b"VP8X":
            sides = data[start + 4 : start + 7], data[start + 7 : start + 10]
            size = tuple(int.from_bytes(side, "little") + 1 for side in sides)
        elif kind == b"VP8L":
            bits = struct.unpack_from("<I", data, start + 1)[0]
            size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        elif kind == b"VP8 ":
            wide, high = struct.unpack_from("<HH", data, start + 6)
            size = wide & 0x3FFF, high & 0x3FFF
        else:
            raise ValueError("it does not begin with its header")
    if size is None:
        raise ValueError("it has no header")
    return Head(size[0], size[1], turned(exif, xmp), moves=frames > 1)


def _chunks(data: bytes, at: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start, end) of the chunks of a PNG (`order` >) or a RIFF file (<)."""
    png = order == ">"
    layout = struct.Struct(">I4s" if png else "<4sI")
    for _ in range(MOST_STEPS):
        if at + 8 > len(data):
            return
        first, second = layout.unpack_from(data, at)
        kind, length = (second, first) if png else (first, second)
        yield kind, at + 8, at + 8 + length
        if kind == b"IEND":
            return
        at += 8 + length + (4 if png else length % 2)  # a checksum, or filling
    raise ValueError("it has too many chunks")


def _gif(data: bytes) -> Head:
    """GIF 89a. A first frame that is larger than the screen enlarges it, as Pillow has it."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at, frames = 13 + _colours(flags), 0
    for _ in range(MOST_STEPS):
        kind = data[at : at + 1]
        if frames > 1 or kind in (b"", b";"):
            break
        if kind == b",":
            left, top, wide, high, flags = struct.unpack_from("<HHHHB", data, at + 1)
            if frames == 0:
                width, height = max(width, left + wide), max(height, top + high)
            frames += 1
            at += 11 + _colours(flags)  # the smallest code follows the table
        else:
            at += 2 if kind == b"!" else 1
        if kind in b",!":
            at = _blocks_end(data, at)
    else:
        raise ValueError("it has too many blocks")
    if frames == 0:
        raise ValueError("it has no picture")
    return Head(width, height, moves=frames > 1)


def _blocks_end(data: bytes, at: int) -> int:
    """Return where the blocks of up to 255 bytes end that begin at `at`; the last is empty."""
    for _ in range(10 * MOST_STEPS):  # a photo of 90 million pixels has some 300,000
        size = data[at] if at < len(data) else 0
        at += 1 + size
        if size == 0:
            return at
    raise ValueError("it has too many blocks")


def _colours(flags: int) -> int:
    """Return how many bytes the colour table has that `flags` announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _bmp(data: bytes) -> Head:
    """Windows and OS/2 bitmaps; a negative height says that the first row is the top."""
    if _header_size(data) == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return Head(width, abs(height))


def _header_size(data: bytes) -> int:
    return int(struct.unpack_from("<I", data, 14)[0])


def _ppm(data: bytes) -> Head:
    """Netpbm's PBM, PGM and PPM, and PFM: two numbers among white space and comments."""
    found = _NETPBM.match(data, 2)
    if found is None:
        raise ValueError("its header names no size")
    return Head(int(found[1]), int(found[2]))


_GAP = rb"(?:\s|#[^\r\n]{0,1000}[\r\n]){1,100}"
_NETPBM = re.compile(_GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})(?!\d)")


def _tiff(data: bytes) -> Head:
    """TIFF 6.0 and BigTIFF."""
    ifd = Directory(data)
    if max(ifd.count(0x111), ifd.count(0x144)) > MOST_STEPS:
        raise ValueError("it has too many strips")
    moves = ifd.next not in (0, ifd.at) and ifd.next < len(data)
    return Head(ifd.number(0x100), ifd.number(0x101), turned(data, ifd.bytes(0x2BC)), moves)


def turned(exif: bytes, xmp: bytes) -> int:
    """Return the orientation that EXIF, else XMP, asks for; damaged EXIF asks for none."""
    start = exif.removeprefix(b"Exif\0\0")
    orientation = 0
    if sniff(start[:8]) == "tiff":
        with contextlib.suppress(ValueError, struct.error):
            orientation = Directory(start).number(_ORIENTATION)
    if not orientation and (found := _XMP.search(xmp)):
        orientation = int(found[1])
    return orientation if 1 <= orientation <= 8 else 1


def _u16(data: bytes, at: int) -> int:
    return int(struct.unpack_from(">H", data, at)[0])


def _u32(data: bytes, at: int) -> int:
    return int(struct.unpack_from(">I", data, at)[0])


READERS: dict[str, Callable[[bytes], Head]] = {
    "png": _png,
    "jpeg": _jpeg,
    "webp": _webp,
    "tiff": _tiff,
    "bmp": _bmp,
    "gif": _gif,
    "ppm": _ppm,
}
"""Who reads which format. AVIF is left to libavif, which parses it without decoding."""
