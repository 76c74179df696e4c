"""Turn scenes into training pairs: vary the scene, shrink it by SCALE, and spoil the result."""

import io

import numpy as np
from model import SCALE
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Rng = np.random.Generator
Bytes = NDArray[np.uint8]

KERNELS = [
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
]
KERNEL_SHARES = [0.7, 0.12, 0.1, 0.08]
CLEAN_SHARE = 0.6
SMALLEST = 256
"""Least width and height of a varied scene in pixels."""


def vary(rng: Rng, scene: Bytes) -> Bytes:
    """Rescale a scene, perhaps soften it, and change its tone. uint8 RGB in and out."""
    side = scene.shape[0]
    factor = rng.choice([1.0, rng.uniform(SMALLEST / side, 1.0)], p=[0.35, 0.65])
    size = int(side * factor) // SCALE * SCALE
    kernel = KERNELS[rng.choice(3)]
    image = Image.fromarray(scene).resize((size, size), kernel)
    # Many photographs are soft at the pixel level; without this the model sharpens them too much.
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.3)))
    levels = (np.asarray(image, np.float32) / 255) ** np.exp(rng.normal(0, 0.25))
    levels = (levels - 0.5) * rng.uniform(0.6, 1.1) + 0.5 + rng.normal(0, 0.06)
    return np.clip(np.rint(levels * 255), 0, 255).astype(np.uint8)


def compress(image: Image.Image, quality: int, subsampling: int) -> Image.Image:
    """Encode as JPEG and decode again."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return Image.open(buffer).convert("RGB")


def spoil(rng: Rng, low: Image.Image) -> Image.Image:
    """Add mild blur, noise and JPEG artefacts, each with a chance of its own."""
    if rng.random() < 0.3:
        low = low.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.8)))
    if rng.random() < 0.3:
        pixels = np.asarray(low, np.float32)
        pixels = pixels + rng.standard_normal(pixels.shape) * rng.uniform(0.5, 6.0)
        low = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    if rng.random() < 0.75:
        low = compress(low, int(rng.integers(60, 96)), int(rng.choice([0, 2])))
    return low


def make_pair(scene: Bytes, seed: list[int]) -> tuple[Bytes, Bytes]:
    """Return (low, high), uint8 RGB, high being SCALE times as wide and as high as low."""
    rng = np.random.default_rng(seed)
    high = vary(rng, scene)
    size = (high.shape[1] // SCALE, high.shape[0] // SCALE)
    kernel = KERNELS[rng.choice(len(KERNELS), p=KERNEL_SHARES)]
    low = Image.fromarray(high).resize(size, kernel)
    if rng.random() > CLEAN_SHARE:
        low = spoil(rng, low)
    return np.array(low), high
