"""Directories of TIFF 6.0 and BigTIFF files, which EXIF data has as well: read and written."""

from __future__ import annotations

import struct

MOST_TAGS = 4096
"""Values in one directory of a TIFF file. A photo has about a hundred."""

EXIF_IFD, GPS_IFD, INTEROP_IFD = 0x8769, 0x8825, 0xA005
"""The tags that name further directories (EXIF 2.3); the last stands in that of EXIF."""

# Bytes of a value of each type, by its number, and the types that hold a whole number.
_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)
_WHOLE = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}

TagValue = tuple[int, int, bytes]
"""Type, count and bytes of a tag, in the file's own byte order."""


class Directory:
    """A directory of a TIFF file or of EXIF data: where its values are, not the values."""

    def __init__(self, data: bytes, at: int | None = None) -> None:
        """Read the directory at `at`, else the first one."""
        self._data = data
        self.order = "<" if data[:2] == b"II" else ">"
        self.big = data[2:4] in (b"+\0", b"\0+")
        self.at = self._offset(8 if self.big else 4) if at is None else at
        many = self._read("Q" if self.big else "H", self.at)
        if many > MOST_TAGS:
            raise ValueError("it has too many tags")
        start, step = self.at + (8 if self.big else 2), 20 if self.big else 12
        end = start + many * step
        self._tags: dict[int, tuple[int, int, int]] = {}  # tag: type, count, where the value is
        for place in range(start, end, step):
            tag, kind = self._read("H", place), self._read("H", place + 2)
            count = self._read("Q" if self.big else "I", place + 4)
            self._tags.setdefault(tag, (kind, count, place + (12 if self.big else 8)))
        self.next = self._offset(end) if end + (8 if self.big else 4) <= len(data) else 0

    @property
    def tags(self) -> list[int]:
        """The tags that it has, as they stand in the file."""
        return list(self._tags)

    def number(self, tag: int) -> int:
        """Return a tag's whole number, 0 for none."""
        kind, count, place = self._tags.get(tag, (0, 0, 0))
        return self._read(_WHOLE[kind], place) if kind in _WHOLE and count == 1 else 0

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return a tag's whole numbers; none when it is not there, `ValueError` for damage."""
        if tag not in self._tags:
            return ()
        value = self.value(tag)
        if value is None or value[0] not in _WHOLE:
            raise ValueError(f"its tag {tag} cannot be read")
        kind, count, data = value
        return struct.unpack(f"{self.order}{count}{_WHOLE[kind]}", data)

    def count(self, tag: int) -> int:
        """Return how many values a tag says that it has."""
        return self._tags.get(tag, (0, 0, 0))[1]

    def bytes(self, tag: int) -> bytes:
        """Return the bytes of a tag of type BYTE or UNDEFINED, none for another."""
        kind, count, place = self._tags.get(tag, (0, 0, 0))
        if kind not in (1, 7) or count <= 8:
            return b""
        return self._data[self._offset(place) : self._offset(place) + count]

    def value(self, tag: int) -> TagValue | None:
        """Return a tag as it stands in the file; None when it is damaged or not there."""
        kind, count, place = self._tags.get(tag, (0, 0, 0))
        size = count * _SIZES[kind] if kind < len(_SIZES) else 0
        if size == 0:
            return None
        at = place if size <= (8 if self.big else 4) else self._offset(place)
        data = self._data[at : at + size]
        return (kind, count, data) if len(data) == size else None

    def below(self, tag: int) -> Directory | None:
        """Return the directory that a tag names, None when it is damaged or not there."""
        at = self.number(tag)
        if not at:
            return None
        try:
            return Directory(self._data, at)
        except (ValueError, struct.error):
            return None

    def check(self) -> None:
        """Raise `ValueError` if reading all values would copy four times what the file has.

        Each may name the same bytes: 400 tags make gigabytes of a file of some megabytes.
        """
        room = 4 * len(self._data)
        exif = self.below(EXIF_IFD)
        further = (exif, self.below(GPS_IFD), (exif or self).below(INTEROP_IFD))
        for ifd in (self, *further):
            for kind, count, place in ifd._tags.values() if ifd else ():
                size = count * _SIZES[kind] if kind < len(_SIZES) else 0
                if size > (8 if self.big else 4) and self._offset(place) < len(self._data):
                    room -= min(size, len(self._data) - self._offset(place))
        if room < 0:
            raise ValueError("its tags name many more bytes than it has")

    def _offset(self, at: int) -> int:
        return self._read("Q" if self.big else "I", at)

    def _read(self, kind: str, at: int) -> int:
        if at > len(self._data):
            raise struct.error("outside of the file")
        return int(struct.unpack_from(self.order + kind, self._data, at)[0])


def shorts(order: str, *numbers: int) -> TagValue:
    """Return a value of type SHORT."""
    return 3, len(numbers), struct.pack(f"{order}{len(numbers)}H", *numbers)


def longs(order: str, *numbers: int) -> TagValue:
    """Return a value of type LONG."""
    return 4, len(numbers), struct.pack(f"{order}{len(numbers)}I", *numbers)


def long8s(order: str, *numbers: int) -> TagValue:
    """Return a value of type LONG8, which BigTIFF alone has."""
    return 16, len(numbers), struct.pack(f"{order}{len(numbers)}Q", *numbers)


def rational(order: str, number: float) -> TagValue:
    """Return a value of type RATIONAL, exact to a thousandth."""
    parts = (round(number), 1) if number == round(number) else (round(number * 1000), 1000)
    return 5, 1, struct.pack(f"{order}2I", *parts)


def write_directory(tags: dict[int, TagValue], at: int, order: str, *, big: bool = False) -> bytes:
    """Return a directory that stands at `at` of its file, its values behind it.

    The tags that name further directories must have been made with their places.
    """
    head, entry, word = ("Q", "HHQ", 8) if big else ("H", "HHI", 4)
    behind = at + struct.calcsize(order + head) + len(tags) * (20 if big else 12) + word
    entries, values = b"", b""
    for tag, (kind, count, data) in sorted(tags.items()):
        field = data.ljust(word, b"\0")
        if len(data) > word:
            values += bytes((behind + len(values)) % 2)
            field = struct.pack(order + ("Q" if big else "I"), behind + len(values))
            values += data
        entries += struct.pack(order + entry, tag, kind, count) + field
    return struct.pack(order + head, len(tags)) + entries + bytes(word) + values
