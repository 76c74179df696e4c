"""Exact separable Lanczos resampling, whole or one tile at a time.

The weights of a target pixel depend only on the two lengths, never on the tile that computes it,
so a tiled resize equals an untiled one. Enlarging interpolates; shrinking widens the filter by
the ratio (anti-aliasing), as Pillow's LANCZOS does.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .tiling import Span

_LOBES = 3


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


def weights(window: Span, wanted: Span, source: int, target: int) -> Tensor:
    """Return the matrix float32 [wanted.length, window.length] that resamples `window`.

    `window` and `wanted` are ranges of the whole axes of `source` and `target` pixels; `window`
    must reach `support()` beyond the wanted centres or end where the image ends.
    """
    ratio = source / target
    width = max(ratio, 1.0)
    centres = (torch.arange(wanted.start, wanted.stop, dtype=torch.float64) + 0.5) * ratio - 0.5
    taps = torch.arange(window.start, window.stop, dtype=torch.float64)
    distance = (taps[None, :] - centres[:, None]) / width
    lobes = torch.where(
        distance.abs() < _LOBES, torch.sinc(distance) * torch.sinc(distance / _LOBES), 0.0
    )
    return (lobes / lobes.sum(dim=1, keepdim=True)).to(torch.float32)


def resample(pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Apply two weight matrices to float32 [height, width, channels]."""
    pixels = torch.tensordot(columns, pixels, dims=([1], [1]))  # [width', height, channels]
    resized: Tensor = torch.tensordot(rows, pixels, dims=([1], [1]))  # [height', width', channels]
    return resized


def resize(pixels: Tensor, width: int, height: int, rows_at_once: int = 256) -> Tensor:
    """Resize float32 [height, width, channels] to exactly `width` x `height`, clamped to 0..1.

    Works in bands, so that it needs little more memory than its result.
    """
    old_height, old_width, channels = pixels.shape
    if (old_width, old_height) == (width, height):
        return pixels.clamp(0.0, 1.0)
    result = torch.empty(height, width, channels)
    columns = weights(Span(0, old_width), Span(0, width), old_width, width)
    reach = support(old_height, height)
    for start in range(0, height, rows_at_once):
        wanted = Span(start, min(start + rows_at_once, height))
        first = max(0, wanted.start * old_height // height - reach)
        last = min(old_height, math.ceil(wanted.stop * old_height / height) + reach)
        rows = weights(Span(first, last), wanted, old_height, height)
        band = resample(pixels[first:last].float(), rows, columns)
        result[wanted.start : wanted.stop] = band.clamp_(0.0, 1.0)
    return result


def nearest(pixels: Tensor, width: int, height: int) -> Tensor:
    """Resize [height, width, channels] by repeating or leaving out pixels, as Pillow's NEAREST."""
    rows, columns = (
        ((torch.arange(target, dtype=torch.float64) + 0.5) * source / target).long()
        for source, target in ((pixels.shape[0], height), (pixels.shape[1], width))
    )
    return pixels[rows][:, columns]


def centre(pixels: Tensor, width: int, height: int) -> Tensor:
    """Put [height, width, channels] into the middle of a black image; what stands out is cut.

    The halves are rounded as AUTOMATIC1111's WebUI rounds them: target // 2 - source // 2.
    """
    canvas = torch.zeros(height, width, pixels.shape[-1])
    left = width // 2 - pixels.shape[1] // 2
    top = height // 2 - pixels.shape[0] // 2
    inside = pixels[max(-top, 0) : height - top, max(-left, 0) : width - left]
    canvas[max(top, 0) : top + pixels.shape[0], max(left, 0) : left + pixels.shape[1]] = inside
    return canvas
