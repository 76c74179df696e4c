"""Synthetic scenes for training: occluding, textured, shaded leaves of every size.

The model is a dead-leaves image (power-law radii, random occlusion), which shares its edge
statistics with photographs, enriched with what they also hold: textures, defocus, soft
shadows, uneven light, thin lines, lettering, and the softness of a camera. A scene is
painted at twice its size and antialiased down, so that no edge is a staircase.
"""

from dataclasses import dataclass

import numpy as np
from drawings import draw_cartoon, draw_page
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from pool import SIDE
from textures import spectral_noise

SUPERSAMPLE = 2

Rng = np.random.Generator
Points = NDArray[np.float64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Style:
    """What the leaves of one scene have in common. Lengths in canvas pixels."""

    smallest: float
    largest: float
    coverage: float
    contrast: float
    flat_share: float
    defocus_share: float
    palette: NDArray[np.float64]


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform between the two bounds."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def draw_palette(rng: Rng) -> NDArray[np.float64]:
    """Draw six colours, (6, 3) in about 0..255: of one scene, from nearly grey to gaudy."""
    grey = rng.beta(1.1, 1.3, (6, 1)) * 255
    return grey + rng.standard_normal((6, 3)) * log_uniform(rng, 2, 60) + rng.normal(0, 8, 3)


def draw_style(rng: Rng) -> Style:
    """Draw the palette and the leaf statistics of a scene."""
    return Style(
        smallest=log_uniform(rng, 8, 200),
        largest=log_uniform(rng, 250, 800),
        coverage=rng.uniform(0.5, 3.5),
        contrast=log_uniform(rng, 0.15, 0.8),
        flat_share=rng.uniform(0.0, 0.3),
        defocus_share=rng.uniform(0.0, 0.3),
        palette=draw_palette(rng),
    )


def draw_foliage(rng: Rng) -> Style:
    """Draw the style of a scene full of small leaves of a few related colours, all in focus."""
    base = draw_palette(rng)[0] + rng.normal(0, 25, 3)
    light = rng.uniform(0.25, 1.5, (6, 1))
    return Style(
        smallest=log_uniform(rng, 5, 16),
        largest=log_uniform(rng, 30, 120),
        coverage=rng.uniform(1.0, 2.0),
        contrast=log_uniform(rng, 0.1, 0.4),
        flat_share=rng.uniform(0.3, 0.8),
        defocus_share=rng.choice([0.0, 0.1]),
        palette=np.clip(base * light + rng.normal(0, 10, (6, 3)), 0, 255),
    )


def draw_calm(rng: Rng) -> Style:
    """Draw the style of a scene of few, large, smooth things: sky, walls, skin, blurred ground."""
    return Style(
        smallest=log_uniform(rng, 100, 300),
        largest=log_uniform(rng, 500, 1000),
        coverage=rng.uniform(0.2, 1.2),
        contrast=log_uniform(rng, 0.02, 0.15),
        flat_share=rng.uniform(0.0, 0.5),
        defocus_share=rng.uniform(0.2, 0.7),
        palette=draw_palette(rng),
    )


def draw_radii(rng: Rng, style: Style, area: float) -> Points:
    """Draw radii with density r**-3 until their discs cover the area `coverage` times."""
    low, high = style.smallest**-2, style.largest**-2
    mean_area = np.pi * 2 * np.log(style.largest / style.smallest) / (low - high)
    count = int(style.coverage * area / mean_area)
    return (low - rng.random(count) * (low - high)) ** -0.5


def leaf_outline(rng: Rng, radius: float) -> Points:
    """Return a random outline around the origin, shape (n, 2), of about the given radius."""
    kind = rng.choice(["ellipse", "blob", "polygon", "rectangle", "spindle", "ribbon"])
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    if kind == "blob":
        order = np.arange(2, 8)
        size = rng.standard_normal(6) * rng.uniform(0.1, 0.5) / order
        shape = 1 + (size * np.cos(order * turn[:, None] + rng.uniform(0, 6.3, 6))).sum(1)
        points = np.stack([np.cos(turn), np.sin(turn)], -1) * shape[:, None]
    elif kind == "polygon":
        turn = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
        points = np.stack([np.cos(turn), np.sin(turn)], -1) * rng.uniform(0.6, 1.3, (turn.size, 1))
    elif kind == "rectangle":
        points = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
        points = (points + rng.standard_normal((4, 2)) * rng.choice([0.0, 0.15])) * 0.9
    elif kind == "spindle":
        points = np.stack([np.cos(turn), 0.5 * np.sin(turn) * np.abs(np.sin(turn))], -1) * 1.3
    elif kind == "ribbon":
        along = np.linspace(-2.5, 2.5, 24)
        bow = rng.uniform(-0.2, 0.2) * along**2 + rng.uniform(-0.05, 0.05) * along**3
        half = log_uniform(rng, 0.02, 0.3)
        sides = [np.stack([along, bow + side], -1) for side in (half, -half)]
        points = np.vstack([sides[0], sides[1][::-1]])
    else:
        points = np.stack([np.cos(turn), np.sin(turn)], -1)
    points = points * [1.0, rng.uniform(0.4, 1.0)] * radius
    angle = rng.choice([0.0, rng.uniform(0, 2 * np.pi)], p=[0.3, 0.7])
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return points @ rotation


def sample_texture(rng: Rng, bank: Bytes, width: int, height: int) -> NDArray[np.float32]:
    """Cut a random piece of the bank at a random scale: (height, width), about -1..1."""
    texture = bank[rng.integers(len(bank))]
    side = len(texture)
    scale = log_uniform(rng, 0.5, 2.2)
    across = min(side, max(4, round(width * scale)))
    down = min(side, max(4, round(height * scale)))
    left = rng.integers(side - across + 1)
    top = rng.integers(side - down + 1)
    piece = texture[top : top + down, left : left + across]
    piece = piece[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
    resized = Image.fromarray(piece).resize((width, height), Image.Resampling.BICUBIC)
    return (np.asarray(resized, np.float32) - 128) / 64


def leaf_surface(
    rng: Rng, style: Style, bank: Bytes, size: tuple[int, int], behind: Points
) -> Image.Image:
    """Paint a leaf's rectangle: plain colour, linear shading and a tinted texture.

    The colour lies anywhere between a palette colour and the one `behind` the leaf, because
    in photographs most neighbours differ little and a few differ much.
    """
    width, height = size
    colour = style.palette[rng.integers(len(style.palette))] + rng.standard_normal(3) * 6
    colour = behind + (colour - behind) * rng.beta(0.8, 1.2)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    slope = rng.standard_normal(2) * rng.uniform(0, 40)
    surface = colour + (slope[0] * y + slope[1] * x)
    if rng.random() > style.flat_share:
        texture = sample_texture(rng, bank, width, height)[..., None]
        strength = 100 * style.contrast * log_uniform(rng, 0.3, 1.5)
        # Most textures change lightness; in a third it is also the colour that changes.
        spread = 0.12 if rng.random() < 0.65 else rng.uniform(0.3, 1.0)
        surface = surface + texture * strength * (1 + rng.standard_normal(3) * spread)
    return Image.fromarray(np.clip(surface, 0, 255).astype(np.uint8))


def paste_leaf(
    rng: Rng, canvas: Image.Image, style: Style, bank: Bytes, centre: Points, radius: float
) -> None:
    """Paint one leaf with its soft shadow; some leaves are out of focus."""
    outline = leaf_outline(rng, radius) + centre
    defocus = log_uniform(rng, 1.0, 10.0) if rng.random() < style.defocus_share else 0.0
    shadow = log_uniform(rng, 1.0, 20.0) if rng.random() < 0.3 and radius > 20 else 0.0
    margin = int(3 * max(defocus, shadow)) + 2
    low = np.maximum(np.floor(outline.min(0)) - margin, 0).astype(int)
    high = np.minimum(np.ceil(outline.max(0)) + margin, canvas.size).astype(int)
    width, height = (high - low).tolist()
    if width < 3 or height < 3:
        return
    mask = Image.new("L", (width, height), 0)
    ImageDraw.Draw(mask).polygon((outline - low).ravel().tolist(), fill=255)
    box = tuple(low.tolist())
    if shadow:
        depth = rng.uniform(0.2, 0.8)
        shade = mask.filter(ImageFilter.GaussianBlur(shadow)).point(lambda v: int(v * depth))
        canvas.paste((0, 0, 0), box, shade)
    middle = tuple(np.clip(centre, 0, canvas.width - 1).astype(int).tolist())
    behind = np.array(canvas.getpixel(middle), float)
    surface = leaf_surface(rng, style, bank, (width, height), behind)
    if defocus:
        surface = surface.filter(ImageFilter.GaussianBlur(defocus))
        mask = mask.filter(ImageFilter.GaussianBlur(defocus))
    canvas.paste(surface, box, mask)


def draw_threads(rng: Rng, canvas: Image.Image) -> None:
    """Draw a few long thin curves: wires, whiskers, stems, cracks."""
    draw = ImageDraw.Draw(canvas)
    bundle = rng.uniform(0, canvas.width, 2)
    heading = rng.uniform(0, 2 * np.pi)
    for _ in range(int(log_uniform(rng, 2, 60))):
        start = bundle + rng.standard_normal(2) * canvas.width * 0.15
        bends = heading + rng.standard_normal() * 0.3 + np.cumsum(rng.standard_normal(16)) * 0.06
        steps = np.stack([np.cos(bends), np.sin(bends)], -1) * log_uniform(rng, 5, 50)
        path = start + np.cumsum(steps, 0)
        colour = rng.normal(rng.choice([40, 128, 215]), 25) + rng.normal(0, 8, 3)
        fill = tuple(np.clip(colour, 0, 255).astype(int).tolist())
        draw.line(path.ravel().tolist(), fill=fill, width=int(log_uniform(rng, 1.5, 8)))


def illuminate(rng: Rng, canvas: Image.Image) -> Image.Image:
    """Multiply by smooth uneven light."""
    light = spectral_noise(rng, 64, 2.5) * rng.uniform(0.0, 0.25)
    light = np.clip(np.exp(light), 0.4, 1.8).astype(np.float32)
    smooth = Image.fromarray(light).resize(canvas.size, Image.Resampling.BICUBIC)
    lit = np.asarray(canvas, np.float32) * np.asarray(smooth)[..., None]
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))


def expose(rng: Rng, canvas: Image.Image) -> Bytes:
    """Reduce the canvas to SIDE pixels as a camera would: soft, perhaps sharpened, noisy."""
    kernel = [Image.Resampling.BOX, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS]
    # Almost half of the scenes are as sharp as the reduction leaves them.
    softened = canvas.filter(ImageFilter.GaussianBlur(max(0.0, rng.uniform(-1.0, 1.2))))
    image = softened.resize((SIDE, SIDE), kernel[rng.integers(3)])
    if rng.random() < 0.3:
        image = image.filter(
            ImageFilter.UnsharpMask(rng.uniform(0.7, 2.0), int(rng.uniform(20, 90)), 0)
        )
    pixels = np.asarray(image, np.float32)
    if rng.random() < 0.4:
        pixels = pixels + rng.standard_normal(pixels.shape) * rng.uniform(0.5, 3.0)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def render_leaves(rng: Rng, bank: Bytes) -> Image.Image:
    """Paint a scene of leaves: any, a thicket of small ones, or a calm one."""
    side = SIDE * SUPERSAMPLE
    style = rng.choice([draw_style, draw_foliage, draw_calm], p=[0.7, 0.13, 0.17])(rng)
    canvas = leaf_surface(rng, style, bank, (side, side), style.palette[0])
    for radius in draw_radii(rng, style, side * side):
        paste_leaf(rng, canvas, style, bank, rng.uniform(0, side, 2), radius)
    for _ in range(rng.integers(0, 3)):
        draw_threads(rng, canvas)
    return illuminate(rng, canvas)


def render_scene(bank: Bytes, seed: int, index: int) -> Bytes:
    """Return scene number `index` of a pool: uint8 RGB, shape (SIDE, SIDE, 3).

    `bank` holds grey textures: uint8 (count, side, side).
    """
    rng = np.random.default_rng([seed, 2, index])
    kind = rng.random()
    if kind < 0.86:
        return expose(rng, render_leaves(rng, bank))
    side = SIDE * SUPERSAMPLE
    draw = draw_page if kind < 0.93 else draw_cartoon
    return expose(rng, draw(rng, draw_palette(rng), side))
