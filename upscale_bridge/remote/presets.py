"""The sizes 2k, 4k and 8k, by which several services are asked for a result."""

from __future__ import annotations

from typing import Any

from ..params import param

PRESET_EDGES = {"2k": 2048, "4k": 4096, "8k": 8192}
"""Long edge in pixels that we take 2k, 4k and 8k to mean; no vendor defines them."""


def preset_choice() -> Any:
    """Declare the size of the result."""
    return param(
        "4k",
        "Size of the result; 4k is a long edge of about 4096 px.",
        choices=tuple(PRESET_EDGES),
    )


def preset_target(preset: str, width: int, height: int) -> tuple[int, int]:
    """Return the size of an image enlarged to a preset, 2k, 4k or 8k; never smaller than it is."""
    factor = max(PRESET_EDGES[preset] / max(width, height), 1.0)
    return max(round(width * factor), 1), max(round(height * factor), 1)
