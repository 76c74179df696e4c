"""What the training minimises."""

import torch
from resize import reduce_by
from torch import Tensor

LUMA_CHROMA = ((0.299, 0.587, 0.114), (-0.169, -0.331, 0.5), (0.5, -0.419, -0.081))
CHROMA_WEIGHT = 0.5
HALF_WEIGHT = 0.25
FLOOR = (1.0 / 255) ** 2
"""Squared errors well below it no longer count: a level is what a file can hold."""


def luma_chroma(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """RGB -> luma (batch, 1, height, width) and both colour differences (batch, 2, ...)."""
    luma, *chroma = (
        sum(weight * pictures[:, index] for index, weight in enumerate(row)) for row in LUMA_CHROMA
    )
    return luma[:, None], torch.stack(chroma, 1)


def charbonnier(output: Tensor, target: Tensor) -> Tensor:
    """Robust error of luma, chroma and RGB: for the first part of a training."""
    difference = output - target
    parts = (difference, *luma_chroma(difference))
    rgb, luma, chroma = ((part.square() + 1e-6).sqrt().mean() for part in parts)
    return rgb + luma + chroma


def decibels(output: Tensor, target: Tensor) -> Tensor:
    """Minus the PSNR of luma, of chroma and of the result at half its size, each over 10 dB.

    Every picture counts alike, a calm one as much as a busy one, as it does in a mean of PSNR.
    The half-size part is what a user gets who enlarges by 2.
    """
    luma, chroma = luma_chroma(output - target)
    errors = (luma, chroma, reduce_by(luma, 2, "lanczos"))
    luma, chroma, small = (
        (part.square().flatten(1).mean(1) + FLOOR).log10().mean() for part in errors
    )
    return luma + CHROMA_WEIGHT * chroma + HALF_WEIGHT * small
