"""How far a model sees: measured, because theory says too much.

The receptive field of a 23-block ESRGAN is over 300 px, yet its output changes by less than a
tenth of an 8-bit step when it loses sight of everything beyond 10 px.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Run = Callable[[Tensor], tuple[Tensor, bool]]

LARGEST_HALO = 64
"""Pixels; models that see further are window-attention or global ones."""

_STEP = 1 / 255
_MARGIN = 4  # other images may be seen a little further than the probe
_HEIGHT = 32


def measure_halo(
    run: Run, channels: int, scale: int, multiple: int, device: torch.device, dtype: torch.dtype
) -> int:
    """Return the context in input pixels beyond which the output of `run` no longer changes.

    A probe image is run whole and without its left half. Where the two outputs differ by more
    than a quarter of an 8-bit step, and by more than the noise of the number format, the missing
    half was still seen.
    """
    grid = math.lcm(16, multiple)
    half = math.ceil(LARGEST_HALO / grid) * grid
    probe = _probe(channels, math.ceil(_HEIGHT / grid) * grid, 2 * half).to(device, dtype)
    with torch.inference_mode():
        whole, _ = run(probe)
        right, _ = run(probe[..., half:].contiguous(memory_format=torch.channels_last))
        error = (whole[..., half * scale :] - right).float().abs().amax(dim=(0, 1, 2)).cpu()
    noise = float(error[-half * scale // 4 :].max())
    if noise > _STEP:
        return LARGEST_HALO
    seen = torch.nonzero(error > max(_STEP / 4, 2 * noise)).flatten()
    if len(seen) == 0:
        return _MARGIN
    return min(LARGEST_HALO, int(seen[-1]) // scale + 1 + _MARGIN)


def _probe(channels: int, height: int, width: int) -> Tensor:
    """Make an image with edges, gradients and grain: float32 [1, channels, height, width]."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, channels, height // 8, width // 8, generator=generator)
    blocks = torch.nn.functional.interpolate(coarse, size=(height, width), mode="nearest")
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
    grain = torch.rand(1, channels, height, width, generator=generator)
    image = (0.4 * blocks + 0.4 * smooth + 0.2 * grain).clamp(0.0, 1.0)
    return image.contiguous(memory_format=torch.channels_last)
