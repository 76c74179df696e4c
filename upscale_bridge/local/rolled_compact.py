"""Compact networks (SRVGGNet) as a chain of convolutions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .rolled_chain import RolledChain, shuffled
from .winograd import Stage, leaky


def roll_compact(plain: Any) -> RolledChain | None:
    """Return what spandrel's `Compact` computes, if it has the layers that are known."""
    if not _fits(plain):
        return None
    layers = list(plain.body)
    convolutions, activations = layers[::2], layers[1::2]
    stages = []
    # max(x, slope * x) is what an activation computes where its slope is at most 1. Elsewhere
    # it is that of -x, negated: those channels change their sign, and back in what sees them.
    signs: Tensor | float = 1.0
    for conv, activation in zip(convolutions, activations, strict=False):
        slope = _slope(activation, conv.out_channels)
        before, signs = signs, torch.where(slope > 1, -1.0, 1.0).view(-1, 1, 1, 1)
        weight = conv.weight * before * signs
        stages.append(Stage.of(weight, conv.bias * signs.flatten(), leaky(slope)))
        signs = signs.transpose(0, 1)
    last = convolutions[-1]
    scale: int = plain.upscale
    stages.append(Stage.of(shuffled(last.weight * signs, scale), shuffled(last.bias, scale)))
    return RolledChain(stages, scale, adds_input=True)


def _fits(plain: Any) -> bool:
    if type(plain).__name__ != "SRVGGNetCompact":
        return False
    layers = list(plain.body)
    convolutions, activations = layers[::2], layers[1::2]
    return all(isinstance(one, nn.PReLU | nn.LeakyReLU | nn.ReLU) for one in activations) and all(
        isinstance(one, nn.Conv2d) and one.kernel_size == (3, 3) and one.bias is not None
        for one in convolutions
    )


def _slope(activation: Any, channels: int) -> Tensor:
    """Return what an activation multiplies by what is below 0."""
    if isinstance(activation, nn.PReLU):
        return activation.weight.detach().expand(channels)
    return torch.full((channels,), getattr(activation, "negative_slope", 0.0))
