"""What a video's file says of itself; no frame is decoded and little of the file is read.

Formats: ISO/IEC 14496-12 (MP4, and QuickTime, which it came from), RFC 8794 and RFC 9559 (EBML and
Matroska, of which WebM is a part).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import InvalidInputError

MIMES = {
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "mkv": "video/x-matroska",
}
"""Formats, which are the endings of their files' names as well, and their types."""

_FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp"}
_BOXES = {*_FIRST_BOXES, b"moof", b"sidx", b"mfra", b"meta", b"uuid", b"udta", b"emsg"}
_EBML = 0x1A45DFA3
_DOC_TYPE, _SEGMENT, _CLUSTER = 0x4282, 0x18538067, 0x1F43B675
_INFO, _TIMESTAMP_SCALE, _DURATION = 0x1549A966, 0x2AD7B1, 0x4489
_TRACKS, _TRACK, _VIDEO, _WIDTH, _HEIGHT = 0x1654AE6B, 0xAE, 0xE0, 0xB0, 0xBA
_MOST_PARTS = 100_000  # of a file
_MOST_INSIDE = 300  # of one of its parts
_LONGEST_VALUE = 256  # of the numbers and names that are read, bytes


@dataclass(frozen=True)
class Header:
    """What a video's file says."""

    format: str
    """One of `MIMES`."""
    width: int = 0
    height: int = 0
    """Of an upright frame, pixels; 0 when the file does not tell."""
    seconds: float | None = None
    """How long it is, None when the file does not tell."""


@dataclass(frozen=True)
class _Part:
    """A box of MP4, or an element of Matroska: where its content lies in the file."""

    kind: bytes | int
    start: int
    end: int


def sniff(head: bytes) -> str:
    """Return the format that the first 64 bytes of a file tell, empty for none of `MIMES`."""
    if head[:4] == _EBML.to_bytes(4, "big"):
        return "webm" if b"webm" in head[:64] else "mkv"
    if head[4:8] not in _FIRST_BOXES:
        return ""
    return "mp4" if head[4:8] in (b"ftyp", b"styp") and head[8:12] != b"qt  " else "mov"


def read_header(path: Path, name: str = "video") -> Header:
    """Return what a file says; raises `InvalidInputError`, that names `name`, for what is no video
    of `MIMES` and for one that is cut off."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            format = sniff(file.read(64))
            if not size or not format:
                raise InvalidInputError(name, f"{name} {_described(size)}")
            read = _read_boxes if format in ("mp4", "mov") else _read_elements
            return read(file, size, format)
    except OSError as error:
        raise InvalidInputError(name, f"Cannot read {name} ({error.strerror}).") from error
    except (ValueError, IndexError, OverflowError, struct.error) as error:
        raise InvalidInputError(
            name, f"{name} is damaged or cut off ({error}); copy or export it again."
        ) from error


def _described(size: int) -> str:
    if not size:
        return "is empty (0 bytes); export it again."
    return f"is not a video of a format that is taken ({', '.join(MIMES)}); export it as MP4."


def _bytes(file: BinaryIO, part: _Part) -> bytes:
    """Return the content of a short part."""
    file.seek(part.start)
    return file.read(min(part.end - part.start, _LONGEST_VALUE))


def _within(parts: Iterator[_Part], *kinds: bytes | int) -> dict[bytes | int, _Part]:
    """Return the first part of each of these kinds."""
    found: dict[bytes | int, _Part] = {}
    for part in parts:
        if part.kind in kinds:
            found.setdefault(part.kind, part)
        if len(found) == len(kinds):
            break
    return found


# --- MP4


def _read_boxes(file: BinaryIO, size: int, format: str) -> Header:
    movie = next((box for box in [*_file_boxes(file, size)] if box.kind == b"moov"), None)
    if movie is None:
        raise ValueError("the list of its frames is missing")
    seconds, pixels = None, None
    for box in _boxes(file, movie.start, movie.end):
        if box.kind == b"mvhd":
            seconds = _duration(_bytes(file, box))
        if box.kind == b"trak" and pixels is None:
            pixels = _track_size(file, box)
    if pixels is None:
        raise ValueError("it has no frames")
    return Header(format, *pixels, seconds)


def _file_boxes(file: BinaryIO, size: int) -> Iterator[_Part]:
    """Yield the boxes of a file; raise `ValueError` if one is cut off. What follows them, as some
    programs append their own, is left out."""
    for box in _boxes(file, 0, size, _MOST_PARTS):
        if box.kind not in _BOXES:
            return
        if box.end > size:
            raise ValueError("a part of it is larger than the file")
        yield box


def _boxes(file: BinaryIO, start: int, end: int, most: int = _MOST_INSIDE) -> Iterator[_Part]:
    """Yield the boxes that begin between two places."""
    for _ in range(most):
        if start + 8 > end:
            return
        file.seek(start)
        head = file.read(16)
        size, kind = struct.unpack_from(">I4s", head)
        inside = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", head, 8)
            inside += 8
        elif size == 0:
            size = end - start
        if size < inside - start:
            raise ValueError("a part of it has no size")
        yield _Part(kind, inside, start + size)
        start += size


def _duration(content: bytes) -> float | None:
    """Return the seconds of a movie header (mvhd)."""
    scale, ticks = struct.unpack_from(
        *((">IQ", content, 20) if content[0] else (">II", content, 12))
    )
    unknown = ticks in (0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
    return None if unknown or not scale else ticks / scale


def _track_size(file: BinaryIO, track: _Part) -> tuple[int, int] | None:
    """Return width and height of a track (trak) of frames, None for another one."""
    found = _within(_boxes(file, track.start, track.end), b"tkhd", b"mdia")
    if len(found) < 2:
        return None
    media = found[b"mdia"]
    handler = _within(_boxes(file, media.start, media.end), b"hdlr").get(b"hdlr")
    if handler is None or _bytes(file, handler)[8:12] != b"vide":
        return None
    content = _bytes(file, found[b"tkhd"])
    at = 52 if content[0] else 40  # of the matrix that turns it
    upright, width, height = struct.unpack_from(">i32xII", content, at)
    return (width >> 16, height >> 16) if upright else (height >> 16, width >> 16)


# --- Matroska


def _read_elements(file: BinaryIO, size: int, format: str) -> Header:
    top = _within(_elements(file, 0, size), _EBML, _SEGMENT)
    if len(top) < 2:
        raise ValueError("it ends within its head")
    head, segment = top[_EBML], top[_SEGMENT]
    if segment.end > size:
        raise ValueError("a part of it is larger than the file")
    kind = _within(_elements(file, head.start, head.end), _DOC_TYPE).get(_DOC_TYPE)
    format = "webm" if kind and _bytes(file, kind).rstrip(b"\0") == b"webm" else "mkv"
    seconds, pixels = None, (0, 0)
    for part in _elements(file, segment.start, segment.end):
        if part.kind == _CLUSTER:  # the frames
            break
        if part.kind == _INFO:
            seconds = _length(file, part)
        if part.kind == _TRACKS:
            pixels = _frame_size(file, part)
    return Header(format, *pixels, seconds)


def _elements(file: BinaryIO, start: int, end: int) -> Iterator[_Part]:
    """Yield the elements that begin between two places; one of unknown size reaches to the end."""
    for _ in range(_MOST_INSIDE):
        if start >= end:
            return
        file.seek(start)
        head = file.read(12)
        kind_size = _vint_size(head, 0)
        size_size = _vint_size(head, kind_size)
        kind = int.from_bytes(head[:kind_size], "big")
        inside = start + kind_size + size_size
        size = int.from_bytes(head[kind_size : kind_size + size_size], "big")
        size &= (1 << 7 * size_size) - 1
        after = end if size == (1 << 7 * size_size) - 1 else inside + size
        yield _Part(kind, inside, after)
        start = after


def _vint_size(head: bytes, at: int) -> int:
    """Return how many bytes a number of variable length has."""
    if at >= len(head) or not head[at]:
        raise ValueError("a part of it has no size")
    size = 9 - head[at].bit_length()
    if at + size > len(head):
        raise ValueError("it ends within a part")
    return size


def _length(file: BinaryIO, info: _Part) -> float | None:
    found = _within(_elements(file, info.start, info.end), _TIMESTAMP_SCALE, _DURATION)
    if _DURATION not in found:
        return None
    content = _bytes(file, found[_DURATION])
    (ticks,) = struct.unpack(">d" if len(content) == 8 else ">f", content)
    scale = 1_000_000
    if _TIMESTAMP_SCALE in found:
        scale = int.from_bytes(_bytes(file, found[_TIMESTAMP_SCALE]), "big")
    seconds = float(ticks) * scale / 1e9
    return seconds if 0 < seconds < float("inf") else None


def _frame_size(file: BinaryIO, tracks: _Part) -> tuple[int, int]:
    for track in _elements(file, tracks.start, tracks.end):
        if track.kind != _TRACK:
            continue
        video = _within(_elements(file, track.start, track.end), _VIDEO).get(_VIDEO)
        if video is not None:
            sides = _within(_elements(file, video.start, video.end), _WIDTH, _HEIGHT)
            found = {
                kind: int.from_bytes(_bytes(file, part), "big") for kind, part in sides.items()
            }
            return found.get(_WIDTH, 0), found.get(_HEIGHT, 0)
    raise ValueError("it has no frames")
