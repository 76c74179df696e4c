"""Measure the shipped model's quality on photographs that took no part in its training.

    python benchmarks/quality.py [--model PATH] [--write]

Every photograph bundled with scikit-image and scikit-learn is reduced with Pillow's
antialiased bicubic kernel, optionally JPEG-compressed, enlarged again and compared with the
original. PSNR-Y and SSIM-Y use BT.601 studio-range luma without a border of `scale` pixels, as
is usual in the literature; HaarPSI (1 is best) is a perceptual index that needs no download.
For x2 and x3 the model's x4 result is reduced to the target size.
"""

import argparse
import contextlib
import io
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import data
from skimage.metrics import structural_similarity
from sklearn.datasets import load_sample_image

# piq and spandrel import torchvision, which fails where its compiled operators do not match
# the installed torch. Nothing here runs them: declaring their schemas first is enough.
NMS_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
for operator in ("torchvision::nms", "torchvision::qnms"):
    with contextlib.suppress(RuntimeError):
        torch.library.define(operator, NMS_SCHEMA)

import piq  # noqa: E402
from spandrel import ModelLoader  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "upscale_bridge/local/weights/UpscaleBridge-x4.safetensors"
REPORT = ROOT / "benchmarks/results/quality.md"
SKIMAGE_PHOTOS = (
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "rocket",
)
SKLEARN_PHOTOS = ("china", "flower")
SCALES = (4, 3, 2)
JPEG_QUALITIES = (None, 75)
# A common multiple of all scales, so that every scale sees the same pixels.
GRID = 12

PROTOCOL = """\
Photographs bundled with scikit-image and scikit-learn, none of them used in training, reduced
with Pillow's antialiased bicubic kernel and enlarged again. Every cell: PSNR-Y in dB / SSIM-Y /
HaarPSI, more is better. Luma is BT.601 studio range, the border of `scale` pixels is cut. For x3
and x2 the model's x4 result is reduced to the target size."""

Bytes = NDArray[np.uint8]
Enlarger = Callable[[Image.Image, tuple[int, int]], Image.Image]


@dataclass(frozen=True)
class Score:
    """PSNR-Y in dB, SSIM-Y and HaarPSI, both at most 1."""

    psnr: float
    ssim: float
    haarpsi: float


Scores = dict[str, dict[str, Score]]


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
    model = ModelLoader("cpu").load_from_file(path).eval()

    def enlarge(image: Image.Image, size: tuple[int, int]) -> Image.Image:
        low = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            high = model(low)[0].clamp(0, 1).permute(1, 2, 0)
        # A resize to the same size only copies, so x4 results stay as they are.
        return Image.fromarray(high.mul(255).round().byte().numpy()).resize(
            size, Image.Resampling.BICUBIC
        )

    return enlarge


def luma(pixels: Bytes, border: int) -> NDArray[np.float64]:
    """BT.601 studio-range luma, 16..235, without its border."""
    values = 16 + pixels.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / 255
    return values[border:-border, border:-border]


def compare(result: Image.Image, photo: Bytes, border: int) -> Score:
    """Score an enlarged picture against the original."""
    ours, truth = luma(np.array(result), border), luma(photo, border)
    psnr = 10 * np.log10(255**2 / np.mean((ours - truth) ** 2))
    ssim = structural_similarity(
        ours, truth, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    tensors = [
        torch.from_numpy(pixels[border:-border, border:-border].copy()).permute(2, 0, 1)[None] / 255
        for pixels in (np.array(result), photo)
    ]
    return Score(float(psnr), float(ssim), float(piq.haarpsi(*tensors)))


def measure(enlargers: dict[str, Enlarger], scale: int, jpeg_quality: int | None) -> Scores:
    """Score every enlarger on every photograph: {photo: {method: Score}}."""
    scores: Scores = defaultdict(dict)
    for name, photo in photographs().items():
        low = shrink(photo, scale, jpeg_quality)
        size = (photo.shape[1], photo.shape[0])
        for method, enlarge in enlargers.items():
            scores[name][method] = compare(enlarge(low, size), photo, scale)
    return scores


def mean_score(scores: list[Score]) -> Score:
    """Average scores over photographs."""
    return Score(
        *(float(np.mean([getattr(s, key) for s in scores])) for key in ("psnr", "ssim", "haarpsi"))
    )


def table(scores: Scores) -> str:
    """Format one setting as Markdown: a row per photograph, then the mean."""
    methods = list(next(iter(scores.values())))
    means = {method: mean_score([row[method] for row in scores.values()]) for method in methods}
    lines = [
        "| photograph | " + " | ".join(methods) + " | model - lanczos |",
        "|---" * (len(methods) + 2) + "|",
    ]
    for name, row in {**scores, "**mean**": means}.items():
        cells = [f"{s.psnr:.2f} / {s.ssim:.4f} / {s.haarpsi:.4f}" for s in row.values()]
        gain = row["model"].psnr - row["lanczos"].psnr
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {gain:+.2f} dB |")
    return "\n".join(lines)


def report(enlargers: dict[str, Enlarger]) -> str:
    """Run all settings and return the whole report as Markdown."""
    parts = ["# Quality", PROTOCOL]
    for scale in SCALES:
        for jpeg_quality in JPEG_QUALITIES:
            kind = "clean" if jpeg_quality is None else f"JPEG quality {jpeg_quality}"
            parts.append(f"## x{scale}, {kind} input")
            parts.append(table(measure(enlargers, scale, jpeg_quality)))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Read the command line, measure, print, and write the report if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--write", action="store_true", help=f"also write {REPORT.name}")
    options = parser.parse_args()
    enlargers = {
        "nearest": interpolator(Image.Resampling.NEAREST),
        "bicubic": interpolator(Image.Resampling.BICUBIC),
        "lanczos": interpolator(Image.Resampling.LANCZOS),
        "model": model_enlarger(options.model),
    }
    text = report(enlargers)
    print(text)
    if options.write:
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        REPORT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
