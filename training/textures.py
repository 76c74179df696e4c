"""Grey texture bank: fields with natural spectra, cells, fur, pebbles and repeated patterns.

Every maker takes a random generator and a side length and returns a float32 array of shape
(side, side). `make_texture` normalises them to uint8 with mean 128 and a standard deviation of
about 48, so that a scene can use any of them at any contrast.
"""

from collections.abc import Callable
from string import ascii_letters, digits

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.spatial import cKDTree

Field = NDArray[np.float32]
TextureMaker = Callable[[np.random.Generator, int], Field]


def normalise(field: NDArray[np.floating]) -> Field:
    """Shift and scale a field to zero mean and unit standard deviation."""
    return ((field - field.mean()) / (field.std() + 1e-6)).astype(np.float32)


def spectral_noise(
    rng: np.random.Generator, side: int, exponent: float, stretch: float = 1.0
) -> Field:
    """Return Gaussian noise with amplitude spectrum 1/f**exponent, elongated by `stretch`."""
    fy = np.fft.fftfreq(side)[:, None]
    fx = np.fft.rfftfreq(side)[None, :]
    angle = rng.uniform(0, np.pi)
    along = fx * np.cos(angle) + fy * np.sin(angle)
    across = fy * np.cos(angle) - fx * np.sin(angle)
    frequency = np.hypot(along * stretch, across / stretch)
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.standard_normal((side, side))) / frequency**exponent
    spectrum[0, 0] = 0.0
    return normalise(np.fft.irfft2(spectrum, s=(side, side)))


def cloudy(rng: np.random.Generator, side: int) -> Field:
    """Isotropic or elongated noise with a natural spectrum."""
    stretch = 1.0 if rng.random() < 0.5 else float(np.exp(rng.uniform(0.2, 1.2)))
    return spectral_noise(rng, side, rng.uniform(0.8, 2.0), stretch)


def ridged(rng: np.random.Generator, side: int) -> Field:
    """Crease lines: folded noise, whose phases are coherent as in bark, cloth or rock."""
    total = np.zeros((side, side), np.float32)
    for _ in range(3):
        noise = spectral_noise(rng, side, rng.uniform(1.5, 2.2), float(rng.uniform(1.0, 2.0)))
        total += rng.uniform(0.3, 1.0) * np.abs(noise) ** rng.uniform(0.5, 1.0)
    return total * rng.choice([-1.0, 1.0])


def patches(rng: np.random.Generator, side: int) -> Field:
    """Level sets of smooth noise: flat islands with winding hard borders."""
    smooth = spectral_noise(rng, side, rng.uniform(1.6, 2.4), float(rng.uniform(1.0, 1.8)))
    levels = np.floor(smooth * rng.uniform(1.0, 4.0))
    shade = rng.standard_normal(256)[np.clip(levels + 128, 0, 255).astype(int)]
    return normalise(shade) + rng.uniform(0.2, 0.8) * cloudy(rng, side)


def cells(rng: np.random.Generator, side: int) -> Field:
    """Voronoi cells with a shade each, and darker joints: stones, scales, leather."""
    count = int(np.exp(rng.uniform(np.log(60), np.log(6000))))
    points = rng.uniform(0, side, (count, 2)) * [1.0, rng.uniform(0.4, 1.0)]
    grid = np.stack(np.mgrid[0:side, 0:side], -1).reshape(-1, 2)
    wobble = np.stack([spectral_noise(rng, side, 2.0).ravel() for _ in range(2)], -1)
    distance, index = cKDTree(points).query(grid + wobble * rng.uniform(0, 8), k=2)
    joint = np.minimum((distance[:, 1] - distance[:, 0]) / rng.uniform(2, 12), 1.0)
    shade = rng.standard_normal(count)[index[:, 0]] * rng.uniform(0.0, 0.6)
    dome = -distance[:, 0] / distance[:, 0].mean() * rng.uniform(0.0, 0.7)
    return (joint * rng.uniform(0.3, 2.0) + shade + dome).reshape(side, side).astype(np.float32)


def fur(rng: np.random.Generator, side: int) -> Field:
    """Thousands of curved strokes that follow a smooth direction field: fur, hair, grass."""
    flow = spectral_noise(rng, side, 2.5) * rng.uniform(0.2, 0.9) + rng.uniform(0, 2 * np.pi)
    tone = spectral_noise(rng, side, 1.8) * rng.uniform(10, 30) + 128
    image = Image.fromarray(np.clip(tone, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    length = np.exp(rng.uniform(np.log(20), np.log(160)))
    width = np.exp(rng.uniform(np.log(1.0), np.log(6.0)))
    spread = rng.uniform(0.05, 0.4)
    contrast = rng.uniform(15, 50)
    for _ in range(int(min(2.5 * side * side / (length * width), 14000))):
        point = rng.uniform(0, side, 2)
        row, column = point.astype(int) % side
        shade = int(np.clip(tone[row, column] + contrast * rng.standard_normal(), 0, 255))
        angle = flow[row, column] + spread * rng.standard_normal()
        bends = angle + np.arange(4) * spread * rng.standard_normal() * 0.5
        steps = np.stack([np.sin(bends), np.cos(bends)], -1) * length / 4
        path = np.vstack([point, point + np.cumsum(steps, 0)])[:, ::-1]
        thickness = max(1, round(width * rng.uniform(0.5, 1.5)))
        draw.line(path.ravel().tolist(), fill=shade, width=thickness)
    return np.asarray(image, np.float32)


def pebbles(rng: np.random.Generator, side: int) -> Field:
    """Small overlapping ellipses with power-law radii: gravel, foliage, crowds."""
    image = Image.new("L", (side, side), 128)
    draw = ImageDraw.Draw(image)
    smallest = np.exp(rng.uniform(np.log(1.5), np.log(8.0)))
    radii = np.minimum(smallest / np.sqrt(rng.random(14000)), 120.0)
    contrast = rng.uniform(20, 60)
    ratio = rng.uniform(0.3, 1.0)
    tone = spectral_noise(rng, side, 1.8) * rng.uniform(10, 40) + 128
    for radius, (x, y) in zip(radii, rng.uniform(0, side, (radii.size, 2)), strict=True):
        shade = int(np.clip(tone[int(y), int(x)] + contrast * rng.standard_normal(), 0, 255))
        tall, wide = (radius, radius * ratio) if rng.random() < 0.5 else (radius * ratio, radius)
        draw.ellipse((x - wide, y - tall, x + wide, y + tall), fill=shade)
    return np.asarray(image, np.float32)


def text(rng: np.random.Generator, side: int) -> Field:
    """Lines of random letters in Pillow's own scalable font."""
    image = Image.new("L", (side, side), 200)
    draw = ImageDraw.Draw(image)
    top = 0.0
    letters = np.array(list(ascii_letters + digits + "   "))
    while top < side:
        height = float(np.exp(rng.uniform(np.log(14), np.log(110))))
        line = "".join(rng.choice(letters, int(2.2 * side / height)))
        shade = int(rng.integers(0, 100))
        draw.text((0, top), line, fill=shade, font=ImageFont.load_default(height))
        top += height * 1.2
    return np.asarray(image, np.float32)


def pattern(rng: np.random.Generator, side: int) -> Field:
    """Stripes, grids, bricks or checks, seen in perspective and slightly warped."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    depth = 1.0 + rng.uniform(0, 1.2) * (np.cos(angle) * x + np.sin(angle) * y)
    turn = rng.choice([0.0, rng.uniform(0, np.pi)])
    u = (np.cos(turn) * x + np.sin(turn) * y) / depth
    v = (np.cos(turn) * y - np.sin(turn) * x) / depth
    bend = rng.choice([0.0, rng.uniform(0.0, 0.01)])
    u += bend * spectral_noise(rng, side, 2.5)
    count = np.exp(rng.uniform(np.log(6), np.log(90)))
    u, v = u * count, v * count * rng.uniform(0.3, 1.5)
    kind = rng.choice(["stripes", "grid", "brick", "check", "wave"])
    if kind == "wave":
        return np.sin(2 * np.pi * u) + rng.choice([0.0, 1.0]) * np.sin(2 * np.pi * v)
    if kind == "brick":
        u = u + 0.5 * (np.floor(v) % 2)
    gap = rng.uniform(0.08, 0.5)
    inside = u % 1.0 > gap
    if kind in ("grid", "brick"):
        inside = inside & (v % 1.0 > gap)
    if kind == "check":
        inside = (np.floor(u) + np.floor(v)) % 2 > 0
    row, column = (np.floor(field).astype(int) % 64 for field in (v, u))
    shade = rng.standard_normal((64, 64))[row, column]
    return inside * (1.0 + rng.uniform(0, 0.6) * shade) + 0.15 * cloudy(rng, side)


# Each maker and its share of the bank.
MAKERS: list[tuple[TextureMaker, float]] = [
    (cloudy, 0.30),
    (ridged, 0.12),
    (patches, 0.10),
    (cells, 0.08),
    (fur, 0.14),
    (pebbles, 0.12),
    (pattern, 0.11),
    (text, 0.03),
]


def make_texture(seed: int, index: int, count: int, side: int) -> NDArray[np.uint8]:
    """Return texture `index` of a bank of `count`: uint8 (side, side), mean 128, deviation 48."""
    shares = np.cumsum([share for _, share in MAKERS])
    maker = MAKERS[int(np.searchsorted(shares, (index + 0.5) / count * shares[-1]))][0]
    field = normalise(maker(np.random.default_rng([seed, 1, index]), side))
    return np.clip(field * 48 + 128, 0, 255).astype(np.uint8)
