"""PNG, JPEG and WebP files taken apart: the pixels for a decoder, the rest as parts, and back.

A decoder never sees metadata, so that damage there cannot cost the picture. Nothing is inflated.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from .headers import MARKER, MOST_STEPS


class Part(NamedTuple):
    """A chunk of a PNG or WebP, or a segment of a JPEG."""

    kind: str
    """Its four letters; APP1 and the like, COM."""
    data: bytes
    sound: bool = True
    """Whether its checksum fits; only PNG has one."""


_PNG_PIXELS = (b"IHDR", b"PLTE", b"IDAT")
_KEYS = {0: (2,), 2: (6,), 3: range(1, 257)}  # bytes of tRNS by the type of colour
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG_PIXELS = {*range(0xC0, 0xD0), 0xDB, 0xDD}  # frames and the tables for them
_WEBP_PIXELS = (b"ALPH", b"VP8 ", b"VP8L")
_NEXT = re.compile(rb"PLTE|tRNS|IDAT|IEND")


def split(data: bytes, format: str) -> tuple[bytes, list[Part]]:
    """Return a file of the pixels alone, and all other parts in their order."""
    splitters = {"png": _split_png, "jpeg": _split_jpeg, "webp": _split_webp}
    return splitters[format](data)


def join(data: bytes, format: str, parts: Iterable[Part]) -> bytes:
    """Return a file that was just encoded with `parts` put where its format wants them."""
    parts = list(parts)
    if not parts:
        return data
    return {"png": _join_png, "jpeg": _join_jpeg, "webp": _join_webp}[format](data, parts)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _split_png(data: bytes) -> tuple[bytes, list[Part]]:
    kept, parts, at = [data[:8]], [], 8
    for _ in range(MOST_STEPS):
        if at + 8 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if kind == b"IEND":
            break
        if kind in _PNG_PIXELS:
            kept.append(data[at:end])
            at = end
            continue
        body = data[at + 8 : end - 4]
        sound = end <= len(data) and zlib.crc32(kind + body) == _u32(data, end - 4)
        if kind == b"tRNS" and sound and len(body) in _KEYS.get(data[25], ()):
            kept.append(data[at:end])
            at = end
            continue
        if not sound and not _is_chunk(data, end):  # its length is wrong as well
            end = _next_pixels(data, at + 8)
        parts.append(Part(kind.decode("latin-1"), body, sound))
        at = end
    return b"".join(kept) + png_chunk(b"IEND", b""), parts


def _is_chunk(data: bytes, at: int) -> bool:
    kind = data[at + 4 : at + 8]
    return len(kind) == 4 and kind.isalpha() and at + 12 + _u32(data, at) <= len(data)


def _next_pixels(data: bytes, at: int) -> int:
    """Return where the next chunk of pixels begins whose checksum fits, else the file's end."""
    for found in _NEXT.finditer(data, at):
        start = found.start() - 4
        end = found.end() + _u32(data, start)
        if end + 4 <= len(data) and zlib.crc32(data[start + 4 : end]) == _u32(data, end):
            return start
    return len(data)


def _join_png(data: bytes, parts: list[Part]) -> bytes:
    chunks = b"".join(png_chunk(part.kind.encode("latin-1"), part.data) for part in parts)
    return data[:33] + chunks + data[33:]


def _split_jpeg(data: bytes) -> tuple[bytes, list[Part]]:
    kept, parts, at = [data[:2]], [], 2
    for _ in range(MOST_STEPS):
        found = MARKER.search(data, at)
        if found is None or found[0][1] in (0xD9, 0xDA):
            break
        marker, at = found[0][1], found.end()
        if marker in (0x01, 0xD8):
            continue
        end = at + struct.unpack_from(">H", data, at)[0]
        body = data[at + 2 : end]
        if marker in _JPEG_FRAMES and body[:1] not in (b"", b"\x08"):
            raise NotImplementedError(f"{body[0]} bits per channel")
        if marker in _JPEG_PIXELS or (marker == 0xEE and body.startswith(b"Adobe")):
            kept.append(b"\xff" + data[found.start() + 1 : end])
        else:
            if marker == 0xE0 and body.startswith(b"JFIF\0"):  # it says how colours are stored
                kept.append(_segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"))
            name = f"APP{marker - 0xE0}" if 0xE0 <= marker <= 0xEF else "COM"
            parts.append(Part(name if marker >= 0xE0 else f"{marker:X}", body))
        at = end
    return b"".join(kept) + data[found.start() if found else len(data) :], parts


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _join_jpeg(data: bytes, parts: list[Part]) -> bytes:
    """Put segments behind the JFIF header that the encoder wrote; one of the parts replaces it."""
    at = 4 + struct.unpack_from(">H", data, 4)[0] if data[2:4] == b"\xff\xe0" else 2
    head, segments = data[2:at], b""
    for kind, body, _ in parts:
        if kind == "APP0":
            head = _segment(0xE0, body)
        else:
            segments += _segment(0xFE if kind == "COM" else 0xE0 + int(kind[3:]), body)
    return data[:2] + head + segments + data[at:]


def _split_webp(data: bytes) -> tuple[bytes, list[Part]]:
    kept, parts, at = b"", [], 12
    for _ in range(MOST_STEPS):
        if at + 8 > len(data):
            break
        kind, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length + length % 2
        if kind in _WEBP_PIXELS:
            kept += data[at:end]
        elif kind == b"VP8X":
            flags = data[at + 8] & 0x10  # transparency stays; the rest is no longer there
            kept += data[at : at + 8] + bytes([flags]) + data[at + 9 : end]
        elif kind in (b"ANIM", b"ANMF"):  # one frame that calls itself moving
            return data, []
        else:
            sound = at + 8 + length <= len(data)
            parts.append(Part(kind.decode("latin-1"), data[at + 8 : at + 8 + length], sound))
        at = end
    return _riff(kept), parts


def _riff(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def _webp_chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _join_webp(data: bytes, parts: list[Part]) -> bytes:
    """Write the extended form (RFC 9649, 2.7), whose header says what there is."""
    bits = {"ICCP": 0x20, "EXIF": 0x08, "XMP ": 0x04}
    first, flags = data[12:16], 0
    if first == b"VP8X":
        flags, size, rest = data[20] & 0x10, data[24:30], data[30:]
    elif first == b"VP8L":
        word = struct.unpack_from("<I", data, 21)[0]
        flags = 0x10 if word >> 28 & 1 else 0
        sides = word & 0x3FFF, word >> 14 & 0x3FFF
        size, rest = b"".join(side.to_bytes(3, "little") for side in sides), data[12:]
    else:
        sides = tuple((side & 0x3FFF) - 1 for side in struct.unpack_from("<HH", data, 26))
        size, rest = b"".join(side.to_bytes(3, "little") for side in sides), data[12:]
    before, behind = b"", b""
    for kind, body, _ in parts:
        flags |= bits[kind]
        made = _webp_chunk(kind.encode(), body)
        before, behind = (before + made, behind) if kind == "ICCP" else (before, behind + made)
    head = _webp_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + size)
    return _riff(head + before + rest + behind)


def _u32(data: bytes, at: int) -> int:
    return int(struct.unpack_from(">I", data, at)[0]) if 0 <= at <= len(data) - 4 else 0
