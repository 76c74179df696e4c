"""Networks of plain convolutions on a whole image: exact, in little memory, on all cores.

Each is made of chains of 3x3 convolutions, rolled over the rows of the image (see `winograd.py`).
What comes out is handed on in pieces, so that nothing of the result's size exists beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Protocol

from torch import Tensor

from ..images.resample import Span
from .tiling import Tile
from .winograd import TILE, Region
from .workers import Team

Emit = Callable[[Tile, Tile, Tensor], None]
"""Takes a core in pixels of the network's input, the window around it that was computed, and the
network's output for that, [height, width, channels], of any thread and in any order."""


class Rolled(Protocol):
    """A network that takes a whole image."""

    @property
    def halo(self) -> int:
        """Pixels around a part that must be seen when the image does not fit into memory."""

    def memory(self, height: int, width: int, workers: int) -> int:
        """Return the bytes that an image of this size takes."""

    def run(self, pixels: Tensor, wanted: Tile, margin: int, team: Team, emit: Emit) -> None:
        """Compute the `wanted` part of an image [1, channels, height, width], in 0..1, fp32.

        Each window that is emitted reaches `margin` pixels beyond its core, or to the edge.
        """


def regions(
    wanted: Tile, height: int, width: int, columns: int, workers: int, around: int
) -> list[Region]:
    """Cut a part of an image into regions of at most `columns` tiles, done soonest by all workers.

    A region computes up to `around` tiles more on each side where another one follows: all of
    them beside it, half of them above and below, since each stage needs less than the one before.
    """
    top, bottom = wanted.y.start // TILE, math.ceil(wanted.y.stop / TILE)
    left, right = wanted.x.start // TILE, math.ceil(wanted.x.stop / TILE)
    tall, wide = bottom - top, right - left
    least = math.ceil(wide / columns)

    def cost(cut: tuple[int, int]) -> tuple[float, int]:
        down, across = cut
        rows = tall / down + (around if down > 1 else 0)
        beside = wide / across + (2 * around if across > 1 else 0)
        return math.ceil(down * across / workers) * rows * beside, down * across

    down, across = min(
        product(range(1, min(workers, tall) + 1), range(least, min(least + workers, wide) + 1)),
        key=cost,
    )
    return [
        Region((top + y[0], top + y[1]), (left + x[0], left + x[1]), height, width)
        for y in _even(tall, down)
        for x in _even(wide, across)
    ]


def pieces(wanted: Tile, height: int, width: int) -> list[Tile]:
    """Cut a part of an image into pieces of at most this size."""
    return [
        Tile(
            Span(wanted.x.start + x[0], wanted.x.start + x[1]),
            Span(wanted.y.start + y[0], wanted.y.start + y[1]),
        )
        for y in _even(wanted.y.length, math.ceil(wanted.y.length / height))
        for x in _even(wanted.x.length, math.ceil(wanted.x.length / width))
    ]


def widened(tile: Tile, margin: int, height: int, width: int) -> Tile:
    """Return a tile with a margin on all sides, as far as the image goes."""
    return Tile(
        Span(max(0, tile.x.start - margin), min(width, tile.x.stop + margin)),
        Span(max(0, tile.y.start - margin), min(height, tile.y.stop + margin)),
    )


def _even(length: int, parts: int) -> list[tuple[int, int]]:
    return [(length * i // parts, length * (i + 1) // parts) for i in range(parts)]
