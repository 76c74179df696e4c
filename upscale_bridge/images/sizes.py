"""How large a result is: every rule by which the size of an image becomes that of its result.

Sizes are (width, height) in pixels, 1 or more a side. Nothing else in the project rounds a size.
"""

from __future__ import annotations

import math

Size = tuple[int, int]

GRID = 8
"""Of the WebUI and of Novita's v2 API, which mirrors it: sides are multiples of this."""


def enlarged(size: Size, factor: float) -> Size:
    """Return `size` times `factor`, each side rounded to the nearest pixel (halves to even)."""
    width, height = size
    return max(round(width * factor), 1), max(round(height * factor), 1)


def on_grid(size: Size, factor: float) -> Size:
    """Return `size` times `factor` as the WebUI rounds it: down to multiples of `GRID`.

    modules/upscaler.py of AUTOMATIC1111's WebUI; where it comes to 0 and fails, a side is `GRID`.
    """
    width, height = (int(side * factor // GRID) * GRID for side in size)
    return max(width, GRID), max(height, GRID)


def rounded_down(size: Size, factor: float) -> Size:
    """Return `size` times `factor`, each side rounded down."""
    width, height = size
    return max(int(width * factor), 1), max(int(height * factor), 1)


def even(size: Size) -> Size:
    """Return `size` with even sides, which nearly all players of videos need."""
    width, height = size
    return max(round(width / 2), 1) * 2, max(round(height / 2), 1) * 2


def limited(size: Size, factor: float, edge: int) -> Size:
    """Return `size` times `factor`, of which a side exceeds `edge`, as the WebUI keeps it to that.

    scripts/postprocessing_upscale.py of AUTOMATIC1111's WebUI.
    """
    width, height = size[0] * factor, size[1] * factor
    if height > width:
        return max(int(edge * width // height), 1), edge
    return edge, max(int(edge * height // width), 1)


def within(size: Size, edge: int) -> Size:
    """Return `size`, shrunk where its longer side exceeds `edge` and rounded down then."""
    return size if max(size) <= edge else rounded_down(size, edge / max(size))


def fit_factor(size: Size, wanted: Size) -> float:
    """Return the factor that makes `size` as large as fits inside `wanted`; a side of 0 is free."""
    return min(side / now for side, now in zip(wanted, size, strict=True) if side)


def area_factor(size: Size, pixels: float) -> float:
    """Return the factor that gives an image about that many pixels."""
    return math.sqrt(pixels / (size[0] * size[1]))


def cropped(size: Size, wanted: Size) -> Size:
    """Return the largest part of `size` that has the proportions of `wanted`, to half a pixel."""
    (width, height), (wide, high) = size, wanted
    if width * high > height * wide:
        return min(max(round(height * wide / high), 1), width), height
    return width, min(max(round(width * high / wide), 1), height)


def cover_factor(size: Size, wanted: Size) -> float:
    """Return the factor that lets `size` cover `wanted`; below 1 when it is larger already."""
    return max(wanted[0] / size[0], wanted[1] / size[1])


def edge_factor(size: Size, edge: int) -> float:
    """Return the factor that brings the longer side to `edge`; never below 1."""
    return max(edge / max(size), 1.0)
