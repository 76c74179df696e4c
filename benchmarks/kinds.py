"""Draw README's picture: several kinds of images, enlarged by Lanczos, by us and by usual models.

    python benchmarks/kinds.py --weights FOLDER

FOLDER holds the weights that `dev/real_weights.py` makes. Pictures are those bundled with
scikit-image that anybody may show. Each is reduced with Pillow's antialiased bicubic kernel,
JPEG-compressed where it says so, and enlarged again as any host does it, with default settings.
"""

import argparse
import io
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from skimage import data

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from upscale_bridge.local.devices import Memory  # noqa: E402
from upscale_bridge.local.operation import LocalUpscale  # noqa: E402
from upscale_bridge.service import Service  # noqa: E402

PICTURE = ROOT / "docs" / "pictures" / "kinds.jpg"
SCALE = 4
MODELS = ("UpscaleBridge-x4", "RealESRGAN_x4plus", "RealESRGAN_x4plus_anime_6B")
KINDS = (  # what it is, JPEG quality of the input, left and top of the part that is shown
    ("face", "astronaut", None, (170, 60)),
    ("fur, JPEG 75", "chelsea", 75, (130, 90)),
    ("cup", "coffee", None, (190, 130)),
    ("drawing", "logo", None, (160, 90)),
    ("writing", "text", None, (110, 4)),
)
SIDE, GAP, TITLE = 164, 4, 18


def opaque(name: str) -> Image.Image:
    """Return a bundled picture in RGB, on white, its sides cut to multiples of the scale."""
    picture = Image.fromarray(getattr(data, name)()).convert("RGBA")
    paper = Image.new("RGBA", picture.size, "white")
    paper.alpha_composite(picture)
    width, height = (side // SCALE * SCALE for side in picture.size)
    return paper.convert("RGB").crop((0, 0, width, height))


def reduced(picture: Image.Image, quality: int | None) -> Image.Image:
    """Return the input: a fourth of the size, perhaps from a JPEG."""
    size = (picture.width // SCALE, picture.height // SCALE)
    small = picture.resize(size, Image.Resampling.BICUBIC)
    if quality is None:
        return small
    file = io.BytesIO()
    small.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def enlarged(service: Service, model: str, small: Image.Image) -> Image.Image:
    """Return what the local operation makes of it."""
    pixels = torch.from_numpy(np.array(small)).float()[None] / 255
    result = service.run(LocalUpscale(model=model), pixels).images[0]
    return Image.fromarray(result.mul(255).round().byte().numpy())


def drawn(service: Service) -> Image.Image:
    """Return the sheet: a row for each kind, a column for each method."""
    columns = ("input", "Lanczos", *MODELS, "original")
    step = SIDE + GAP
    sheet = Image.new("RGB", (step * len(columns) - GAP, TITLE + step * len(KINDS)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for column, title in enumerate(columns):
        draw.text((column * step, 3), title, fill="black", font=font)
    for row, (kind, name, quality, (left, top)) in enumerate(KINDS):
        original = opaque(name)
        small = reduced(original, quality)
        shown = [
            *(small.resize(original.size, how) for how in (Image.NEAREST, Image.LANCZOS)),
            *(enlarged(service, model, small) for model in MODELS),
            original,
        ]
        place = (0, TITLE + row * step)
        for column, picture in enumerate(shown):
            part = picture.crop((left, top, left + SIDE, top + SIDE))
            sheet.paste(part, (column * step, place[1]))
        box = draw.textbbox((4, place[1] + SIDE - 16), kind, font=font)
        draw.rectangle((box[0] - 4, box[1] - 2, box[2] + 3, box[3] + 3), fill="white")
        draw.text((4, place[1] + SIDE - 16), kind, fill="black", font=font)
    return sheet


def main() -> None:
    """Read the command line, draw, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help="folder of real weights")
    parser.add_argument("--output", type=Path, default=PICTURE)
    options = parser.parse_args()
    service = Service(lambda: [options.weights], lambda: Memory("cpu"))
    drawn(service).save(options.output, quality=90, subsampling=0)


if __name__ == "__main__":
    main()
