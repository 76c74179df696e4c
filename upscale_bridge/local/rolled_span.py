"""SPAN as a chain of convolutions, of which some ask for what others made before."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .rolled_chain import RolledChain, shuffled
from .winograd import TILE, Stage, tiled

_BLOCKS = 6


def roll_span(folded: Any) -> RolledChain | None:
    """Return what a spandrel `SPAN` computes, of which `fold` has made plain convolutions."""
    if not _fits(folded):
        return None
    first, last = folded.conv_1, folded.upsampler[0]
    stages = [Stage.of(first.weight, first.bias)]
    for block in _blocks(folded):
        stages += [
            Stage.of(block.c1_r.weight, block.c1_r.bias, _swish),
            Stage.of(block.c2_r.weight, block.c2_r.bias, _swish),
            Stage.of(block.c3_r.weight, block.c3_r.bias, _attend, asked=(3,)),
        ]
    stages.append(_joined(folded))
    scale: int = folded.upsampler[1].upscale_factor
    stages.append(Stage.of(shuffled(last.weight, scale), shuffled(last.bias, scale)))
    if not folded.is_norm:
        return RolledChain(stages, scale)
    return RolledChain(stages, scale, partial(_normed, folded.mean, folded.img_range))


def _joined(folded: Any) -> Stage:
    """Return `conv_2` and the 1x1 convolution of it and three others as one stage."""
    width = folded.conv_2.out_channels
    weight = folded.conv_cat.weight[:, :, 0, 0]
    first, last, second, inner = torch.split(weight, width, dim=1)
    joined = torch.einsum("om,miyx->oiyx", last, folded.conv_2.weight)
    bias = folded.conv_cat.bias + last @ folded.conv_2.bias
    # The first convolution, the first block, and the first convolution of the last block.
    asked = 3 * _BLOCKS + 1, 3 * _BLOCKS - 2, 3
    ending = partial(_add, [one.T.contiguous() for one in (first, second, inner)])
    return Stage.of(joined, bias, ending, asked=asked)


def _swish(made: Tensor, room: Tensor, _asked: Sequence[Tensor], place: Tensor) -> None:
    torch.sigmoid(made, out=room)
    torch.mul(made, room, out=place)


def _attend(made: Tensor, room: Tensor, asked: Sequence[Tensor], place: Tensor) -> None:
    torch.sigmoid(made, out=room)
    torch.add(made, tiled(asked[0]), out=place)
    place.mul_(room.sub_(0.5))


def _add(
    weights: list[Tensor], made: Tensor, _room: Tensor, asked: Sequence[Tensor], place: Tensor
) -> None:
    total = torch.mm(asked[0].flatten(0, 1), weights[0])
    for seen, weight in zip(asked[1:], weights[1:], strict=True):
        total.addmm_(seen.flatten(0, 1), weight)
    torch.add(made, tiled(total.view(TILE, -1, total.shape[1])), out=place)


def _normed(mean: Tensor, span: float, pixels: Tensor) -> Tensor:
    return (pixels - mean) * span


def _fits(folded: Any) -> bool:
    if type(folded).__name__ != "SPAN":
        return False
    blocks = _blocks(folded)
    convolutions = [folded.conv_1, folded.conv_2, folded.upsampler[0]]
    convolutions += [one for block in blocks for one in (block.c1_r, block.c2_r, block.c3_r)]
    return len(blocks) == _BLOCKS and all(
        isinstance(one, nn.Conv2d) and one.kernel_size == (3, 3) and one.bias is not None
        for one in convolutions
    )


def _blocks(folded: Any) -> list[Any]:
    return [part for name, part in folded.named_children() if name.startswith("block_")]
