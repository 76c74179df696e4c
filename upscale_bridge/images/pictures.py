"""Picture: an encoded image as it lies in a file or travels over the wire."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """Encoded bytes, their type and the size of what they show."""

    data: bytes
    mime: str
    """For example image/png."""
    width: int
    """Pixels, as shown (orientation applied)."""
    height: int
