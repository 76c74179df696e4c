"""How an image is cut into tiles: arithmetic only, no pixels.

A model's output near the edge of its input is wrong wherever it would have looked beyond that
edge. Each tile therefore computes a *window* that reaches a *halo* beyond its *core*, and only
the core is kept. The cores cover the image, every pixel once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from ..images.resample import Span

_WORTH_SHARING = 96**2  # pixels; smaller tiles are mostly halo


@dataclass(frozen=True)
class Tile:
    """One rectangle of the image, in input pixels."""

    x: Span
    y: Span

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.x.length * self.y.length

    @property
    def side(self) -> int:
        """The longer of the two sides."""
        return max(self.x.length, self.y.length)


@dataclass(frozen=True)
class TilePlan:
    """How images of one size are cut for one model."""

    width: int
    height: int
    halo: int = 0
    """Pixels that a window reaches beyond its core, at least."""
    align: int = 1
    """Windows begin at multiples of this, so that a model with a pixel grid of its own
    (window attention, pixel unshuffle) sees the same grid as on the whole image."""
    minimum: int = 1
    """Smallest side of a window where the image allows it."""
    blend: int = 0
    """Pixels over which a tile fades into those to its left and above; 0 where the halo is
    exact, so that neighbours agree to the last digit."""

    def whole(self) -> Tile:
        """Return the one tile that covers everything."""
        return Tile(Span(0, self.width), Span(0, self.height))

    def cut(self, tile: Tile, side: int, share: int = 1) -> list[Tile]:
        """Cut the core `tile` into few cores of at most `side`, evenly, in reading order.

        `side` is rounded up to a multiple of `align`. Sizes on one axis differ by at most
        `align`, but for the last, which may be shorter by less than another `align`. With
        `share` > 1 the number of cores is a multiple of it where the tile is large enough, so
        that `share` workers finish together.
        """
        columns, rows = self._parts(tile.x, side), self._parts(tile.y, side)
        while columns * rows % share and tile.area >= _WORTH_SHARING * (columns * rows + 1):
            if tile.x.length * rows >= tile.y.length * columns:
                columns += 1
            else:
                rows += 1
        return [
            Tile(x, y) for y in self._divide(tile.y, rows) for x in self._divide(tile.x, columns)
        ]

    def faded(self, core: Tile) -> Tile:
        """Return `core` with the strips over which it fades into its neighbours."""
        return Tile(
            Span(max(0, core.x.start - self.blend), core.x.stop),
            Span(max(0, core.y.start - self.blend), core.y.stop),
        )

    def window(self, part: Tile) -> Tile:
        """Return what the model must see to compute `part`."""
        return Tile(self._widen(part.x, self.width), self._widen(part.y, self.height))

    def _parts(self, span: Span, side: int) -> int:
        return math.ceil(math.ceil(span.length / self.align) / math.ceil(side / self.align))

    def _divide(self, span: Span, count: int) -> list[Span]:
        units = math.ceil(span.length / self.align)
        cuts = [span.start + self.align * (units * i // count) for i in range(count)]
        return [Span(start, stop) for start, stop in pairwise([*cuts, span.stop])]

    def _widen(self, span: Span, length: int) -> Span:
        start = max(0, span.start - self.halo) // self.align * self.align
        stop = min(length, math.ceil((span.stop + self.halo) / self.align) * self.align)
        stop = max(stop, min(length, start + self.minimum))
        start = min(start, max(0, stop - self.minimum) // self.align * self.align)
        return Span(start, stop)
