"""Giving an enlarged image the colours of the one that it was made of.

Models shift colours, and services more so. `lab` moves mean and deviation of each channel of CIELAB
(Reinhard et al., Color Transfer between Images, 2001); `wavelet` takes all that is coarser than
about 32 px from the original and leaves what is finer, level by level, as StableSR's colour fix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .channels import fill_transparent
from .resample import clean, resized_rows

_ROWS = 256  # that are worked on at a time
_LEVELS = 5
_REACH = 2**_LEVELS - 1  # pixels that a coarse colour sees on either side
_LEAST = 1e-4  # deviation below which an image has no contrast to speak of

# IEC 61966-2-1 and CIE 15, D65.
_TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
_FROM_XYZ = (
    (3.2404542, -1.5371385, -0.4985314),
    (-0.9692660, 1.8760108, 0.0415560),
    (0.0556434, -0.2040259, 1.0572252),
)
_WHITE = tuple(sum(row) for row in _TO_XYZ)
_BREAK = 6 / 29


def match(
    pixels: Tensor, original: Tensor, method: str, check: Callable[[], None] = lambda: None
) -> None:
    """Change float32 `pixels` [height, width, 1 or 3] in 0..1, which show what `original` shows.

    `original` is [height', width', same channels] of any size. `check` is called every few rows;
    what it raises leaves some rows changed.
    """
    way = {"lab": _match_moments, "wavelet": _match_coarse}[method]
    way(pixels, original, check)


def match_batch(
    pixels: Tensor, originals: Tensor, method: str, check: Callable[[], None] = lambda: None
) -> None:
    """Change float32 `pixels` [batch, height, width, 1 to 4 channels], which show `originals`.

    Alpha stays; colours that it hides are not looked at.
    """
    if method == "none":
        return
    for image, original in zip(pixels, originals, strict=True):
        colours, seen = image, clean(original.cpu())
        if image.shape[-1] in (2, 4):
            colours, seen = image[..., :-1], fill_transparent(seen)[..., :-1]
        match(colours, seen, method, check)


def _match_moments(pixels: Tensor, original: Tensor, check: Callable[[], None]) -> None:
    mean, deviation = _moments(pixels, check)
    wanted_mean, wanted_deviation = _moments(original, check)
    scale = wanted_deviation / deviation.clamp(min=_LEAST)
    scale[deviation < _LEAST] = 1.0
    for rows in _stripes(pixels, check):
        changed = (_to_lab(rows) - mean) * scale + wanted_mean
        rows.copy_(_from_lab(changed).permute(1, 2, 0).clamp_(0.0, 1.0))


def _moments(pixels: Tensor, check: Callable[[], None]) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each channel, [channels, 1, 1] each."""
    shape, double = (pixels.shape[-1], 1, 1), torch.float64
    total, squares = torch.zeros(shape, dtype=double), torch.zeros(shape, dtype=double)
    for rows in _stripes(pixels, check):
        lab = _to_lab(rows)
        total += lab.sum(dim=(1, 2), keepdim=True, dtype=double)
        squares += lab.square().sum(dim=(1, 2), keepdim=True, dtype=double)
    count = pixels.shape[0] * pixels.shape[1]
    mean = total / count
    return mean.float(), (squares / count - mean.square()).clamp(min=0).sqrt().float()


def _stripes(pixels: Tensor, check: Callable[[], None]) -> Iterator[Tensor]:
    for top in range(0, len(pixels), _ROWS):
        check()
        yield pixels[top : top + _ROWS]


def _to_lab(pixels: Tensor) -> Tensor:
    """Return CIELAB [3, height, width] of sRGB [height, width, 3]; one channel stays as it is."""
    rgb = pixels.permute(2, 0, 1).float().contiguous()
    if len(rgb) == 1:
        return rgb
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055).pow(2.4))
    x, y, z = (
        _root(part / white) for part, white in zip(_product(_TO_XYZ, linear), _WHITE, strict=True)
    )
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _from_lab(lab: Tensor) -> Tensor:
    """Return sRGB of CIELAB, both [3, height, width]."""
    if len(lab) == 1:
        return lab
    light, a, b = lab
    y = (light + 16) / 116
    roots = y + a / 500, y, y - b / 200
    xyz = [_cube(root) * white for root, white in zip(roots, _WHITE, strict=True)]
    linear = torch.stack(_product(_FROM_XYZ, xyz)).clamp(0.0, 1.0)
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.pow(1 / 2.4) - 0.055)


def _product(matrix: Sequence[Sequence[float]], planes: Iterable[Tensor]) -> list[Tensor]:
    """Return a matrix applied to the channels; torch's own product depends on process settings."""
    first, second, third = planes
    return [first * row[0] + second * row[1] + third * row[2] for row in matrix]


def _root(value: Tensor) -> Tensor:
    low = value / (3 * _BREAK**2) + 4 / 29
    return torch.where(value > _BREAK**3, value.clamp(min=0).pow(1 / 3), low)


def _cube(root: Tensor) -> Tensor:
    return torch.where(root > _BREAK, root * root * root, 3 * _BREAK**2 * (root - 4 / 29))


def _match_coarse(pixels: Tensor, original: Tensor, check: Callable[[], None]) -> None:
    height, width = pixels.shape[:2]
    above = pixels[:0].clone()  # rows as they were before they were changed
    for top in range(0, height, _ROWS):
        check()
        bottom = min(top + _ROWS, height)
        last = min(bottom + _REACH, height)
        now = torch.cat([above, pixels[top:last]])
        first = last - len(now)
        off = resized_rows(original, width, height, first, last) - now
        above = now[max(bottom - first - _REACH, 0) : bottom - first].clone()
        coarse = _coarse(off)[top - first : bottom - first]
        pixels[top:bottom].add_(coarse).clamp_(0.0, 1.0)


def _coarse(pixels: Tensor) -> Tensor:
    """Return [height, width, channels] without what is finer than about 32 px."""
    found = pixels.permute(2, 0, 1)[:, None]
    for level in range(_LEVELS):
        step = 2**level
        for dim in (2, 3):
            pad = (step, step, 0, 0) if dim == 3 else (0, 0, step, step)
            wide, size = F.pad(found, pad, mode="replicate"), found.shape[dim]
            sides = wide.narrow(dim, 0, size) + wide.narrow(dim, 2 * step, size)
            found = found / 2 + sides / 4
    return found[:, 0].permute(1, 2, 0)
