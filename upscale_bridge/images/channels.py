"""Which channels of an image go through the model together, and what is under transparency."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

OPAQUE = -1
"""In `Layer.sources`: a channel of ones that the image does not have."""


@dataclass(frozen=True)
class Layer:
    """One run of the model over the image."""

    sources: tuple[int, ...]
    """The image channel that feeds each channel of the model."""
    results: tuple[tuple[int, tuple[int, ...]], ...]
    """(image channel, model channels whose mean becomes it) for each channel that comes out."""

    def gather(self, pixels: Tensor) -> Tensor:
        """Return the model's input [height, width, model channels] from [height, width, C]."""
        if self.sources == tuple(range(pixels.shape[-1])):
            return pixels
        ones = torch.ones_like(pixels[..., 0])
        return torch.stack([ones if s == OPAQUE else pixels[..., s] for s in self.sources], dim=-1)

    def scatter(self, output: Tensor) -> Tensor:
        """Return [height, width, len(results)] from the model's [height, width, channels]."""
        if [sources for _, sources in self.results] == [(i,) for i in range(output.shape[-1])]:
            return output
        columns = [output[..., list(sources)].mean(dim=-1) for _, sources in self.results]
        return torch.stack(columns, dim=-1)

    @property
    def targets(self) -> list[int]:
        """The image channels that come out, in the order of `scatter`."""
        return [channel for channel, _ in self.results]


def alpha_channel(channels: int) -> int | None:
    """Return the index of alpha in gray+alpha or RGBA images, None in gray or RGB ones."""
    return channels - 1 if channels in (2, 4) else None


def layers(channels: int, model_channels: int, *, with_alpha: bool) -> list[Layer]:
    """Return the runs that upscale an image of 1 to 4 channels with a model of 1, 3 or 4.

    Alpha, where there is any, is a run of its own unless the model takes RGBA; `with_alpha`
    False leaves it out.
    """
    alpha = alpha_channel(channels)
    if model_channels == 4 and channels == 4 and with_alpha:
        return [Layer((0, 1, 2, 3), tuple((c, (c,)) for c in range(4)))]
    colours = channels if alpha is None else channels - 1
    if colours == 3 and model_channels >= 3:
        sources = (0, 1, 2, OPAQUE)[:model_channels]
        found = [Layer(sources, tuple((c, (c,)) for c in range(3)))]
    else:
        found = [_single(c, model_channels) for c in range(colours)]
    if alpha is not None and with_alpha:
        found.append(_single(alpha, model_channels))
    return found


def _single(channel: int, model_channels: int) -> Layer:
    """Return the run for one channel, shown to a colour model as gray."""
    if model_channels == 1:
        return Layer((channel,), ((channel, (0,)),))
    sources = (channel, channel, channel, OPAQUE)[:model_channels]
    return Layer(sources, ((channel, (0, 1, 2)),))


def fill_transparent(image: Tensor) -> Tensor:
    """Give fully transparent pixels the colours of their visible neighbours.

    Whatever lies under alpha 0 (often black) would otherwise bleed into the edge as a dark
    fringe. `image` is [height, width, 2 or 4]; it is returned unchanged when nothing is hidden,
    else as a copy. Coarser and coarser averages of the visible pixels fill larger and larger
    gaps (pull-push).
    """
    visible = (image[..., -1:] > 0).float()
    if bool(visible.all()) or not bool(visible.any()):
        return image
    colours = (image[..., :-1].float() * visible).permute(2, 0, 1)[None]
    filled = _pull_push(colours, visible.permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    kept = torch.where(visible > 0, image[..., :-1].float(), filled)
    return torch.cat([kept, image[..., -1:].float()], dim=-1)


def _pull_push(colours: Tensor, weight: Tensor) -> Tensor:
    """Fill where `weight` is 0; `colours` [1, C, H, W] are already multiplied by `weight`."""
    height, width = weight.shape[-2:]
    if bool((weight > 0).all()) or height * width == 1:
        return colours / weight.clamp(min=1e-6)
    pad = (0, width % 2, 0, height % 2)
    coarse_weight = F.avg_pool2d(F.pad(weight, pad), 2)
    coarse = _pull_push(F.avg_pool2d(F.pad(colours, pad), 2), coarse_weight)
    coarse = F.interpolate(coarse, scale_factor=2.0, mode="nearest")[..., :height, :width]
    return torch.where(weight > 0, colours / weight.clamp(min=1e-6), coarse)
