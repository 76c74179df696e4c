"""The sizes 2k, 4k and 8k, by which several services are asked for a result."""

from __future__ import annotations

from typing import Any

from ..images import sizes
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


def preset_factor(preset: str, width: int, height: int) -> float:
    """Return the factor that enlarges an image to a preset, 2k, 4k or 8k; never below 1."""
    return sizes.edge_factor((width, height), PRESET_EDGES[preset])
