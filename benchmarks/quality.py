"""Measure the shipped model's quality on photographs that took no part in its training.

    python benchmarks/quality.py [--model PATH] [--beside NAME=PATH ...] [--write]

Every photograph bundled with scikit-image and scikit-learn is reduced with Pillow's antialiased
bicubic kernel, perhaps JPEG-compressed, enlarged again and compared with the original.
`--beside` measures other x4 models, too. `--write` writes the report and its contact sheet.
"""

import argparse
import io
import sys
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage import data
from skimage.metrics import structural_similarity
from sklearn.datasets import load_sample_image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from upscale_bridge.images.resample import resize  # noqa: E402
from upscale_bridge.local.loader import import_spandrel  # noqa: E402

spandrel = import_spandrel()  # before piq, which needs the same torchvision
import piq  # noqa: E402

MODEL = ROOT / "upscale_bridge/local/weights/UpscaleBridge-x4.safetensors"
REPORT = ROOT / "benchmarks/results/quality.md"
SHEET = REPORT.with_suffix(".jpg")
SKIMAGE_PHOTOS = (
    *("astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "rocket"),
)
SKLEARN_PHOTOS = ("china", "flower")
SETTINGS = ((4, None), (4, 75), (4, 50), (2, None), (2, 75))
"""Scale and JPEG quality of the input."""
GRID = 12
"""Sides of photographs are multiples of it, so that every scale sees the same pixels."""

PROTOCOL = """\
Photographs bundled with scikit-image and scikit-learn, none of them used in training, reduced
with Pillow's antialiased bicubic kernel, JPEG-compressed where it says so (4:2:0, Pillow's
default), and enlarged again. PSNR of luma (Y) and of chroma (C: Cb and Cr together) in dB,
SSIM of luma, and HaarPSI, an index of how alike two pictures look; more is better. Colours are
BT.601 studio range, a border of `scale` pixels is cut; grey photographs have no chroma. For x2
the x4 result of a model is reduced by Lanczos, as the product does it. Gains are over Lanczos."""

# Photographs of the sheet: name, setting, and left and top of the part that is shown. All of them
# are in the public domain or CC0.
SHOWN = (
    ("astronaut", (4, None), (170, 60)),
    ("chelsea", (4, 75), (130, 90)),
    ("coffee", (4, 75), (200, 120)),
    ("rocket", (4, 50), (230, 250)),
    ("coins", (4, 50), (20, 20)),
)
SHOWN_SIDE = 144

Bytes = NDArray[np.uint8]
Setting = tuple[int, int | None]
Enlarger = Callable[[Image.Image, tuple[int, int]], Image.Image]


@dataclass(frozen=True)
class Score:
    """PSNR of luma and chroma in dB (chroma NaN for grey), SSIM-Y and HaarPSI, both at most 1."""

    luma: float
    chroma: float
    ssim: float
    haarpsi: float


Scores = dict[str, dict[str, Score]]
"""{photograph: {method: score}}."""


def photographs() -> dict[str, Bytes]:
    """Load all bundled camera photographs: uint8 RGB (height, width, 3), sides cut to GRID.

    Micrographs, medical and astronomical pictures, documents and drawings are not included,
    nor are pictures that have to be downloaded.
    """
    photos = {name: getattr(data, name)() for name in SKIMAGE_PHOTOS}
    photos["motorcycle"] = data.stereo_motorcycle()[0]
    photos |= {name: load_sample_image(f"{name}.jpg") for name in SKLEARN_PHOTOS}
    return {name: cut_to_grid(photo) for name, photo in photos.items()}


def cut_to_grid(photo: Bytes) -> Bytes:
    """Repeat grey as RGB, and cut the sides to multiples of GRID."""
    if photo.ndim == 2:
        photo = np.repeat(photo[..., None], 3, -1)
    height, width = (side // GRID * GRID for side in photo.shape[:2])
    return np.ascontiguousarray(photo[:height, :width])


def shrink(photo: Bytes, scale: int, jpeg_quality: int | None) -> Image.Image:
    """Make the low-resolution input."""
    image = Image.fromarray(photo)
    image = image.resize((image.width // scale, image.height // scale), Image.Resampling.BICUBIC)
    if jpeg_quality is None:
        return image
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=jpeg_quality)
    return Image.open(buffer).convert("RGB")


def interpolator(kernel: Image.Resampling) -> Enlarger:
    """Return the enlarger that interpolates with one of Pillow's kernels."""
    return lambda image, size: image.resize(size, kernel)


def model_enlarger(path: Path) -> Enlarger:
    """Load a x4 model with spandrel and return the enlarger that uses it."""
    model = spandrel.ModelLoader("cpu").load_from_file(path).eval()
    model.model.to(memory_format=torch.channels_last)

    def enlarge(image: Image.Image, size: tuple[int, int]) -> Image.Image:
        low = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            high = model(low)[0].clamp(0, 1).permute(1, 2, 0)
        if (high.shape[1], high.shape[0]) != size:
            high = resize(high, *size)
        return Image.fromarray(high.mul(255).round().byte().numpy())

    return enlarge


def luma_chroma(pixels: Bytes, border: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """BT.601 studio-range luma, 16..235, and Cb, Cr around 0, without the border."""
    values = pixels[border:-border, border:-border].astype(np.float64) / 255
    luma = 16 + values @ np.array([65.481, 128.553, 24.966])
    chroma = values @ np.array([[-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]).T
    return luma, chroma


def psnr(ours: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """PSNR in dB."""
    return float(10 * np.log10(255**2 / np.mean((ours - truth) ** 2)))


def compare(result: Image.Image, photo: Bytes, border: int) -> Score:
    """Score an enlarged picture against the original."""
    pixels = np.array(result)
    ours, truth = luma_chroma(pixels, border), luma_chroma(photo, border)
    grey = bool((photo.max(-1) == photo.min(-1)).all())
    ssim = structural_similarity(
        *(ours[0], truth[0]),
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    tensors = [
        torch.from_numpy(part[border:-border, border:-border].copy()).permute(2, 0, 1)[None] / 255
        for part in (pixels, photo)
    ]
    chroma = float("nan") if grey else psnr(ours[1], truth[1])
    return Score(psnr(ours[0], truth[0]), chroma, float(ssim), float(piq.haarpsi(*tensors)))


def measure(enlargers: dict[str, Enlarger], photos: dict[str, Bytes], setting: Setting) -> Scores:
    """Score every enlarger on every photograph."""
    scores: Scores = {}
    for name, photo in photos.items():
        low = shrink(photo, *setting)
        size = (photo.shape[1], photo.shape[0])
        scores[name] = {
            method: compare(enlarge(low, size), photo, setting[0])
            for method, enlarge in enlargers.items()
        }
    return scores


def mean_score(scores: list[Score]) -> Score:
    """Average scores over photographs."""
    return Score(*np.nanmean([astuple(score) for score in scores], 0).tolist())


def means(scores: Scores) -> dict[str, Score]:
    """Average over the photographs: {method: score}."""
    methods = next(iter(scores.values()))
    return {method: mean_score([row[method] for row in scores.values()]) for method in methods}


def named(setting: Setting) -> str:
    """Name a setting."""
    kind = "clean" if setting[1] is None else f"JPEG quality {setting[1]}"
    return f"x{setting[0]}, {kind}"


def gain(score: Score, base: Score) -> str:
    """Gains in dB, luma / chroma."""
    chroma = score.chroma - base.chroma
    colour = "-" if np.isnan(chroma) else f"{chroma:+.2f}"
    return f"{score.luma - base.luma:+.2f} / {colour}"


def rows(*cells: list[str]) -> str:
    """Format a Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    lines.insert(1, "|---" * len(cells[0]) + "|")
    return "\n".join(lines)


def summary(found: dict[Setting, Scores]) -> str:
    """Format the means of all settings: gains, then the plain scores."""
    gains, plain, head = [], [], ["input"]
    for setting, scores in found.items():
        mean = means(scores)
        head = ["input", *mean]
        gains.append([named(setting), *(gain(one, mean["Lanczos"]) for one in mean.values())])
        plain.append([named(setting), *map(cell, mean.values())])
    return (
        "Mean gain in dB, luma / chroma:\n\n"
        + rows(head, *gains)
        + "\n\nMean PSNR-Y / PSNR-C / SSIM / HaarPSI:\n\n"
        + rows(head, *plain)
    )


def cell(score: Score) -> str:
    """All numbers of a score."""
    return f"{score.luma:.2f} / {score.chroma:.2f} / {score.ssim:.4f} / {score.haarpsi:.4f}"


def table(scores: Scores) -> str:
    """Format the gains of one setting: a row per photograph."""
    body = [
        [name, f"{row['Lanczos'].luma:.2f} / {row['Lanczos'].chroma:.2f}".replace("nan", "-")]
        + [gain(score, row["Lanczos"]) for method, score in row.items() if method != "Lanczos"]
        for name, row in scores.items()
    ]
    return rows(["photograph", *next(iter(scores.values()))], *body)


def report(found: dict[Setting, Scores]) -> str:
    """Return the whole report as Markdown."""
    sheet = f"![Parts of photographs, enlarged by 4]({SHEET.name})"
    parts = ["# Quality", PROTOCOL, summary(found), sheet]
    for setting, scores in found.items():
        parts.append(f"## {named(setting)} input")
        parts.append("PSNR of Lanczos, and gains of the others, luma / chroma:")
        parts.append(table(scores))
    return "\n\n".join(parts) + "\n"


def contact_sheet(enlargers: dict[str, Enlarger], photos: dict[str, Bytes]) -> Image.Image:
    """Put parts of photographs side by side: a row each, a column for each method."""
    titles = ["input", *enlargers, "original"]
    gap, top, side = 4, 18, SHOWN_SIDE
    size = ((side + gap) * len(titles), (side + gap + top) * len(SHOWN))
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for row, (name, setting, place) in enumerate(SHOWN):
        photo = photos[name]
        low, whole = shrink(photo, *setting), (photo.shape[1], photo.shape[0])
        shown = [low.resize(whole, Image.Resampling.NEAREST)]
        shown += [enlarge(low, whole) for enlarge in enlargers.values()]
        for column, picture in enumerate([*shown, Image.fromarray(photo)]):
            x, y = column * (side + gap), row * (side + gap + top)
            box = (*place, place[0] + side, place[1] + side)
            sheet.paste(picture.crop(box), (x, y + top))
            text = titles[column] if column else f"{name}, {named(setting)}"
            draw.text((x, y + 2), text, fill="black", font=ImageFont.load_default(11))
    return sheet


def beside(text: str) -> tuple[str, Path]:
    """Read NAME=PATH."""
    name, _, path = text.partition("=")
    return name, Path(path)


def main() -> None:
    """Read the command line, measure, print, and write the report if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--beside", type=beside, action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--write", action="store_true", help=f"also write {REPORT.name}")
    options = parser.parse_args()
    enlargers = {
        "Lanczos": interpolator(Image.Resampling.LANCZOS),
        "ours": model_enlarger(options.model),
        **{name: model_enlarger(path) for name, path in options.beside},
    }
    photos = photographs()
    text = report({setting: measure(enlargers, photos, setting) for setting in SETTINGS})
    print(text)
    if options.write:
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        REPORT.write_text(text, encoding="utf-8")
        contact_sheet(enlargers, photos).save(SHEET, quality=92, subsampling=0)


if __name__ == "__main__":
    main()
