"""Draw the icon and the banner by which ComfyUI's registry shows the pack: a cat's eye, half of it
as it came, half as the model that ships enlarged it eightfold.

    .venv/bin/python dev/icon.py
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from upscale_bridge import LocalUpscale, run  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
SCALE = 8
CENTRE = (170, 112)  # of the eye in the photo, which is halved first
ICON = (400, 400)  # the registry takes no larger one
BANNER = (1260, 540)  # 21:9


def halves(size: tuple[int, int]) -> Image.Image:
    """Return the eye in a picture of this size: input on the left, result on the right."""
    with Image.open(PICTURES / "cat.png") as photo:
        small = photo.convert("RGB").reduce(2)
    width, height = -(-size[0] // SCALE), -(-size[1] // SCALE)
    left, top = CENTRE[0] // 2 - width // 2, CENTRE[1] // 2 - height // 2
    left, top = max(left, 0), max(top, 0)
    part = small.crop((left, top, left + width, top + height))
    pixels = torch.from_numpy(np.array(part)).float()[None] / 255
    result = run(LocalUpscale(scale_factor=SCALE), pixels).images[0]
    ours = Image.fromarray(result.mul(255).round().byte().numpy())
    whole = part.resize(ours.size, Image.Resampling.NEAREST)
    middle = whole.width // 2
    whole.paste(ours.crop((middle, 0, *ours.size)), (middle, 0))
    ImageDraw.Draw(whole).line((middle, 0, middle, whole.height), fill="white", width=4)
    return whole.crop((0, 0, *size))


def main() -> None:
    """Draw both."""
    halves(ICON).save(PICTURES / "icon.png", optimize=True)
    banner = halves(BANNER)
    shade = Image.new("RGBA", (BANNER[0], 130), (0, 0, 0, 150))
    banner.paste(shade, (0, BANNER[1] - shade.height), shade)
    draw = ImageDraw.Draw(banner)
    middle = (BANNER[0] // 2, BANNER[1] - shade.height // 2)
    draw.text(middle, "Upscale Bridge", fill="white", font=ImageFont.load_default(72), anchor="mm")
    banner.save(PICTURES / "banner.png", optimize=True)


if __name__ == "__main__":
    main()
