"""Directories of TIFF 6.0 and BigTIFF files, which EXIF data has as well."""

from __future__ import annotations

import struct

MOST_TAGS = 4096
"""Values in one directory of a TIFF file. A photo has about a hundred."""

# Bytes of a value of each type, by its number, and the types that hold a whole number.
_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)
_WHOLE = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}


class Directory:
    """A directory of a TIFF file or of EXIF data: where its values are, not the values."""

    def __init__(self, data: bytes, at: int | None = None) -> None:
        """Read the directory at `at`, else the first one."""
        self._data = data
        self._order = "<" if data[:2] == b"II" else ">"
        self._big = data[2:4] in (b"+\0", b"\0+")
        self.at = self._offset(8 if self._big else 4) if at is None else at
        many = self._read("Q" if self._big else "H", self.at)
        if many > MOST_TAGS:
            raise ValueError("it has too many tags")
        start, step = self.at + (8 if self._big else 2), 20 if self._big else 12
        end = start + many * step
        self._tags: dict[int, tuple[int, int, int]] = {}  # tag: type, count, where the value is
        for place in range(start, end, step):
            tag, kind = self._read("H", place), self._read("H", place + 2)
            count = self._read("Q" if self._big else "I", place + 4)
            self._tags.setdefault(tag, (kind, count, place + (12 if self._big else 8)))
        self.next = self._offset(end) if end + (8 if self._big else 4) <= len(data) else 0

    def number(self, tag: int) -> int:
        """Return a tag's whole number, 0 for none."""
        kind, count, place = self._tags.get(tag, (0, 0, 0))
        return self._read(_WHOLE[kind], place) if kind in _WHOLE and count == 1 else 0

    def count(self, tag: int) -> int:
        """Return how many values a tag says that it has."""
        return self._tags.get(tag, (0, 0, 0))[1]

    def bytes(self, tag: int) -> bytes:
        """Return the bytes of a tag of type BYTE or UNDEFINED, none for another."""
        kind, count, place = self._tags.get(tag, (0, 0, 0))
        if kind not in (1, 7) or count <= 8:
            return b""
        return self._data[self._offset(place) : self._offset(place) + count]

    def check(self) -> None:
        """Raise `ValueError` if reading all values would copy four times what the file has.

        Each may name the same bytes: 400 tags make gigabytes of a file of some megabytes.
        """
        room = 4 * len(self._data)
        for ifd in [self, *self._below()]:
            for kind, count, place in ifd._tags.values():
                size = count * _SIZES[kind] if kind < len(_SIZES) else 0
                if size > (8 if self._big else 4) and ifd._offset(place) < len(self._data):
                    room -= min(size, len(self._data) - ifd._offset(place))
        if room < 0:
            raise ValueError("its tags name many more bytes than it has")

    def _below(self) -> list[Directory]:
        """Return the directories of EXIF, GPS and interoperability that can be read."""
        found: list[Directory] = []
        for ifd, tag in ((self, 0x8769), (self, 0x8825), (None, 0xA005)):
            above = ifd or (found[0] if found else self)
            if at := above.number(tag):
                try:
                    found.append(Directory(self._data, at))
                except struct.error:
                    continue
        return found

    def _offset(self, at: int) -> int:
        return self._read("Q" if self._big else "I", at)

    def _read(self, kind: str, at: int) -> int:
        if at > len(self._data):
            raise struct.error("outside of the file")
        return int(struct.unpack_from(self._order + kind, self._data, at)[0])
