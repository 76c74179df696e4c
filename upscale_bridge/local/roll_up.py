"""Which networks need no tiles."""

from __future__ import annotations

import logging
import math

import torch
from torch import Tensor, nn

from ..images.resample import Span
from .fused_esrgan import LeanESRGAN
from .receptive_field import probe
from .rolled import Rolled
from .rolled_compact import roll_compact
from .rolled_esrgan import RolledESRGAN
from .rolled_span import roll_span
from .tiling import Tile
from .workers import Team

log = logging.getLogger(__name__)

_TOLERANCE = 0.02 / 255  # a fiftieth of an 8-bit step; Winograd in fp32 is off by a thousandth


def roll_up(module: nn.Module, channels: int) -> Rolled | None:
    """Return what computes the same as spandrel's network in fp32 on the CPU, if that is known.

    It is compared with the network itself on edges, gradients and grain.
    """
    network: Rolled | None
    lean = getattr(module, "model", None)
    if isinstance(lean, LeanESRGAN) and not getattr(module, "shuffle_factor", None):
        network = RolledESRGAN(lean)
    else:
        network = roll_compact(module) or roll_span(module)
    if network is None:
        return None
    gap = _difference(network, module, probe(channels, 16, 24)[..., :14, :23])
    if not gap <= _TOLERANCE:
        log.warning("%s without tiles is off by %g; using tiles.", type(module).__name__, gap)
        return None
    return network


@torch.inference_mode()
def _difference(network: Rolled, module: nn.Module, pixels: Tensor) -> float:
    expected: Tensor = module(pixels)[0].permute(1, 2, 0)
    found = torch.full_like(expected, math.nan)
    height, width = pixels.shape[2:]
    scale = expected.shape[0] // height

    def store(core: Tile, window: Tile, output: Tensor) -> None:
        y, x = core.y.start - window.y.start, core.x.start - window.x.start
        part = output[scale * y :, scale * x :]
        part = part[: scale * core.y.length, : scale * core.x.length]
        rows = slice(scale * core.y.start, scale * core.y.stop)
        found[rows, scale * core.x.start : scale * core.x.stop] = part

    whole = Tile(Span(0, width), Span(0, height))
    network.run(pixels, whole, 1, Team(1, lambda: None), store)
    return float((found - expected).abs().max())
