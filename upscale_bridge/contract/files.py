"""What of a user's files is sent: a picture that is in memory, or a file on the disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..images.pictures import Picture


@dataclass(frozen=True)
class StoredFile:
    """A file that is sent as it lies on the disk, in blocks, and never whole in memory."""

    path: Path = field(repr=False)
    mime: str
    """For example video/mp4."""
    ending: str
    """Of its name, without the dot: mp4."""
    size: int
    """Bytes."""
    sha256: str
    """Of all of it, hexadecimal; a file that has become another one is not sent."""
    width: int = 0
    height: int = 0
    """Pixels of what it shows, 0 when the file does not tell."""


Sendable = Picture | StoredFile


def size_of(file: Sendable) -> int:
    """Return how many bytes are sent of a file."""
    return len(file.data) if isinstance(file, Picture) else file.size
