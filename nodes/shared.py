"""What all nodes of the pack tell ComfyUI alike."""

from __future__ import annotations

from typing import ClassVar


class PackNode:
    """Where a node stands in ComfyUI's lists, and how its results are shown."""

    CATEGORY: ClassVar = "image/upscaling"  # beside ComfyUI's own
    FUNCTION: ClassVar = "upscale"
    HAS_INTERMEDIATE_OUTPUT: ClassVar = True  # its panel is told again when a run finds it cached
