"""Exact separable Lanczos resampling, whole or one tile at a time.

The weights of a target pixel depend only on the two lengths, never on the tile that computes it,
so a tiled resize equals an untiled one. Enlarging interpolates; shrinking widens the filter by
the ratio (anti-aliasing), as Pillow's LANCZOS does.

A target pixel sees 7 source pixels, and more when it shrinks. Neighbours see nearly the same ones:
in main memory 16 of them share a small matrix product. It is numpy's, since what torch's gives
depends on settings of the whole process (autocast, the precision of products).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats: TypeAlias = npt.NDArray[np.float32]
Product: TypeAlias = tuple[slice, slice, Floats]

_CPU = torch.device("cpu")
_LOBES = 3
_TOGETHER = 16  # target pixels of one product; more would multiply more zeros
_PRODUCT = 1 << 18  # multiplications; BLAS shares larger products among threads, which costs more
_BLOCK = 512  # pixels; the caches hold a block, and its products are worth their calls
_BLOCK_ELSEWHERE = 8192
_LEAST = 4  # target pixels of a block's side; their windows overlap the more the fewer they are


@dataclass(frozen=True)
class Span:
    """A half-open range of pixels on one axis: start <= i < stop."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """Number of pixels."""
        return self.stop - self.start


def support(source: int, target: int) -> int:
    """Return how many source pixels a target pixel may reach on either side."""
    return math.ceil(_LOBES * max(source / target, 1.0)) + 1


def targets(core: Span, source: int, target: int) -> Span:
    """Return the target pixels whose centres lie in `core`, a range of source pixels.

    Adjoining cores get adjoining ranges: together they hold every target pixel once.
    """
    return Span(_first(core.start, source, target), _first(core.stop, source, target))


def _first(edge: int, source: int, target: int) -> int:
    """Return the first target pixel whose centre is at or beyond the source position `edge`."""
    return -((source - 2 * edge * target) // (2 * source))


@dataclass(frozen=True)
class Taps:
    """What each of a range of target pixels takes from a window of source pixels, on one axis."""

    first: npt.NDArray[np.int64]
    """[length]: the first source pixel, counted from where the window begins; never falls."""
    weights: Floats
    """[length, count]: of the source pixels from there on; a row adds up to 1."""

    @cached_property
    def products(self) -> list[Product]:
        """(target pixels, source pixels, matrix that takes these to those) of each product."""
        length, count = self.weights.shape
        if not length:
            return []
        group, place = np.divmod(np.arange(length), _TOGETHER)
        starts = self.first[::_TOGETHER]
        offset = self.first - starts[group]
        shape = len(starts), _TOGETHER, int(offset.max()) + count
        matrices = np.zeros(shape, np.float32)
        columns = offset[:, None] + np.arange(count)
        matrices[group[:, None], place[:, None], columns] = self.weights
        found = []
        for index, start in enumerate(starts.tolist()):
            target = slice(index * _TOGETHER, min((index + 1) * _TOGETHER, length))
            size = int(offset[target.stop - 1]) + count
            matrix = matrices[index, : target.stop - target.start, :size]
            found.append((target, slice(start, start + size), matrix))
        return found


def taps(window: Span, wanted: Span, source: int, target: int) -> Taps:
    """Return what the `wanted` target pixels take from `window`.

    Both are ranges of the whole axes of `source` and `target` pixels; `window` must reach
    `support()` beyond the wanted centres or end where the image ends.
    """
    ratio = source / target
    width = max(ratio, 1.0)
    centres = (np.arange(wanted.start, wanted.stop) + 0.5) * ratio - 0.5 - window.start
    count = min(math.ceil(2 * _LOBES * width) + 1, window.length)
    first = np.ceil(centres - _LOBES * width).clip(0, window.length - count).astype(np.int64)
    distance = (first[:, None] + np.arange(count) - centres[:, None]) / width
    lobes = np.where(abs(distance) < _LOBES, np.sinc(distance) * np.sinc(distance / _LOBES), 0.0)
    return Taps(first, (lobes / lobes.sum(axis=1, keepdims=True)).astype(np.float32))


def resample(pixels: Tensor, rows: Taps | slice, columns: Taps | slice) -> Tensor:
    """Resample float32 [height, width, channels] where it lies; a slice only cuts its axis."""
    if isinstance(rows, slice):
        pixels = pixels[rows]
    if isinstance(columns, slice):
        pixels = pixels[:, columns]
    # What shrinks more goes first and leaves less to the other.
    steps = [
        (len(axis.first) / pixels.shape[dim], dim, axis)
        for dim, axis in enumerate((rows, columns))
        if isinstance(axis, Taps)
    ]
    for _, dim, axis in sorted(steps, key=lambda step: step[:2]):
        if pixels.device.type != "cpu":
            pixels = _by_taps(pixels, axis, dim)
        else:
            along = _along_columns if dim else _along_rows
            pixels = torch.from_numpy(along(pixels.detach().numpy(), axis))
    return pixels


def _along_rows(pixels: Floats, axis: Taps) -> Floats:
    """Return [height', width, channels] of [height, width, channels]."""
    source = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
    result = np.empty((len(axis.first), source.shape[1]), np.float32)
    step = _step(axis)
    for left in range(0, source.shape[1], step):
        part = slice(left, left + step)
        for target, taken, matrix in axis.products:
            np.matmul(matrix, source[taken, part], out=result[target, part])
    return result.reshape(-1, *pixels.shape[1:])


def _along_columns(pixels: Floats, axis: Taps) -> Floats:
    """Return [height, width', channels] of [height, width, channels]."""
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    source = planes.reshape(-1, planes.shape[2])
    result = np.empty((len(source), len(axis.first)), np.float32)
    step = _step(axis)
    for top in range(0, len(source), step):
        part = slice(top, top + step)
        for target, taken, matrix in axis.products:
            np.matmul(source[part, taken], matrix.T, out=result[part, target])
    resized: Floats = result.reshape(*planes.shape[:2], -1).transpose(1, 2, 0)
    return resized


def _step(axis: Taps) -> int:
    """Return how many lines go through each product of an axis together."""
    return max(64, _PRODUCT // max((matrix.size for *_, matrix in axis.products), default=1))


def _by_taps(pixels: Tensor, axis: Taps, dim: int) -> Tensor:
    """Resample one dimension of [height, width, channels] on a device: one tap after the other."""
    shape = [-1 if index == dim else 1 for index in range(pixels.dim())]
    first = torch.from_numpy(axis.first).to(pixels.device)
    weights = torch.from_numpy(axis.weights).to(pixels.device)
    result = pixels.index_select(dim, first) * weights[:, 0].view(shape)
    for tap in range(1, weights.shape[1]):
        result.addcmul_(pixels.index_select(dim, first + tap), weights[:, tap].view(shape))
    return result


def resize(pixels: Tensor, width: int, height: int) -> Tensor:
    """Resize [height, width, channels] of any float dtype to exactly `width` x `height`.

    Returns float32 in 0..1 on the device of `pixels`, which are cleaned first. Works in blocks, so
    that it needs little more memory than its result.
    """
    old_height, old_width, channels = pixels.shape
    result = allocate(height, width, channels, device=pixels.device)
    side = _BLOCK if pixels.device.type == "cpu" else _BLOCK_ELSEWHERE
    wide = min(side, max(old_width, width))
    columns = _parts(old_width, width, wide)
    for y in _parts(old_height, height, side * side // (wide * channels)):
        for x in columns:
            block = clean(pixels[y.window, x.window])
            _store(resample(block, y.axis, x.axis), result[y.wanted, x.wanted])
    return result


def resized_rows(pixels: Tensor, width: int, height: int, top: int, bottom: int) -> Tensor:
    """Return rows `top` to `bottom` of what `resize` makes of [height', width', channels]."""
    old_height, old_width = pixels.shape[:2]
    reach = support(old_height, height)
    first = max(0, top * old_height // height - reach)
    last = min(old_height, -(-bottom * old_height // height) + reach)
    rows: Taps | slice = slice(top - first, bottom - first)
    if old_height != height:
        rows = taps(Span(first, last), Span(top, bottom), old_height, height)
    columns: Taps | slice = slice(None)
    if old_width != width:
        columns = taps(Span(0, old_width), Span(0, width), old_width, width)
    return resample(clean(pixels[first:last]), rows, columns).clamp(0.0, 1.0)


@dataclass(frozen=True)
class _Slice:
    """A range of target pixels, the source pixels that it sees, and what it takes from them."""

    wanted: slice
    window: slice
    axis: Taps | slice


def _parts(source: int, target: int, side: int) -> list[_Slice]:
    """Cut an axis into parts of about `side` pixels, before or after."""
    step = max(_LEAST, side * min(source, target) // source)
    reach = support(source, target)
    found = []
    for start in range(0, target, step):
        wanted = Span(start, min(start + step, target))
        if source == target:
            same = slice(wanted.start, wanted.stop)
            found.append(_Slice(same, same, slice(None)))
            continue
        first = max(0, wanted.start * source // target - reach)
        last = min(source, -(-wanted.stop * source // target) + reach)
        axis = taps(Span(first, last), wanted, source, target)
        found.append(_Slice(slice(wanted.start, wanted.stop), slice(first, last), axis))
    return found


def _store(block: Tensor, place: Tensor) -> None:
    """Fill `place` with `block`, clamped to 0..1."""
    if place.device.type != "cpu":
        torch.clamp(block, 0.0, 1.0, out=place)
        return
    for channel in range(place.shape[-1]):  # much quicker than together when they lie apart
        np.clip(block[..., channel].numpy(), 0.0, 1.0, out=place[..., channel].numpy())


def clean(pixels: Tensor) -> Tensor:
    """Return `pixels` as float32 in 0..1 without NaN; themselves if they are that."""
    pixels = pixels.detach().float()
    values = pixels.numpy() if pixels.device.type == "cpu" else pixels
    if values.min() >= 0 and values.max() <= 1:  # NaN if one pixel is
        return pixels
    return pixels.nan_to_num(nan=0.0).clamp_(0.0, 1.0)


def allocate(*shape: int, device: torch.device = _CPU) -> Tensor:
    """Return uninitialised float32; numpy's memory comes in huge pages, torch's does not."""
    if device.type != "cpu":
        return torch.empty(shape, dtype=torch.float32, device=device)
    return torch.from_numpy(np.empty(shape, dtype=np.float32))


def nearest(pixels: Tensor, width: int, height: int) -> Tensor:
    """Resize [height, width, channels] by repeating or leaving out pixels, as Pillow's NEAREST."""
    rows, columns = (
        ((torch.arange(target, dtype=torch.float64) + 0.5) * source / target).long()
        for source, target in ((pixels.shape[0], height), (pixels.shape[1], width))
    )
    return pixels[rows][:, columns]


def middle(pixels: Tensor, width: int, height: int) -> Tensor:
    """Return the middle of [..., height, width, channels], where a half pixel goes to the left and
    top; a view."""
    left, top = (pixels.shape[-2] - width) // 2, (pixels.shape[-3] - height) // 2
    return pixels[..., top : top + height, left : left + width, :]


def centre(pixels: Tensor, width: int, height: int) -> Tensor:
    """Put [height, width, channels] into the middle of a black image; what stands out is cut.

    The halves are rounded as AUTOMATIC1111's WebUI rounds them: target // 2 - source // 2.
    """
    canvas = torch.zeros(height, width, pixels.shape[-1], dtype=torch.float32)
    left = width // 2 - pixels.shape[1] // 2
    top = height // 2 - pixels.shape[0] // 2
    inside = pixels[max(-top, 0) : height - top, max(-left, 0) : width - left]
    canvas[max(top, 0) : top + pixels.shape[0], max(left, 0) : left + pixels.shape[1]] = inside
    return canvas
