"""Scenes that are drawn, not seen: pages with lettering and lines, and cartoons."""

from string import ascii_letters, digits, punctuation

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Rng = np.random.Generator
Colours = NDArray[np.float64]
LETTERS = np.array(list(ascii_letters * 3 + digits + punctuation + " " * 30))


def _fill(rng: Rng, colours: Colours) -> tuple[int, ...]:
    """Pick one of the colours for Pillow."""
    picked = np.clip(colours[rng.integers(len(colours))], 0, 255)
    return tuple(picked.astype(int).tolist())


def draw_page(rng: Rng, palette: Colours, side: int) -> Image.Image:
    """Draw lines of letters, rules and boxes: documents, screens, signs. RGB, side x side."""
    ground = _fill(rng, palette) if rng.random() < 0.5 else (int(rng.integers(225, 256)),) * 3
    canvas = Image.new("RGB", (side, side), ground)
    draw = ImageDraw.Draw(canvas)
    inks = np.vstack([palette, np.full((4, 3), 10.0 if sum(ground) > 380 else 245.0)])
    for _ in range(rng.integers(0, 6)):
        left, top = rng.uniform(0, side, 2)
        width, height = rng.uniform(20, side / 2, 2)
        box = (left, top, left + width, top + height)
        outline = _fill(rng, inks) if rng.random() < 0.5 else None
        draw.rectangle(box, _fill(rng, palette), outline, int(rng.integers(1, 9)))
    top = rng.uniform(-20, 20)
    while top < side:
        height = float(np.exp(rng.uniform(np.log(16), np.log(rng.choice([40, 160])))))
        font = ImageFont.load_default(height)
        ink = _fill(rng, inks)
        for _ in range(rng.integers(1, 6)):
            line = "".join(rng.choice(LETTERS, int(2 * side / height)))
            draw.text((rng.uniform(-50, 50), top), line, fill=ink, font=font)
            top += height * 1.25
        if rng.random() < 0.3:
            draw.line((0, top, side, top), fill=_fill(rng, inks), width=int(rng.integers(1, 8)))
            top += 16
    return canvas


def draw_cartoon(rng: Rng, palette: Colours, side: int) -> Image.Image:
    """Draw flat or softly shaded shapes with outlines, and free strokes. RGB, side x side."""
    canvas = Image.new("RGB", (side, side), _fill(rng, palette))
    draw = ImageDraw.Draw(canvas)
    dark = np.clip(palette.min(0), 0, 255) * rng.uniform(0.0, 0.5)
    ink = tuple(dark.astype(int).tolist())
    pen = float(np.exp(rng.uniform(np.log(2), np.log(12))))
    turn = np.linspace(0, 2 * np.pi, 64)
    order = np.arange(2, 8)
    for _ in range(rng.integers(10, 120)):
        radius = float(np.exp(rng.uniform(np.log(10), np.log(side / 3))))
        wave = rng.standard_normal(6) * rng.uniform(0.05, 0.4) / order
        form = 1 + (wave * np.cos(order * turn[:, None] + rng.uniform(0, 6.3, 6))).sum(1)
        points = np.stack([np.cos(turn), np.sin(turn) * rng.uniform(0.3, 1.0)], -1) * form[:, None]
        path = (points * radius + rng.uniform(0, side, 2)).ravel().tolist()
        draw.polygon(path, fill=_fill(rng, palette))
        if rng.random() < 0.8:
            draw.line(path, fill=ink, width=max(1, round(pen)), joint="curve")
    for _ in range(rng.integers(0, 40)):
        bends = rng.uniform(0, 6.3) + np.cumsum(rng.standard_normal(12)) * 0.3
        steps = np.stack([np.cos(bends), np.sin(bends)], -1) * rng.uniform(4, 40)
        path = (rng.uniform(0, side, 2) + np.cumsum(steps, 0)).ravel().tolist()
        draw.line(path, fill=ink, width=max(1, round(pen * rng.uniform(0.4, 1.2))), joint="curve")
    return canvas
