"""ESRGAN on a whole image, on the CPU in fp32.

A dense block is a chain of five convolutions. Between two blocks stands a barrier; three tensors
of the trunk's width are all that the image takes. What follows the trunk sees two pixels around
each, and is computed in pieces that the caches hold.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.resample import Span
from .rolled import Emit, pieces, regions, widened
from .tiling import Tile
from .winograd import POINTS, TILE, Region, Stage, leaky, reach, roll, seen_from
from .workers import Team

_COLUMNS = 112  # tiles of a region; more leave the caches, fewer use each weight too seldom
_PIECE = 48, 128  # height and width in trunk pixels of what is computed of the tail at once
_REACH = 2  # trunk pixels that the tail sees: 1 + 1/2 + 1/4 + 1/4
_TRUNK = 0.7  # of the work, about; for progress
_SLOPE = 0.2

Add = Callable[[Tensor, Tensor, Tensor], None]
"""Takes what a block sees, what it makes of it, and where the sum of both goes."""


class RolledESRGAN:
    """What a `LeanESRGAN` computes, of which it takes the weights."""

    halo = 64  # weights of GAN training show at 48, and no longer at 64

    def __init__(self, lean: Any) -> None:
        self._lean = lean
        self._channels: int = lean.trunk_end.in_channels
        self._end = [Stage.of(lean.trunk_end.weight, lean.trunk_end.bias)]
        self._ups = [[_doubling(up)] for up in lean.ups]
        self._high = [Stage.of(lean.high.weight, lean.high.bias, leaky(_SLOPE))]
        last = lean.plain_last
        # What each pixel adds to the nine around it: [3 * 3 * outputs, inputs].
        self._taps = last.weight.permute(2, 3, 0, 1).reshape(-1, last.in_channels)
        self._outputs: int = last.out_channels
        self._bias = last.weight.new_zeros(self._outputs) if last.bias is None else last.bias
        # The last of three blocks ends the RRDB, which adds 0.2 of its outcome to its input.
        self._blocks = [
            _stages(list(dense.convolutions), 0.04 if index % 3 == 2 else 0.2)
            for index, dense in enumerate(lean.blocks)
        ]
        self._scale: int = 2 ** len(lean.ups)

    def memory(self, height: int, width: int, workers: int) -> int:
        """Return the bytes that an image of this size takes."""
        trunk = 3 * self._channels * (height + 6) * (width + 6)
        points = POINTS * min(_COLUMNS + 2, width // TILE + 1)
        ring = points * sum(
            (5 - i) * part.shape[1] for i, part in enumerate(self._blocks[0][-1].weights)
        )
        piece = 2 * self._channels * self._scale**2 * (_PIECE[0] + 4) * (_PIECE[1] + 4)
        return 4 * (trunk + workers * (ring + piece))

    def run(self, pixels: Tensor, wanted: Tile, margin: int, team: Team, emit: Emit) -> None:
        """Compute the `wanted` part of an image; see `Rolled`."""
        features = self._trunk(pixels, team)
        height, width = pixels.shape[2:]

        def finish(core: Tile) -> None:
            team.check()
            window = widened(core, margin, height, width)
            emit(core, window, self._tail(features, window, height, width))
            team.advance((1 - _TRUNK) * core.area / wanted.area)

        team.run([partial(finish, core) for core in pieces(wanted, *_PIECE)])

    def _trunk(self, pixels: Tensor, team: Team) -> Tensor:
        """Return the trunk's outcome [rows + 2, columns + 2, channels], with a border of zeros."""
        height, width = pixels.shape[2:]
        size = TILE * -(-height // TILE) + 2, TILE * -(-width // TILE) + 2
        first, *others = (torch.zeros(*size, self._channels) for _ in range(3))
        whole = Tile(Span(0, width), Span(0, height))
        around = reach(len(self._blocks[0]))
        parts = regions(whole, height, width, _COLUMNS, team.workers, around)

        def run(stages: list[Stage], source: Tensor, target: Tensor, add: Add) -> None:
            team.run([partial(_block, stages, part, source, target, add, team) for part in parts])

        self._head(pixels, first, team)
        for start in range(0, len(self._blocks), 3):
            state = first
            for stages, other in zip(self._blocks[start : start + 2], others, strict=True):
                run(stages, state, other, _residual)
                team.advance(_TRUNK / len(self._blocks))
                state = other
            run(self._blocks[start + 2], state, first, _rrdb)
            team.advance(_TRUNK / len(self._blocks))
        features = others[0]
        self._head(pixels, features, team)
        run(self._end, first, features, _skip)
        return features

    def _head(self, pixels: Tensor, place: Tensor, team: Team) -> None:
        """Put the first convolution's outcome into a padded tensor."""
        height, width = pixels.shape[2:]
        head = self._lean.head

        def rows(top: int, bottom: int) -> None:
            above, below = min(1, top), min(1, height - bottom)
            seen = pixels[:, :, top - above : bottom + below]
            seen = F.pad(seen, (1, 1, 1 - above, 1 - below))
            found = F.conv2d(seen, head.weight, head.bias)
            place[1 + top : 1 + bottom, 1 : 1 + width] = found[0].permute(1, 2, 0)

        step = max(1, 20_000 // width)
        tops = range(0, height, step)
        team.run([partial(rows, top, min(height, top + step)) for top in tops])

    def _tail(self, trunk: Tensor, window: Tile, height: int, width: int) -> Tensor:
        """Return the result of a window [height, width, channels], from the padded trunk."""
        seen = widened(window, _REACH, height, width)
        tall, wide = seen.y.length, seen.x.length
        features = _padded(-(-tall // TILE), -(-wide // TILE), self._channels)
        features[1 : 1 + tall, 1 : 1 + wide] = trunk[
            1 + seen.y.start : 1 + seen.y.stop, 1 + seen.x.start : 1 + seen.x.stop
        ]
        _clear(features, tall, wide)
        for up in self._ups:
            features = _doubled(up, features, tall, wide)
            tall, wide = 2 * tall, 2 * wide
        output = self._finished(features, tall, wide)
        scale = self._scale
        y = slice((window.y.start - seen.y.start) * scale, (window.y.stop - seen.y.start) * scale)
        x = slice((window.x.start - seen.x.start) * scale, (window.x.stop - seen.x.start) * scale)
        return output[y, x]

    def _finished(self, features: Tensor, tall: int, wide: int) -> Tensor:
        """Apply the last two convolutions to a padded tensor: [height, width, channels]."""
        whole = _whole(tall, wide)
        rows, columns = whole.rows[1], whole.columns[1]
        output = torch.empty(self._outputs, TILE * rows + 2, TILE * columns + 2)
        output.copy_(self._bias.view(-1, 1, 1))

        def store(row: int, values: Tensor) -> None:
            # Beyond the image is nothing that the last convolution could see.
            values[tall - TILE * row :] = 0.0
            for column in range(wide - TILE * (columns - 1), TILE):
                values[:, column, -1] = 0.0
            seen = values.transpose(0, 1).reshape(-1, values.shape[-1])
            added = torch.mm(self._taps, seen.T)
            added = added.view(3, 3, self._outputs, TILE, TILE, columns).permute(0, 1, 2, 4, 5, 3)
            for y, x in np.ndindex(3, 3):
                place = output[:, TILE * row + 2 - y :, 2 - x :]
                place = torch.unflatten(place[:, :TILE, : TILE * columns], 2, (columns, TILE))
                place.add_(added[y, x])

        roll(self._high, whole, partial(seen_from, features, 0, columns), store, _nothing)
        return output[:, 1 : 1 + tall, 1 : 1 + wide].permute(1, 2, 0)


def _doubled(up: list[Stage], features: Tensor, tall: int, wide: int) -> Tensor:
    """Enlarge a padded tensor by the convolution that `_doubling` made."""
    whole = _whole(tall, wide)
    rows, columns = whole.rows[1], whole.columns[1]
    channels = features.shape[2]
    result = _padded(2 * rows, 2 * columns, channels)

    def store(row: int, values: Tensor) -> None:
        place = result[1 + 2 * TILE * row :, 1:-1][: 2 * TILE]
        place = torch.unflatten(torch.unflatten(place, 0, (TILE, 2)), 2, (columns, TILE, 2))
        place.copy_(values.view(TILE, TILE, columns, 2, 2, channels).permute(0, 3, 2, 1, 4, 5))

    roll(up, whole, partial(seen_from, features, 0, columns), store, _nothing)
    _clear(result, 2 * tall, 2 * wide)
    return result


def _doubling(up: Any) -> Stage:
    """Return a stage with the four pixels that each becomes, row by row, as its outputs."""
    phases = up.weight.view(2, 2, up.outputs, -1, 2, 2)
    weight = phases.new_zeros(*phases.shape[:4], 3, 3)
    for y, x in np.ndindex(2, 2):
        weight[y, x, :, :, y : y + 2, x : x + 2] = phases[y, x]
    return Stage.of(weight.flatten(0, 2), up.bias, leaky(_SLOPE))


def _whole(height: int, width: int) -> Region:
    return Region((0, -(-height // TILE)), (0, -(-width // TILE)), height, width)


def _padded(rows: int, columns: int, channels: int) -> Tensor:
    """Return an uninitialised tensor for tiles, with a border: [height + 2, width + 2, channels].

    numpy's memory comes in huge pages, which are much faster to touch first.
    """
    shape = TILE * rows + 2, TILE * columns + 2, channels
    return torch.from_numpy(np.empty(shape, dtype=np.float32))


def _clear(padded: Tensor, tall: int, wide: int) -> None:
    """Put zeros around the image in a padded tensor."""
    padded[0], padded[1 + tall :] = 0.0, 0.0
    padded[:, 0], padded[:, 1 + wide :] = 0.0, 0.0


def _block(
    stages: list[Stage], region: Region, source: Tensor, target: Tensor, add: Add, team: Team
) -> None:
    """Run a chain over a region, from one padded tensor into another."""
    left, right = region.widened(reach(len(stages)))
    start, stop = region.columns
    wide = min(TILE * (stop - start), region.width - TILE * start)

    def store(row: int, pixels: Tensor) -> None:
        tall = min(TILE, region.height - TILE * row)
        rows = slice(1 + TILE * row, 1 + TILE * row + tall)
        columns = slice(1 + TILE * start, 1 + TILE * start + wide)
        change = pixels[:, :, start - left : stop - left].transpose(1, 2)
        change = change.reshape(TILE, -1, pixels.shape[-1])[:tall, :wide]
        add(source[rows, columns], change, target[rows, columns])

    roll(stages, region, partial(seen_from, source, left, right), store, team.check, dense=True)


def _residual(seen: Tensor, change: Tensor, out: Tensor) -> None:
    torch.add(seen, change, out=out)


def _rrdb(seen: Tensor, change: Tensor, out: Tensor) -> None:
    out.add_(seen, alpha=0.2).add_(change)


def _skip(_seen: Tensor, change: Tensor, out: Tensor) -> None:
    out.add_(change)


def _nothing() -> None:
    pass


def _stages(convolutions: list[Any], share: float) -> list[Stage]:
    """Return a dense block, of whose outcome a `share` is added to what goes in."""
    *growing, last = convolutions
    grown = [conv.out_channels for conv in growing]
    sources = [growing[0].in_channels, *grown]
    stages = [
        Stage.of(conv.weight, conv.bias, leaky(_SLOPE), sources=sources[: index + 1])
        for index, conv in enumerate(growing)
    ]
    bias = None if last.bias is None else last.bias * share
    return [*stages, Stage.of(last.weight * share, bias, sources=sources)]
