"""Judge a model on scenes that are kept apart, the way benchmarks/quality.py judges photographs."""

import io
from dataclasses import dataclass

import numpy as np
import torch
from loss import luma_chroma
from numpy.typing import NDArray
from PIL import Image
from pool import SCALE
from resize import reduce_by
from torch import Tensor, nn

SCENES = 16
"""The first scenes of a pool; the training begins behind them."""
COLUMNS: dict[str, tuple[int, int | None]] = {
    "x4": (4, None),
    "x4 JPEG-75": (4, 75),
    "x4 JPEG-50": (4, 50),
    "x2": (2, None),
}
"""Scale of the enlargement and JPEG quality of its input."""
CHROMA_SHARE = 0.5

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Case:
    """An input, what it should become, both uint8 (1, 3, height, width), and Lanczos' errors."""

    low: Tensor
    truth: Tensor
    errors: tuple[float, float]


def psnr(result: Tensor, truth: Tensor, border: int) -> tuple[float, float]:
    """PSNR of luma and of chroma in dB; both pictures in 0..1, (1, 3, height, width)."""
    inside = slice(border, -border)
    parts = luma_chroma((result - truth)[..., inside, inside])
    luma, chroma = (-10 * (part.square().mean() + 1e-6).log10().item() for part in parts)
    return luma, chroma


def as_tensor(picture: Image.Image | Bytes) -> Tensor:
    """RGB -> uint8 (1, 3, height, width)."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]


def make_case(scene: Bytes, index: int, scale: int, quality: int | None) -> Case:
    """Make the input of one scene; every other scene is reduced to half its size first."""
    side = len(scene) // 2
    image = Image.fromarray(scene)
    if index % 2:
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    elif scale == 2:
        image = image.crop((0, 0, side, side))
    low = image.resize((image.width // scale, image.height // scale), Image.Resampling.BICUBIC)
    if quality is not None:
        buffer = io.BytesIO()
        low.save(buffer, "JPEG", quality=quality)
        low = Image.open(buffer).convert("RGB")
    lanczos = as_tensor(low.resize(image.size, Image.Resampling.LANCZOS))
    truth = as_tensor(image)
    return Case(as_tensor(low), truth, psnr(lanczos / 255, truth / 255, scale))


class Validation:
    """The cases of all columns, made once."""

    def __init__(self, scenes: Bytes) -> None:
        """`scenes`: uint8 (SCENES, side, side, 3)."""
        self.cases = {
            column: [make_case(scene, index, *setting) for index, scene in enumerate(scenes)]
            for column, setting in COLUMNS.items()
        }

    @torch.no_grad()
    def judge(self, model: nn.Module, device: torch.device) -> dict[str, tuple[float, float]]:
        """Return the mean gains over Lanczos in dB, luma and chroma, of every column."""
        gains = {}
        for column, cases in self.cases.items():
            scale = COLUMNS[column][0]
            found = []
            for case in cases:
                result = model(case.low.to(device) / 255).clamp(0, 1)
                if scale < SCALE:
                    result = reduce_by(result, SCALE // scale, "lanczos").clamp(0, 1)
                scores = psnr((result * 255).round() / 255, case.truth.to(device) / 255, scale)
                found.append(np.subtract(scores, case.errors))
            luma, chroma = np.mean(found, 0).round(3).tolist()
            gains[column] = (luma, chroma)
        return gains


def verdict(gains: dict[str, tuple[float, float]]) -> float:
    """One number for a checkpoint: the mean gain in dB, chroma counting half."""
    return float(np.mean([luma + CHROMA_SHARE * chroma for luma, chroma in gains.values()]))
