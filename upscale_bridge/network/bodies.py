"""The body of a request, of which files are read while they are sent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from ..contract.files import StoredFile
from ..errors import InvalidInputError

Piece = bytes | StoredFile


class Body:
    """Bytes and files, one after the other; read once, by one thread."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.size = sum(map(_size, pieces))
        self.left = self.size
        """Bytes that were not read yet."""
        self._pieces: Iterator[Piece] = filter(_size, pieces)
        self._now: memoryview | _Reading = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`, all that are left when it is negative.

        Fewer than `size` may come before the end; none come at the end alone. Raises
        `InvalidInputError` when a file cannot be read, or is not what it was.
        """
        wanted = self.left if size < 0 else min(size, self.left)
        found = self._take(wanted) if wanted else b""
        while size < 0 and self.left:
            found += self._take(self.left)
        return found

    def close(self) -> None:
        """Close a file that was not read to its end."""
        if isinstance(self._now, _Reading):
            self._now.file.close()

    def _take(self, most: int) -> bytes:
        if not self._now:
            piece = next(self._pieces)
            self._now = memoryview(piece) if isinstance(piece, bytes) else _Reading(piece)
        if isinstance(self._now, _Reading):
            block = self._now.read(most)
        else:
            block, self._now = bytes(self._now[:most]), self._now[most:]
        self.left -= len(block)
        return block


def _size(piece: Piece) -> int:
    return piece.size if isinstance(piece, StoredFile) else len(piece)


class _Reading:
    """A file of which the last byte is given only when all of it is as it was."""

    def __init__(self, stored: StoredFile) -> None:
        self._stored, self._left, self._digest = stored, stored.size, hashlib.sha256()
        try:
            self.file: BinaryIO = stored.path.open("rb")
        except OSError as error:
            raise self._unreadable(error) from error

    def __len__(self) -> int:
        return self._left

    def read(self, most: int) -> bytes:
        try:
            block = self.file.read(min(most, self._left))
        except OSError as error:
            raise self._unreadable(error) from error
        self._digest.update(block)
        self._left -= len(block)
        if not self._left:
            self.file.close()
        if not block or (not self._left and self._digest.hexdigest() != self._stored.sha256):
            self.file.close()
            raise InvalidInputError(
                str(self._stored.path),
                f"{self._stored.path} was changed while it was sent; run again when it is "
                "finished.",
            )
        return block

    def _unreadable(self, error: OSError) -> InvalidInputError:
        path = self._stored.path
        return InvalidInputError(str(path), f"Cannot read {path} ({error.strerror}).")
