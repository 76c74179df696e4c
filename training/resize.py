"""Resampling and blurring of batches as products with one matrix per picture and axis.

Every picture of a batch has its own window, kernel and blur, which no library does in one call.
The kernels are Pillow's: widened by the ratio when they reduce, cut and normalised at the edges.
"""

from functools import lru_cache

import torch
from torch import Tensor

KERNELS = ("bicubic", "lanczos", "box", "bilinear")


def _profile(kernel: str, distance: Tensor) -> Tensor:
    """Return a kernel's weight at a distance from its centre, in source pixels."""
    x = distance.abs()
    if kernel == "bicubic":
        near = (1.5 * x - 2.5) * x * x + 1
        far = ((-0.5 * x + 2.5) * x - 4) * x + 2
        return torch.where(x < 1, near, torch.where(x < 2, far, 0))
    if kernel == "lanczos":
        return torch.where(x < 3, torch.sinc(x) * torch.sinc(x / 3), 0)
    if kernel == "bilinear":
        return (1 - x).clamp(min=0)
    # Pillow's box is open on one side, so that a pixel on the border belongs to one target only.
    return ((distance > -0.5) & (distance <= 0.5)).float()


def axis_matrices(start: Tensor, length: Tensor, source: int, target: int, kernel: str) -> Tensor:
    """Return (batch, target, source): what brings a window of each axis to `target` pixels.

    start, length: (batch,), the windows in source pixels, fractions allowed.
    """
    ratio = (length / target)[:, None, None]
    index = torch.arange(target, device=start.device)[None, :, None]
    pixels = torch.arange(source, device=start.device)[None, None, :]
    centres = start[:, None, None] + (index + 0.5) * ratio - 0.5
    weights = _profile(kernel, (pixels - centres) / ratio.clamp(min=1))
    return weights / weights.sum(-1, keepdim=True)


def blur_matrices(deviation: Tensor, size: int) -> Tensor:
    """Return (batch, size, size): a Gaussian blur along one axis; 0 leaves it as it is."""
    pixels = torch.arange(size, device=deviation.device)
    square = (pixels[:, None] - pixels[None, :]).square()
    # Below 0.2 pixels the neighbours weigh less than a level.
    weights = torch.exp(-square / (2 * deviation.clamp(min=0.1).square())[:, None, None])
    return weights / weights.sum(-1, keepdim=True)


def apply(rows: Tensor, columns: Tensor, pictures: Tensor) -> Tensor:
    """Apply (batch, h, H) and (batch, w, W) to the axes of pictures (batch, 3, H, W)."""
    return rows[:, None] @ pictures @ columns[:, None].mT


@lru_cache(maxsize=32)
def _reducer(size: int, factor: int, kernel: str, device: torch.device) -> Tensor:
    """Return (1, size / factor, size)."""
    whole = torch.full((1,), float(size), device=device)
    return axis_matrices(whole * 0, whole, size, size // factor, kernel)


def reduce_by(pictures: Tensor, factor: int, kernel: str) -> Tensor:
    """Reduce pictures (batch, channels, h, w) by a factor that divides h and w."""
    rows, columns = (
        _reducer(size, factor, kernel, pictures.device) for size in pictures.shape[-2:]
    )
    return apply(rows, columns, pictures)
