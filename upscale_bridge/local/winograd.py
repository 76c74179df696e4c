"""3x3 convolutions of stride 1 with a quarter of the multiplications: Winograd's F(4x4, 3x3).

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015. An image is cut into
tiles of 4x4 pixels; what a tile sees, 6x6 pixels, is brought into a domain of 36 points, where a
convolution is one matrix product for each point, and back. All of it is small matrix products on
pieces that the caches hold, in plain torch.

A chain of convolutions is *rolled* over the rows of tiles: each convolution follows the one
before it by a row, so that no tensor between them is larger than a few rows of the image.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

TILE = 4
"""Pixels of a tile's side."""

# Interpolation at 0, 1, -1, 2, -2 and infinity.
_INPUT = torch.tensor(
    [
        [4.0, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_WEIGHT = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1.0],
    ],
    dtype=torch.float64,
)
_OUTPUT = torch.tensor(
    [[1.0, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
)
_OUTPUTS = torch.kron(_OUTPUT, _OUTPUT)  # [16, 36]
_ONE = 7  # the point whose column in _OUTPUTS is all ones: what is added there is added everywhere

_scratch = threading.local()


@dataclass(frozen=True)
class Stage:
    """A convolution and what follows it at once."""

    weights: tuple[Tensor, ...]
    """[36, inputs, outputs] for each source that it sees, in the order of their channels."""
    bias: Tensor
    """[outputs]."""
    slope: Tensor | float | None = None
    """Of what is below 0: one for all, or [outputs] of at most 1; None leaves it as it is."""

    @classmethod
    def of(
        cls,
        weight: Tensor,
        bias: Tensor | None,
        slope: Tensor | float | None = None,
        sources: Sequence[int] = (),
    ) -> Stage:
        """Make a stage of a convolution's `weight` [outputs, inputs, 3, 3] and bias.

        `sources` are the channels of each source; one has all by default.
        """
        # The points of a domain are ordered by column and then by row, as `_expand` makes them.
        points = torch.einsum("hx,vy,oiyx->hvio", _WEIGHT, _WEIGHT, weight.double())
        points = points.reshape(36, *points.shape[2:]).float()
        parts = torch.split(points, list(sources) or [points.shape[1]], dim=1)
        bias = weight.new_zeros(weight.shape[0]) if bias is None else bias
        return cls(tuple(part.contiguous() for part in parts), bias, slope)

    @property
    def outputs(self) -> int:
        """Channels that come out."""
        return self.weights[0].shape[2]


@dataclass(frozen=True)
class Region:
    """The part of an image over which a chain is rolled, in tiles, and the image's size."""

    rows: tuple[int, int]
    """First and behind the last row of tiles that come out."""
    columns: tuple[int, int]
    height: int
    """Of the whole image, in pixels."""
    width: int

    def widened(self, tiles: int) -> tuple[int, int]:
        """Return the columns with `tiles` more on either side, as far as the image goes."""
        start, stop = self.columns
        return max(0, start - tiles), min(math.ceil(self.width / TILE), stop + tiles)


Source = Callable[[int], Tensor]
Sink = Callable[[int, Tensor], None]


def reach(stages: int) -> int:
    """Return how many tiles beyond a region a chain of this length computes, on each side."""
    return math.ceil((stages - 1) / TILE)


def roll(
    stages: Sequence[Stage],
    region: Region,
    source: Source,
    sink: Sink,
    check: Callable[[], None],
    *,
    dense: bool = False,
) -> None:
    """Run a chain over a region; `check` is called for each row, and what it raises ends it.

    `source` gives for a row of tiles the 6 rows of pixels that it sees: [6, (4 * columns + 2) *
    channels] for the region's columns widened by `reach`. `sink` gets for each row of tiles of
    the region [4, 4, columns, channels]: pixel rows, pixel columns within a tile, widened tiles.
    With `dense` each stage sees the source and the outcome of all stages before it.
    """
    count = len(stages)
    bottom = math.ceil(region.height / TILE)
    left, right = region.widened(reach(count))
    columns = right - left
    around = [math.ceil((count - 1 - index) / TILE) for index in range(count)]
    tops = [max(0, region.rows[0] - more) for more in around]
    ends = [min(bottom, region.rows[1] + more) for more in around]
    valid = min(TILE * columns, region.width - TILE * left)
    windows = [_Window(stage.outputs, columns, valid) for stage in stages[:-1]]
    if dense:
        kept = [
            torch.empty(count - index, 36, columns, stage.weights[-1].shape[1])
            for index, stage in enumerate(stages)
        ]
    for step in range(tops[0], ends[-1] + count):
        check()
        for index, stage in enumerate(stages):
            row = step - index
            if not tops[index] <= row <= ends[index]:
                continue
            if row == ends[index]:
                if index < count - 1:
                    windows[index].push(None, None, 0)
                continue
            seen = source(row) if index == 0 else windows[index - 1].seen
            if dense:
                _expand(seen, kept[index][row % len(kept[index])])
                points = [source[row % len(source)] for source in kept[: index + 1]]
            else:
                channels = seen.shape[1] // (TILE * columns + 2)
                points = [_expand(seen, _buffer("points", 36, columns, channels))]
            pixels = _convolve(stage, points)
            if index < count - 1:
                windows[index].push(pixels, stage.slope, min(TILE, region.height - TILE * row))
            else:
                _activate(pixels, stage.slope, pixels)
                sink(row, pixels)


class _Window:
    """The last rows of pixels that a stage has made: one above a row of tiles, and four below."""

    def __init__(self, channels: int, columns: int, valid: int) -> None:
        self._width = TILE * columns
        self._valid = valid
        self._rows = torch.zeros(9, self._width + 2, channels)

    @property
    def seen(self) -> Tensor:
        """What the last but one row of tiles sees: [6, width * channels]."""
        return self._rows[:6].view(6, -1)

    def push(self, pixels: Tensor | None, slope: Tensor | float | None, rows: int) -> None:
        """Append a row of tiles [4, 4, columns, channels], of which `rows` lie in the image."""
        new = self._rows
        new[:4] = new[4:8]
        new[4] = new[8]
        if pixels is not None:
            place = torch.unflatten(new[5:, 1:-1], 1, (-1, TILE))
            _activate(pixels.transpose(1, 2), slope, place)
            new[5:, 1 + self._valid :] = 0.0
        new[5 + rows :] = 0.0


def _buffer(name: str, *shape: int) -> Tensor:
    """Return memory of this thread for a name; what it held is lost."""
    size = math.prod(shape)
    found: dict[str, Tensor] = _scratch.__dict__
    if name not in found or found[name].numel() < size:
        with torch.inference_mode(False):  # whoever uses it next may be within or not
            found[name] = torch.empty(size)
    return found[name][:size].view(shape)


def _expand(seen: Tensor, points: Tensor) -> Tensor:
    """Bring 6 rows of pixels [6, (4 * columns + 2) * channels] to `points`, which it returns.

    `points` are [36, columns, channels].
    """
    _, columns, channels = points.shape
    pitch = seen.shape[1]
    lines = torch.mm(_INPUT, seen, out=_buffer("lines", 6, pitch))
    spread = _buffer("spread", 6, 6, columns, channels)
    spread.copy_(lines.as_strided(spread.shape, (channels, pitch, TILE * channels, 1)))
    torch.mm(_INPUT, spread.view(6, -1), out=points.view(6, -1))
    return points


def _convolve(stage: Stage, points: list[Tensor]) -> Tensor:
    """Return [4, 4, columns, outputs] (rows and columns within tiles) of each source's points."""
    columns, outputs = points[0].shape[1], stage.outputs
    products = _buffer("products", 36, columns, outputs)
    torch.bmm(points[0], stage.weights[0], out=products)
    for source, weight in zip(points[1:], stage.weights[1:], strict=True):
        torch.baddbmm(products, source, weight, out=products)
    products[_ONE] += stage.bias
    pixels = _buffer("pixels", 16, columns * outputs)
    torch.mm(_OUTPUTS, products.view(36, -1), out=pixels)
    return pixels.view(TILE, TILE, columns, outputs).transpose(0, 1)


def _activate(pixels: Tensor, slope: Tensor | float | None, place: Tensor) -> None:
    """Put pixels into a place of the same shape, what is below 0 times the slope."""
    if slope is None:
        if place is not pixels:
            place.copy_(pixels)
    elif isinstance(slope, float):
        torch.ops.aten.leaky_relu.out(pixels, slope, out=place)
    else:
        below = _buffer("below", *pixels.shape)
        torch.maximum(pixels, torch.mul(pixels, slope, out=below), out=place)
