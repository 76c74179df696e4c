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

from .devices import is_out_of_memory

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

    The probe is run whole, then without its upper rows and left columns. Where the outputs differ
    by more than a quarter of an 8-bit step, and by more than the noise of the number format, what
    was cut off was seen. Where memory is too short for it, all counts as seen.
    """
    start = math.lcm(LARGEST_HALO, multiple)
    image = probe(channels, start + _PART, start + _PART).to(device, dtype)
    noisiest = _STEP / 8 if dtype == torch.float32 else _STEP
    try:
        with torch.inference_mode():
            return _measure(run, image, scale, multiple, noisiest)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return ReceptiveField(LARGEST_HALO, start)


def _measure(run: Run, image: Tensor, scale: int, multiple: int, noisiest: float) -> ReceptiveField:
    start = math.lcm(LARGEST_HALO, multiple)
    whole, _ = run(image)

    def error(first: int) -> Tensor:
        """Return the largest difference at each distance from where a part begins."""
        part, _ = run(image[..., first:, first:])
        gap = (whole[..., first * scale :, first * scale :] - part).abs().float()
        gap = F.max_pool2d(gap.amax(dim=1, keepdim=True), scale)[0, 0].cpu()
        return torch.maximum(gap.triu().amax(dim=1), gap.tril().amax(dim=0))

    gaps = error(start)
    noise = float(gaps[LARGEST_HALO:].max())
    if not noise <= noisiest:  # also when the format overflows: NaN compares false
        return ReceptiveField(LARGEST_HALO, start)
    limit = max(_STEP / 4, 2 * noise)
    seen = torch.nonzero(~(gaps <= limit)).flatten()
    halo = min(LARGEST_HALO, (int(seen[-1]) + 1 if len(seen) else 0) + _MARGIN)
    if halo == LARGEST_HALO:
        return ReceptiveField(halo, start)
    fitting = (g for g in _GRIDS if float(error(start + g)[halo:].max()) <= limit)
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
