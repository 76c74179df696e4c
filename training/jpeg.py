"""What JPEG does to a batch of pictures: libjpeg's steps as tensor operations.

The quantisation tables are those of the standard (ITU-T T.81, annex K), scaled by quality as
libjpeg does; chroma is averaged 2x2 and brought back by libjpeg's triangle filter. Only the
lossless half of the codec is missing. Within a level or two of what Pillow gives.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

LUMA_TABLE = """
16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112
100 103 99"""
CHROMA_TABLE = """
17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99"""
MCU = 16
"""Pixels of a side that whole blocks of subsampled chroma cover."""


@lru_cache(maxsize=2)
def _constants(device: torch.device) -> tuple[Tensor, ...]:
    """Return the tables (2, 8, 8), the DCT (8, 8), RGB -> YCbCr (3, 3) and its inverse."""
    tables = torch.tensor([list(map(int, t.split())) for t in (LUMA_TABLE, CHROMA_TABLE)])
    k, n = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    dct = torch.cos(math.pi * (2 * n + 1) * k / 16) / 2
    dct[0] /= math.sqrt(2)
    colours = torch.tensor(
        [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
    )
    found = (tables.float().view(2, 8, 8), dct, colours, torch.linalg.inv(colours))
    return tuple(part.to(device) for part in found)


def quantisation_tables(quality: Tensor) -> Tensor:
    """Return libjpeg's tables for qualities (batch,) of 1..100: (batch, 2, 8, 8), 1..255."""
    tables = _constants(quality.device)[0]
    scale = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    return ((tables * scale[:, None, None, None] + 50) / 100).floor().clamp(1, 255)


def _quantise(plane: Tensor, table: Tensor) -> Tensor:
    """Quantise the blocks of planes (batch, h, w) centred on 0; table: (batch, 8, 8)."""
    dct = _constants(plane.device)[1]
    batch, height, width = plane.shape
    blocks = plane.view(batch, height // 8, 8, width // 8, 8).transpose(2, 3)
    steps = table[:, None, None]
    blocks = dct.T @ (torch.round(dct @ blocks @ dct.T / steps) * steps) @ dct
    return blocks.transpose(2, 3).reshape(batch, height, width).round().clamp(-128, 127)


def compress(pictures: Tensor, quality: Tensor, subsampled: Tensor) -> Tensor:
    """Encode and decode pictures (batch, 3, h, w) of levels 0..255, sides multiples of MCU.

    quality: (batch,), 1..100; subsampled: (batch,), true for 4:2:0 and false for 4:4:4.
    """
    _, _, colours, decoded = _constants(pictures.device)
    tables = quantisation_tables(quality)
    batch, _, height, width = pictures.shape
    full = torch.einsum("ij,bjhw->bihw", colours, pictures).round()
    luma = _quantise(full[:, 0] - 128, tables[:, 0]) + 128
    twice = tables[:, 1].repeat_interleave(2, 0)
    chroma = _quantise(full[:, 1:].reshape(-1, height, width), twice)
    half = functional.avg_pool2d(full[:, 1:], 2).round().view(-1, height // 2, width // 2)
    half = _quantise(half, twice).view(batch, 2, height // 2, width // 2)
    # Bilinear enlarging by 2 is the triangle filter: 3/4 of the nearer and 1/4 of the next sample.
    half = functional.interpolate(half, scale_factor=2, mode="bilinear").round()
    chroma = torch.where(subsampled[:, None, None, None], half, chroma.view_as(half))
    pixels = torch.einsum("ij,bjhw->bihw", decoded[:, 1:], chroma) + luma[:, None]
    return pixels.round().clamp(0, 255)
