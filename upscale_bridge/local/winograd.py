"""3x3 convolutions of stride 1 with a fifth of the multiplications: Winograd's F(6x6, 3x3).

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015. An image is cut into
tiles of 6x6 pixels; what a tile sees, 8x8 pixels, is brought into a domain of 64 points, where a
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
from functools import partial

import torch
from torch import Tensor

TILE = 6
"""Pixels of a tile's side."""
SEEN = TILE + 2
"""Pixels of the side of what a tile sees."""
POINTS = SEEN**2
"""Products that a tile takes for each pair of channels."""

# Interpolation at 0, 1, -1, 2, -2, 1/2, -1/2 and infinity.
_INPUT = torch.tensor(
    [
        [1, 0, -21 / 4, 0, 21 / 4, 0, -1, 0],
        [0, 1, 1, -17 / 4, -17 / 4, 1, 1, 0],
        [0, -1, 1, 17 / 4, -17 / 4, -1, 1, 0],
        [0, 1 / 2, 1 / 4, -5 / 2, -5 / 4, 2, 1, 0],
        [0, -1 / 2, 1 / 4, 5 / 2, -5 / 4, -2, 1, 0],
        [0, 2, 4, -5 / 2, -5, 1 / 2, 1, 0],
        [0, -2, 4, 5 / 2, -5, -1 / 2, 1, 0],
        [0, -1, 0, 21 / 4, 0, -21 / 4, 0, 1],
    ]
)
_WEIGHT = torch.tensor(
    [
        [1, 0, 0],
        [-2 / 9, -2 / 9, -2 / 9],
        [-2 / 9, 2 / 9, -2 / 9],
        [1 / 90, 1 / 45, 2 / 45],
        [1 / 90, -1 / 45, 2 / 45],
        [32 / 45, 16 / 45, 8 / 45],
        [32 / 45, -16 / 45, 8 / 45],
        [0, 0, 1],
    ],
    dtype=torch.float64,
)
_OUTPUT = torch.tensor(
    [
        [1, 1, 1, 1, 1, 1, 1, 0],
        [0, 1, -1, 2, -2, 1 / 2, -1 / 2, 0],
        [0, 1, 1, 4, 4, 1 / 4, 1 / 4, 0],
        [0, 1, -1, 8, -8, 1 / 8, -1 / 8, 0],
        [0, 1, 1, 16, 16, 1 / 16, 1 / 16, 0],
        [0, 1, -1, 32, -32, 1 / 32, -1 / 32, 1],
    ]
)
_OUTPUTS = _OUTPUT.repeat(TILE, 1, 1)  # for each of a tile's columns
_ONE = SEEN + 1  # the point that _OUTPUT multiplies by one for all pixels

_scratch = threading.local()

Ending = Callable[[Tensor, Tensor, Sequence[Tensor], Tensor], None]
"""Takes what a convolution made, room for as much, the outcome of the stages that it asks for, and
where its own goes. All are [TILE, TILE, columns, channels] of the same pixels, but that outcome:
[TILE, TILE * columns + 2, channels] with a column on each side."""


@dataclass(frozen=True)
class Stage:
    """A convolution and what follows it at once."""

    weights: tuple[Tensor, ...]
    """[POINTS, inputs, outputs] for each source that it sees, in the order of their channels."""
    bias: Tensor
    """[outputs]."""
    ending: Ending | None = None
    """None leaves what the convolution made as it is."""
    asked: tuple[int, ...] = ()
    """How many stages before it in a chain that is not dense those stand whose outcome the
    ending takes."""

    @classmethod
    def of(
        cls,
        weight: Tensor,
        bias: Tensor | None,
        ending: Ending | None = None,
        *,
        sources: Sequence[int] = (),
        asked: tuple[int, ...] = (),
    ) -> Stage:
        """Make a stage of a convolution's `weight` [outputs, inputs, 3, 3] and bias.

        `sources` are the channels of each source; one has all by default.
        """
        # The points of a domain are ordered by column and then by row, as `_expand` makes them.
        points = torch.einsum("hx,vy,oiyx->hvio", _WEIGHT, _WEIGHT, weight.double())
        points = points.reshape(POINTS, *points.shape[2:]).float()
        parts = torch.split(points, list(sources) or [points.shape[1]], dim=1)
        bias = weight.new_zeros(weight.shape[0]) if bias is None else bias
        return cls(tuple(part.contiguous() for part in parts), bias, ending, asked)

    @property
    def inputs(self) -> int:
        """Channels of the last source."""
        return self.weights[-1].shape[1]

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


def leaky(slope: Tensor | float) -> Ending:
    """Return what multiplies what is below 0 by one `slope`, or by [outputs] of at most 1."""
    if isinstance(slope, float):
        return partial(_leaky, slope)
    return partial(_leaky_each, slope)


def _leaky(
    slope: float, made: Tensor, _room: Tensor, _asked: Sequence[Tensor], place: Tensor
) -> None:
    torch.ops.aten.leaky_relu.out(made, slope, out=place)


def _leaky_each(
    slope: Tensor, made: Tensor, room: Tensor, _asked: Sequence[Tensor], place: Tensor
) -> None:
    torch.mul(made, slope, out=room)
    torch.maximum(made, room, out=place)


def seen_from(padded: Tensor, left: int, right: int, top: int) -> Tensor:
    """Return what a row of tiles sees of [height, width, channels], from this row of pixels on.

    `left` and `right` are its columns of tiles; what is around the image is in `padded`.
    """
    rows = padded[top : top + SEEN, TILE * left : TILE * right + 2]
    shape = SEEN, rows.shape[1] * rows.shape[2]
    return rows.as_strided(shape, (padded.stride(0), 1), rows.storage_offset())


def tiled(rows: Tensor) -> Tensor:
    """Return the pixels of a stage's rows as an ending gets those that a convolution made."""
    return torch.unflatten(rows[:, 1:-1], 1, (-1, TILE)).transpose(1, 2)


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

    `source` gives for a tile's first row of pixels the rows that it sees: [SEEN, (TILE * columns
    + 2) * channels] for the region's columns widened by `reach`. `sink` gets for each row of tiles
    of the region [TILE, TILE, columns, channels]: pixel rows, pixel columns within a tile, widened
    tiles.
    With `dense` each stage sees the source and the outcome of all stages before it.
    """
    count = len(stages)
    left, right = region.widened(reach(count))
    columns = right - left
    # A stage stays behind the one before it by the row that it must see below. What dense ones
    # share is cut into the same tiles, so that they stay behind by a whole one.
    lag = TILE if dense else 1
    behind = [count - 1 - index for index in range(count)]
    tops = [max(0, TILE * region.rows[0] - rows) for rows in behind]
    ends = [min(region.height, TILE * region.rows[1] + rows) for rows in behind]
    valid = min(TILE * columns, region.width - TILE * left)
    kept = kept_rows(stages, lag)
    windows = [
        _Window(index, stage.outputs, columns, valid, lag, kept[index])
        for index, stage in enumerate(stages[:-1])
    ]
    steps = [_Step(stage, columns) for stage in stages]
    if dense:
        rings = [
            _buffer(f"ring {index}", count - index, POINTS, columns, stage.inputs)
            for index, stage in enumerate(stages)
        ]
    for turn in range((tops[0] - lag * behind[0]) // TILE, region.rows[1]):
        check()
        for index, step in enumerate(steps):
            first = TILE * turn + lag * behind[index]
            if first + TILE <= tops[index]:
                continue
            if first >= ends[index]:
                if index < count - 1:
                    windows[index].end()
                continue
            seen = source(first) if index == 0 else windows[index - 1].seen
            if dense:
                row = first // TILE
                step.expand(seen, rings[index][row % (count - index)])
                points = [one[row % len(one)] for one in rings[: index + 1]]
            else:
                points = [step.expand(seen, step.points)]
            past = [windows[index - one].above(lag * one) for one in step.stage.asked]
            if index < count - 1:
                step.convolve(points, past, windows[index].next())
                windows[index].crop(-first, region.height - first)
            else:
                sink(turn, step.convolve(points, past))


def kept_rows(stages: Sequence[Stage], lag: int = 1) -> list[int]:
    """Return how many rows each stage of a chain keeps beside a row of tiles."""
    found = [lag + 1 for _ in stages]
    for index, stage in enumerate(stages):
        for before in stage.asked:
            found[index - before] = max(found[index - before], lag * before)
    return found


class _Window:
    """The last rows of pixels that a stage has made, as many as are still needed."""

    def __init__(
        self, index: int, channels: int, columns: int, valid: int, lag: int, kept: int
    ) -> None:
        rows = _buffer(f"window {index}", kept + TILE, TILE * columns + 2, channels).zero_()
        self.seen = rows[kept - lag - 1 :][:SEEN].view(SEEN, -1)
        """What a row of tiles sees, `lag` above the new one: [SEEN, width * channels]."""
        self._rows, self._new = rows, rows[kept:]
        moves = [(start, min(start + TILE, kept)) for start in range(0, kept, TILE)]
        self._moves = [(rows[a:b], rows[a + TILE : b + TILE]) for a, b in moves]
        self._place = tiled(self._new)
        self._beyond = self._new[:, 1 + valid :] if valid < TILE * columns else None

    def next(self) -> Tensor:
        """Make room for a row of tiles and return its place: [TILE, TILE, columns, channels]."""
        for target, source in self._moves:
            target.copy_(source)
        return self._place

    def above(self, rows: int) -> Tensor:
        """Return a row of tiles so many rows above the new one: [TILE, width, channels]."""
        start = len(self._rows) - TILE - rows
        return self._rows[start : start + TILE]

    def crop(self, top: int, bottom: int) -> None:
        """Put zeros where the new rows leave the image, which has those from `top` to `bottom`."""
        if self._beyond is not None:
            self._beyond.zero_()
        if top > 0:
            self._new[:top].zero_()
        if bottom < TILE:
            self._new[bottom:].zero_()

    def end(self) -> None:
        """Append a row of tiles below the image."""
        self.next()
        self._new.zero_()


def _buffer(name: str, *shape: int) -> Tensor:
    """Return memory of this thread for a name; what it held is lost.

    It is kept: made anew for each frame of a video, it would leave holes behind.
    """
    size = math.prod(shape)
    found: dict[str, Tensor] = _scratch.__dict__
    if name not in found or found[name].numel() < size:
        with torch.inference_mode(False):  # whoever uses it next may be within or not
            found[name] = torch.empty(size)
    return found[name][:size].view(shape)


class _Step:
    """A stage on rows of tiles of one length: what it works in, cut to shape once."""

    def __init__(self, stage: Stage, columns: int) -> None:
        inputs, outputs = stage.inputs, stage.outputs
        pitch = (TILE * columns + 2) * inputs
        self._lines = _buffer("one", SEEN, pitch)
        spread = _buffer("two", SEEN, SEEN, columns, inputs)
        # The pixels of a row that each tile sees: two of them are the next one's too.
        self._overlapping = self._lines.as_strided(
            spread.shape, (inputs, pitch, TILE * inputs, 1), self._lines.storage_offset()
        )
        self._spread, self._flat_spread = spread, spread.view(SEEN, -1)
        self.points = _buffer("one", POINTS, columns, inputs)
        self._products = _buffer("two", POINTS, columns, outputs)
        self._flat_products, self._one = self._products.view(SEEN, -1), self._products[_ONE]
        self._half = _buffer("one", TILE, SEEN, columns * outputs)
        self._flat_half = self._half.view(TILE, -1)
        self._flat_pixels = _buffer("two", TILE, TILE, columns * outputs)
        self._pixels = self._flat_pixels.view(TILE, TILE, columns, outputs).transpose(0, 1)
        self._room = _buffer("one", TILE, TILE, columns, outputs).transpose(0, 1)
        self.stage = stage

    def expand(self, seen: Tensor, points: Tensor) -> Tensor:
        """Bring rows of pixels [SEEN, (TILE * columns + 2) * inputs] to `points`, and return them.

        `points` are [POINTS, columns, inputs].
        """
        torch.mm(_INPUT, seen, out=self._lines)
        self._spread.copy_(self._overlapping)
        torch.mm(_INPUT, self._flat_spread, out=points.view(SEEN, -1))
        return points

    def convolve(
        self, points: Sequence[Tensor], past: Sequence[Tensor], place: Tensor | None = None
    ) -> Tensor:
        """Put what comes out [TILE, TILE, columns, outputs] into `place`, and return it.

        First come the rows and the columns within tiles. Without a place it is valid until the
        next step. `past` is what the stage asks for.
        """
        stage, products = self.stage, self._products
        torch.bmm(points[0], stage.weights[0], out=products)
        for source, weight in zip(points[1:], stage.weights[1:], strict=True):
            torch.baddbmm(products, source, weight, out=products)
        self._one.add_(stage.bias)
        torch.mm(_OUTPUT, self._flat_products, out=self._flat_half)
        torch.bmm(_OUTPUTS, self._half, out=self._flat_pixels)
        pixels = self._pixels
        place = pixels if place is None else place
        if stage.ending is not None:
            stage.ending(pixels, self._room, past, place)
        elif place is not pixels:
            place.copy_(pixels)
        return place
