"""EXIF data (CIPA DC-008): what of it can be kept, and what it says about the picture's size."""

from __future__ import annotations

import struct

from .directories import (
    EXIF_IFD,
    GPS_IFD,
    INTEROP_IFD,
    Directory,
    TagValue,
    longs,
    rational,
    shorts,
    write_directory,
)

ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x0112, 0x011A, 0x011B, 0x0128
USER_COMMENT = 0x9286
_WIDTHS, _HEIGHTS = (0x0100, 0xA002), (0x0101, 0xA003)  # in the first directory, in that of EXIF
_DROPPED = {ORIENTATION, 0x0103, 0x0111, 0x0117, 0x0201, 0x0202, 0x014A}
"""The orientation, since pixels are upright, and where other pixels lie."""
_THUMBNAIL, _THUMBNAIL_SIZE = 0x0201, 0x0202

# Description, camera, resolution, software, date, author, rights (TIFF 6.0), and Windows' own
DESCRIPTIVE = {
    *(270, 271, 272, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, 305, 306, 315, 33432),
    *(269, 285, 316, 18246, 18249, *range(40091, 40096)),
}

Tags = dict[int, dict[int, TagValue]]
"""Directories by the tag that names them, 0 for the first one: each a tag's value by the tag."""


def cleaned(exif: bytes) -> tuple[bytes | None, str]:
    """Return what of EXIF data can be kept, and what could not, in words.

    The thumbnail, which shows the picture as it was, goes silently. The rest keeps its place, as
    makers' notes need it.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    try:
        if exif[:4] not in (b"II*\0", b"MM\0*"):
            raise ValueError("it is none")
        first = Directory(exif)
        first.check()
        thumbnail = _thumbnail(exif, first)
        data, damaged = bytearray(exif), 0
        for ifd in _all(first):
            bad = [tag for tag in ifd.tags if ifd.value(tag) is None or _leads_nowhere(ifd, tag)]
            damaged += len(bad)
            _remove(data, ifd, {*bad, *_DROPPED})
    except (ValueError, struct.error):
        return None, "damaged EXIF"
    if thumbnail and thumbnail[1] >= len(data) - 2:
        del data[thumbnail[0] :]
    if not Directory(bytes(data)).tags:
        return None, "damaged EXIF" if damaged else ""
    return bytes(data), f"{damaged} damaged EXIF tags" if damaged else ""


def resized(exif: bytes, width: int, height: int) -> bytes:
    """Return clean EXIF data with the size of the picture corrected, where it has one."""
    data = bytearray(exif)
    for ifd in _all(Directory(exif)):
        step, head = (12, 2)
        for index in range(_count(data, ifd)):
            place = ifd.at + head + step * index
            tag = struct.unpack_from(ifd.order + "H", data, place)[0]
            if tag in (*_WIDTHS, *_HEIGHTS):
                side = width if tag in _WIDTHS else height
                struct.pack_into(ifd.order + "HII", data, place + 2, 4, 1, side)
    return bytes(data)


def read_tags(data: bytes, ifd: Directory, *, descriptive: bool = False) -> Tags:
    """Return the directories of EXIF data, or what is `descriptive` of a TIFF's, copied."""
    found: Tags = {0: {}}
    exif = ifd.below(EXIF_IFD)
    for name, below in (
        (0, ifd),
        (EXIF_IFD, exif),
        (GPS_IFD, ifd.below(GPS_IFD)),
        (INTEROP_IFD, exif.below(INTEROP_IFD) if exif else None),
    ):
        for tag in below.tags if below else ():
            if name == 0 and descriptive and tag not in DESCRIPTIVE:
                continue
            value = below.value(tag) if below else None
            if value is not None and value[0] < 13 and tag not in (EXIF_IFD, GPS_IFD, INTEROP_IFD):
                found.setdefault(name, {})[tag] = value
    return found


def write_tags(tags: Tags, order: str) -> bytes:
    """Return EXIF data of such directories."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    body = write_directories(tags, 8, order)
    return head + body


def write_directories(tags: Tags, at: int, order: str, *, big: bool = False) -> bytes:
    """Return the directories one after another, the first at `at` of its file."""
    first, exif = dict(tags[0]), dict(tags.get(EXIF_IFD, {}))
    # Their places are known when all before them are; numbers take the same room whatever they are.
    for name in (EXIF_IFD, GPS_IFD):
        if tags.get(name):
            first[name] = longs(order, 0)
    if tags.get(INTEROP_IFD):
        exif[INTEROP_IFD] = longs(order, 0)
    place = at + len(write_directory(first, at, order, big=big))
    behind = []
    further = {INTEROP_IFD: tags.get(INTEROP_IFD), EXIF_IFD: exif, GPS_IFD: tags.get(GPS_IFD)}
    for name, inner in further.items():
        if not inner:
            continue
        behind.append(bytes(place % 2))
        place += place % 2
        (exif if name == INTEROP_IFD else first)[name] = longs(order, place)
        behind.append(write_directory(inner, place, order, big=big))
        place += len(behind[-1])
    return write_directory(first, at, order, big=big) + b"".join(behind)


def with_tags(exif: bytes | None, first: dict[int, TagValue], comment: str = "") -> bytes:
    """Return EXIF data with more tags, those that it has left as they are.

    `first` goes into the first directory, in big-endian order as all that is made here. `comment`
    becomes the user's comment, in the form that the WebUI reads.
    """
    order = "<" if exif and exif[:2] == b"II" else ">"
    tags = read_tags(exif, Directory(exif)) if exif else {0: {}}
    for tag, value in first.items():
        tags[0].setdefault(tag, value)
    if comment:
        text = b"UNICODE\0" + comment.encode("utf-16-be", "replace")
        tags.setdefault(EXIF_IFD, {}).setdefault(USER_COMMENT, (7, len(text), text))
    return write_tags(tags, order)


def density_tags(x: float, y: float, order: str) -> dict[int, TagValue]:
    """Return the tags that say so many pixels per inch."""
    return {
        X_RESOLUTION: rational(order, x),
        Y_RESOLUTION: rational(order, y),
        RESOLUTION_UNIT: shorts(order, 2),
    }


def read_density(ifd: Directory) -> tuple[float, float, bool] | None:
    """Return pixels per inch in both directions; False says that only their ratio is known."""
    sides = []
    for tag in (X_RESOLUTION, Y_RESOLUTION):
        value = ifd.value(tag)
        if value is None or value[:2] != (5, 1):
            return None
        upper, lower = struct.unpack(ifd.order + "II", value[2])
        sides.append(upper / lower if lower else 0.0)
    unit = ifd.number(RESOLUTION_UNIT)
    scale = 2.54 if unit == 3 else 1.0
    if min(sides) <= 0 or max(sides) > 1e6:
        return None
    return sides[0] * scale, sides[1] * scale, unit != 1


def _all(first: Directory) -> list[Directory]:
    exif = first.below(EXIF_IFD)
    further = (exif, first.below(GPS_IFD), exif.below(INTEROP_IFD) if exif else None)
    return [first, *(ifd for ifd in further if ifd is not None)]


def _leads_nowhere(ifd: Directory, tag: int) -> bool:
    return tag in (EXIF_IFD, GPS_IFD, INTEROP_IFD) and ifd.below(tag) is None


def _thumbnail(data: bytes, first: Directory) -> tuple[int, int] | None:
    """Return where the thumbnail begins and ends, if there is one."""
    if not first.next:
        return None
    try:
        ifd = Directory(data, first.next)
        start, size = ifd.number(_THUMBNAIL), ifd.number(_THUMBNAIL_SIZE)
    except (ValueError, struct.error):
        return None
    return (start, start + size) if start > first.at and size else None


def _count(data: bytearray, ifd: Directory) -> int:
    return int(struct.unpack_from(ifd.order + "H", data, ifd.at)[0])


def _remove(data: bytearray, ifd: Directory, tags: set[int]) -> None:
    """Take tags out of a directory, and the link to what follows it."""
    count = _count(data, ifd)
    start = ifd.at + 2
    entries = [bytes(data[start + 12 * n : start + 12 * n + 12]) for n in range(count)]
    kept = [entry for entry in entries if struct.unpack_from(ifd.order + "H", entry)[0] not in tags]
    struct.pack_into(ifd.order + "H", data, ifd.at, len(kept))
    end = min(start + 12 * count + 4, len(data))
    data[start:end] = b"".join(kept).ljust(end - start, b"\0")
