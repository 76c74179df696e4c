"""Compact networks (SRVGGNet) on a whole image, on the CPU in fp32.

All convolutions are one chain: between two of them lie a few rows of pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..images.resample import Span
from .rolled import Emit, regions
from .tiling import Tile
from .winograd import POINTS, SEEN, TILE, Region, Stage, reach, roll
from .workers import Team

_COLUMNS = 112  # tiles of a region, at most
_ABOVE = TILE + 2
_ROWS = 16  # input pixels that are handed on at once, at least


class RolledCompact:
    """What spandrel's `Compact` computes, of which it takes the weights."""

    def __init__(self, plain: Any) -> None:
        layers = list(plain.body)
        (head, *convolutions), activations = layers[::2], layers[1::2]
        slopes = [_slope(one, head.out_channels) for one in activations]
        # max(x, slope * x) is what an activation computes where its slope is at most 1. Elsewhere
        # it is that of -x, negated: those channels change their sign, and back in what sees them.
        signs = [torch.where(slope > 1, -1.0, 1.0) for slope in slopes]
        self._head_weight = head.weight * signs[0].view(-1, 1, 1, 1)
        self._head_bias = head.bias * signs[0]
        self._head_slope = slopes[0]
        self._stages = [
            Stage.of(
                conv.weight * before.view(1, -1, 1, 1) * after.view(-1, 1, 1, 1),
                conv.bias * after,
                slope,
            )
            for conv, before, after, slope in zip(
                convolutions[:-1], signs[:-1], signs[1:], slopes[1:], strict=True
            )
        ]
        self._scale: int = plain.upscale
        # The channels of a pixel shuffle lie together in the outcome: the place comes first.
        last = convolutions[-1]
        order = torch.arange(last.out_channels).view(-1, self._scale, self._scale)
        order = order.permute(1, 2, 0).flatten()
        weight = last.weight * signs[-1].view(1, -1, 1, 1)
        self._stages.append(Stage.of(weight[order], last.bias[order]))
        self.halo = len(convolutions) + 1
        """All that it sees."""

    @staticmethod
    def fits(plain: Any) -> bool:
        """Tell whether a module has the layers that this class knows."""
        if type(plain).__name__ != "SRVGGNetCompact":
            return False
        layers = list(plain.body)
        convolutions, activations = layers[::2], layers[1::2]
        return all(
            isinstance(one, nn.PReLU | nn.LeakyReLU | nn.ReLU) for one in activations
        ) and all(
            isinstance(one, nn.Conv2d) and one.kernel_size == (3, 3) and one.bias is not None
            for one in convolutions
        )

    def memory(self, height: int, width: int, workers: int) -> int:
        """Return the bytes that an image of this size takes."""
        columns = min(width, TILE * (_COLUMNS + 2 * reach(len(self._stages)))) + 2
        rows = sum(SEEN * stage.outputs for stage in self._stages)
        return 4 * workers * columns * (rows + 2 * self._stages[0].outputs * POINTS // TILE)

    def run(self, pixels: Tensor, wanted: Tile, margin: int, team: Team, emit: Emit) -> None:
        """Compute the `wanted` part of an image; see `Rolled`."""
        height, width = pixels.shape[2:]
        # Zeros around the image for the first two convolutions, and for tiles that begin above it
        # or end below.
        padded = F.pad(pixels, (2, 2 + -width % TILE, _ABOVE, _ABOVE))
        padded = padded.contiguous(memory_format=torch.channels_last)
        around = reach(len(self._stages))
        parts = regions(wanted, height, width, _COLUMNS, team.workers, around)
        team.run(
            [partial(self._region, padded, part, wanted, margin, team, emit) for part in parts]
        )

    def _region(
        self, padded: Tensor, region: Region, wanted: Tile, margin: int, team: Team, emit: Emit
    ) -> None:
        """Roll the chain over a region and hand on what comes out, row of tiles by row of tiles."""
        core = _intersection(_pixels(region), wanted)
        tall, wide = -(-region.height // TILE), -(-region.width // TILE)
        more = -(-margin // TILE)
        rows = max(0, region.rows[0] - more), min(tall, region.rows[1] + more)
        columns = max(0, region.columns[0] - more), min(wide, region.columns[1] + more)
        whole = Region(rows, columns, region.height, region.width)
        window = _pixels(whole)
        left, right = whole.widened(reach(len(self._stages)))
        inside = slice(columns[0] - left, columns[1] - left)
        held = _Held(core, window, margin, self._scale)

        def store(row: int, values: Tensor) -> None:
            strip = self._enlarged(values[:, :, inside], padded, row, columns)
            for part, seen, pixels in held.push(strip):
                emit(part, seen, pixels)
                team.advance(part.area / wanted.area)

        source = partial(self._first, padded, whole, left, right)
        roll(self._stages, whole, source, store, team.check)

    def _first(self, padded: Tensor, region: Region, left: int, right: int, top: int) -> Tensor:
        """Return what tiles from this row on see: the first convolution's outcome."""
        rows = slice(_ABOVE + top - 2, _ABOVE + top + SEEN)
        seen = padded[:, :, rows, TILE * left : TILE * right + 4]
        found = F.conv2d(seen, self._head_weight, self._head_bias)[0].permute(1, 2, 0)
        found = torch.maximum(found, found * self._head_slope)
        # Zeros lie beyond the image, not what the first convolution makes of zeros.
        above, below = 1 - top, region.height + 1 - top
        before, behind = 1 - TILE * left, region.width + 1 - TILE * left
        found[: max(0, above)] = 0.0
        found[max(0, below) :] = 0.0
        found[:, : max(0, before)] = 0.0
        found[:, max(0, behind) :] = 0.0
        return found.contiguous().view(SEEN, -1)

    def _enlarged(
        self, values: Tensor, padded: Tensor, row: int, columns: tuple[int, int]
    ) -> Tensor:
        """Return a row of tiles as pixels of the result [TILE * scale, width * scale, channels]."""
        scale, count = self._scale, values.shape[2]
        rows = slice(_ABOVE + TILE * row, _ABOVE + TILE * (row + 1))
        seen = padded[0, :, rows, 2 + TILE * columns[0] :]
        base = seen[:, :, : TILE * count].permute(1, 2, 0)
        base = base.reshape(TILE, count, TILE, -1)
        # [row, row within a pixel, tile, column, column within a pixel and channel]
        split = values.reshape(*values.shape[:3], scale, -1).permute(0, 3, 2, 1, 4)
        made = torch.empty(split.shape)
        torch.add(split, base.repeat(1, 1, 1, scale)[:, None], out=made)
        return made.view(TILE * scale, TILE * count * scale, -1)


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


def _slope(activation: Any, channels: int) -> Tensor:
    """Return what an activation multiplies by what is below 0."""
    if isinstance(activation, nn.PReLU):
        return activation.weight.detach().expand(channels)
    return torch.full((channels,), getattr(activation, "negative_slope", 0.0))
