"""How far a model sees, and on which pixel grid: measured, because theory says too much.

The receptive field of a 23-block ESRGAN is over 300 px, yet its output changes by less than a
tenth of an 8-bit step when it loses sight of everything beyond 10 px. Models with window
attention give the same output for a part of an image only if the part begins where one of the
whole image's windows does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Run = Callable[[Tensor], tuple[Tensor, Any]]

LARGEST_HALO = 64
"""Pixels; models that see further see everything."""

_GRIDS = (4, 8, 16, 32)  # pixel unshuffle has 2 or 4, windows have the others; 64 if none fits
_WITHOUT_GRID = (  # layers that treat all pixels alike
    *(nn.Conv2d, nn.PixelShuffle, nn.Upsample, nn.Identity, nn.Dropout),
    *(nn.PReLU, nn.LeakyReLU, nn.ReLU, nn.SiLU, nn.GELU, nn.Mish, nn.Sigmoid, nn.Tanh),
)
_STEP = 1 / 255
_MARGIN = 4  # other images may be seen a little further than the probe
_HEIGHT = 16
_PART = 128


@dataclass(frozen=True)
class ReceptiveField:
    """What a tile must be like to be computed as if it were in the whole image."""

    halo: int
    """Context in input pixels beyond which the output no longer changes."""
    grid: int
    """Tiles must begin at multiples of this."""

    @property
    def exact(self) -> bool:
        """Whether the halo is all that the model sees."""
        return self.halo < LARGEST_HALO


def measure_receptive_field(
    run: Run, channels: int, scale: int, multiple: int, device: torch.device, dtype: torch.dtype
) -> ReceptiveField:
    """Measure on a probe image, in `dtype` on `device`, where `run` must be.

    The probe is run whole and then in parts. Where the outputs differ by more than a quarter of
    an 8-bit step, and by more than the noise of the number format, what was cut off was seen.
    """
    start = math.lcm(LARGEST_HALO, multiple)
    image = probe(channels, _HEIGHT, start + _PART + LARGEST_HALO).to(device, dtype)
    with torch.inference_mode():
        whole, _ = run(image)

        def error(first: int, length: int) -> Tensor:
            """Return the largest difference in each input column of a part."""
            part, _ = run(image[..., first : first + length])
            gap = (whole[..., first * scale : (first + length) * scale] - part).abs()
            return gap.float().amax(dim=(0, 1, 2)).reshape(-1, scale).amax(dim=1).cpu()

        gaps = error(start, image.shape[-1] - start)
        noise = float(gaps[_PART:].max())
        if not noise <= _STEP:  # also when the format overflows: NaN compares false
            return ReceptiveField(LARGEST_HALO, start)
        limit = max(_STEP / 4, 2 * noise)
        seen = torch.nonzero(~(gaps <= limit)).flatten()
        halo = min(LARGEST_HALO, (int(seen[-1]) + 1 if len(seen) else 0) + _MARGIN)
        if halo == LARGEST_HALO:
            return ReceptiveField(halo, start)
        inner = slice(halo, _PART - halo)
        fitting = (g for g in _GRIDS if float(error(start + g, _PART)[inner].max()) <= limit)
        return ReceptiveField(halo, math.lcm(next(fitting, LARGEST_HALO), multiple))


def plain_convolutions(module: nn.Module) -> int:
    """Count the convolutions of a network that has no grid of its own; 0 when it may have one.

    Each sees at most a pixel beyond the one before it. Windows need layers of other kinds.
    """
    leaves = [one for one in module.modules() if not list(one.children())]
    convolutions = [one for one in leaves if isinstance(one, nn.Conv2d)]
    simple = all(
        one.stride == (1, 1) and max(one.kernel_size) <= 3 and one.dilation == (1, 1)
        for one in convolutions
    )
    known = all(isinstance(one, _WITHOUT_GRID) for one in leaves)
    return sum(one.kernel_size == (3, 3) for one in convolutions) if simple and known else 0


def probe(channels: int, height: int, width: int) -> Tensor:
    """Make an image with edges, gradients and grain: float32 [1, channels, height, width]."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, channels, height // 8, width // 8, generator=generator)
    blocks = F.interpolate(coarse, size=(height, width), mode="nearest")
    smooth = F.interpolate(coarse, size=(height, width), mode="bicubic")
    grain = torch.rand(1, channels, height, width, generator=generator)
    image = (0.4 * blocks + 0.4 * smooth + 0.2 * grain).clamp(0.0, 1.0)
    return image.contiguous(memory_format=torch.channels_last)
