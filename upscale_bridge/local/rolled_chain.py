"""A network that is one chain of 3x3 convolutions and a pixel shuffle, on a whole image.

On the CPU in fp32. Between two convolutions lie a few rows of pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.resample import Span
from .rolled import Emit, regions
from .tiling import Tile
from .winograd import POINTS, TILE, Region, Stage, kept_rows, reach, roll, seen_from
from .workers import Team

_COLUMNS = 112  # tiles of a region, at most
_ABOVE = TILE + 1  # rows that a tile sees which begins above the image
_ROWS = 16  # input pixels that are handed on at once, at least


@dataclass(frozen=True)
class RolledChain:
    """A chain that sees the image, and makes the pixels that become of each."""

    stages: list[Stage]
    """The last one's channels are those that `shuffled` makes."""
    scale: int
    prepare: Callable[[Tensor], Tensor] = torch.Tensor.contiguous
    """Makes what the chain sees of the image [1, channels, height, width]."""
    adds_input: bool = False
    """Whether each pixel of the image is added to those that become of it."""

    @property
    def halo(self) -> int:
        """All that it sees."""
        return len(self.stages)

    def memory(self, height: int, width: int, workers: int) -> int:
        """Return the bytes that an image of this size takes."""
        columns = min(width, TILE * (_COLUMNS + 2 * reach(len(self.stages)))) + 2
        kept = kept_rows(self.stages)
        rows = sum(
            (TILE + more) * stage.outputs for stage, more in zip(self.stages, kept, strict=True)
        )
        widest = max(stage.outputs for stage in self.stages)
        return 4 * workers * columns * (rows + 2 * widest * POINTS // TILE)

    def run(self, pixels: Tensor, wanted: Tile, margin: int, team: Team, emit: Emit) -> None:
        """Compute the `wanted` part of an image; see `Rolled`."""
        height, width = pixels.shape[2:]
        # Zeros around the image, also for tiles that begin above it or end below or beside it.
        padded = F.pad(self.prepare(pixels), (1, 1 + -width % TILE, _ABOVE, _ABOVE))
        source = padded[0].permute(1, 2, 0).contiguous()
        around = reach(len(self.stages))
        parts = regions(wanted, height, width, _COLUMNS, team.workers, around)
        team.run(
            [partial(self._region, source, part, wanted, margin, team, emit) for part in parts]
        )

    def _region(
        self, source: Tensor, region: Region, wanted: Tile, margin: int, team: Team, emit: Emit
    ) -> None:
        """Roll the chain over a region and hand on what comes out, row of tiles by row of tiles."""
        core = _intersection(_pixels(region), wanted)
        tall, wide = -(-region.height // TILE), -(-region.width // TILE)
        more = -(-margin // TILE)
        rows = max(0, region.rows[0] - more), min(tall, region.rows[1] + more)
        columns = max(0, region.columns[0] - more), min(wide, region.columns[1] + more)
        whole = Region(rows, columns, region.height, region.width)
        window = _pixels(whole)
        left, right = whole.widened(reach(len(self.stages)))
        inside = slice(columns[0] - left, columns[1] - left)
        held = _Held(core, window, margin, self.scale)

        def seen(top: int) -> Tensor:
            return seen_from(source, left, right, _ABOVE - 1 + top)

        def store(row: int, values: Tensor) -> None:
            strip = self._enlarged(values[:, :, inside], source, row, columns)
            for part, seen, pixels in held.push(strip):
                emit(part, seen, pixels)
                team.advance(part.area / wanted.area)

        roll(self.stages, whole, seen, store, team.check)

    def _enlarged(
        self, values: Tensor, source: Tensor, row: int, columns: tuple[int, int]
    ) -> Tensor:
        """Return a row of tiles as pixels of the result [TILE * scale, width * scale, channels]."""
        scale, count = self.scale, values.shape[2]
        # [row, row within a pixel, tile, column, column within a pixel and channel]
        split = values.reshape(*values.shape[:3], scale, -1).permute(0, 3, 2, 1, 4)
        made = torch.empty(split.shape)
        if self.adds_input:
            rows = slice(_ABOVE + TILE * row, _ABOVE + TILE * (row + 1))
            base = source[rows, 1 + TILE * columns[0] : 1 + TILE * columns[1]]
            base = base.reshape(TILE, count, TILE, -1).repeat(1, 1, 1, scale)
            torch.add(split, base[:, None], out=made)
        else:
            made.copy_(split)
        return made.view(TILE * scale, TILE * count * scale, -1)


def shuffled(outputs: Tensor, scale: int) -> Tensor:
    """Return the outputs of a convolution before a pixel shuffle in the order of a chain's last.

    The channels of a pixel lie together: the place comes first.
    """
    return outputs.reshape(-1, scale, scale, *outputs.shape[1:]).movedim(0, 2).flatten(0, 2)


class _Held:
    """Rows of the result, until all that a piece of the core sees is there."""

    def __init__(self, core: Tile, window: Tile, margin: int, scale: int) -> None:
        self._core, self._window, self._margin, self._scale = core, window, margin, scale
        self._rows: Tensor | None = None
        self._top = window.y.start
        self._bottom = window.y.start
        self._next = core.y.start

    def push(self, strip: Tensor) -> Iterator[tuple[Tile, Tile, Tensor]]:
        """Take a row of tiles; give a core, the window that it lies in and its pixels, if ready."""
        self._rows = strip if self._rows is None else torch.cat([self._rows, strip])
        self._bottom = min(self._window.y.stop, self._bottom + TILE)
        last = self._bottom == self._window.y.stop
        until = min(self._core.y.stop, self._bottom if last else self._bottom - self._margin)
        if until < self._next + (1 if last or not self._margin else _ROWS):
            return
        scale = self._scale
        here = Span(self._top, self._bottom)
        rows = self._rows[: here.length * scale, : self._window.x.length * scale]
        yield Tile(self._core.x, Span(self._next, until)), Tile(self._window.x, here), rows
        self._next = until
        top = max(self._top, until - self._margin)
        self._rows = self._rows[(top - self._top) * scale :].clone() if self._margin else None
        self._top = top if self._margin else self._bottom


def _pixels(region: Region) -> Tile:
    """Return the pixels of a region that lie in the image."""
    (top, bottom), (left, right) = region.rows, region.columns
    return Tile(
        Span(TILE * left, min(TILE * right, region.width)),
        Span(TILE * top, min(TILE * bottom, region.height)),
    )


def _intersection(one: Tile, other: Tile) -> Tile:
    return Tile(
        Span(max(one.x.start, other.x.start), min(one.x.stop, other.x.stop)),
        Span(max(one.y.start, other.y.start), min(one.y.stop, other.y.stop)),
    )
