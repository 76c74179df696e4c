"""The local engine on a GPU, against ComfyUI's way and a plain call, in one run.

    python benchmarks/gpu.py [--weights FOLDER] [--seconds 400] [--output FOLDER]

Contenders, all from a float32 image in main memory to a float32 result there:

- builtin: ComfyUI's ImageUpscaleWithModel: from the checkout in COMFYUI_PATH, or its arithmetic
  as in its `tiled_scale`: fp32 tiles of 512 px, 32 px of overlap, feathered in main memory
- plain: one spandrel call in fp16, channels last
- ours: this project's engine with its defaults

A network's own time (no copies) is measured as well, with its share of the rate of a bf16 matrix
product in the same run. Everything is printed and written after each step, so that a run that is
cut off leaves what it found. Without --weights the networks have random ones.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from upscale_bridge.local.devices import Memory  # noqa: E402
from upscale_bridge.local.engine import Engine  # noqa: E402
from upscale_bridge.local.loader import import_spandrel, load_model  # noqa: E402
from upscale_bridge.local.model import Model  # noqa: E402
from upscale_bridge.local.operation import LocalUpscale  # noqa: E402
from upscale_bridge.monitor import Monitor  # noqa: E402

PHOTO = ROOT / "docs" / "pictures" / "cat.png"
SHIPPED = ROOT / "upscale_bridge" / "local" / "weights" / "UpscaleBridge-x4.safetensors"
CUDA = torch.device("cuda")
SIZES = {"compact": (512, 1024), "esrgan": (512, 1024, 2048)}
ROUNDS = 3
TILE, OVERLAP = 512, 32  # of ComfyUI

HEAD = """\
{device}, torch {torch}; a bf16 matrix product runs at {rate:.0f} TFLOP/s in the same
run. Speed: built-in = 1, whose arithmetic is that of ComfyUI's `tiled_scale`. From a float32 image
in main memory to one there, the best of 3 calls after a first one; differences, in steps of 8 bits,
are to one call in fp32 without TF32. Where the built-in is not named, the time was up."""

Upscale = Callable[[Tensor], Tensor]


class Notes:
    """What was found, printed and kept at once."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._file = folder / "local-gpu.jsonl"
        self._file.write_text("", encoding="utf-8")
        self._end = time.monotonic() + seconds
        self.rows: list[dict[str, Any]] = []

    def add(self, **row: Any) -> None:
        """Note one row."""
        self.rows.append(row)
        line = json.dumps(row)
        print(line, flush=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def left(self) -> float:
        """Return the seconds that are left."""
        return self._end - time.monotonic()


def photo(size: int) -> Tensor:
    """Return a photo as float32 [1, size, size, 3] in 0..1."""
    with Image.open(PHOTO) as file:
        pixels = np.asarray(file.convert("RGB").resize((size, size), Image.Resampling.LANCZOS))
    return torch.from_numpy(pixels.astype(np.float32) / 255)[None]


def timed(run: Callable[[], Any], rounds: int = ROUNDS) -> tuple[float, Any]:
    """Return the least seconds of some runs, after one that warms up, and the last outcome."""
    run()
    best = float("inf")
    for _ in range(rounds):
        torch.cuda.synchronize()
        started = time.perf_counter()
        result = run()
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return best, result


def matmul_rate() -> float:
    """Return the FLOP/s of a bf16 matrix product."""
    one = torch.randn(8192, 8192, device=CUDA, dtype=torch.bfloat16)
    seconds, _ = timed(lambda: one @ one, 10)
    return 2 * 8192**3 / seconds


def flops_per_pixel(descriptor: Any) -> float:
    """Count the operations of a network for each pixel of its input."""
    from torch.utils.flop_counter import FlopCounterMode

    pixels = torch.zeros(1, descriptor.input_channels, 64, 64, device=CUDA)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        descriptor.model(pixels)
    return counter.get_total_flops() / 64**2


def feathered(pixels: Tensor, run: Upscale, scale: int) -> Tensor:
    """Upscale [1, C, H, W] as ComfyUI's `tiled_scale` does; the sums are in main memory."""
    height, width = pixels.shape[2:]
    if height <= TILE and width <= TILE:
        return run(pixels).cpu()
    out = torch.zeros(1, pixels.shape[1], height * scale, width * scale)
    weights = torch.zeros(1, 1, height * scale, width * scale)
    for top in _starts(height):
        for left in _starts(width):
            part = run(pixels[:, :, top : top + TILE, left : left + TILE]).cpu()
            mask = torch.ones(1, 1, *part.shape[2:])
            feather = OVERLAP * scale
            for dim in (2, 3):
                if feather >= mask.shape[dim]:
                    continue
                for step in range(feather):
                    share = (step + 1) / feather
                    mask.narrow(dim, step, 1).mul_(share)
                    mask.narrow(dim, mask.shape[dim] - 1 - step, 1).mul_(share)
            y = slice(top * scale, top * scale + part.shape[2])
            x = slice(left * scale, left * scale + part.shape[3])
            out[:, :, y, x].add_(part * mask)
            weights[:, :, y, x].add_(mask)
    return out.div_(weights)


def _starts(length: int) -> list[int]:
    if length <= TILE:
        return [0]
    starts = range(0, length - OVERLAP, TILE - OVERLAP)
    return [max(0, min(length - OVERLAP, start)) for start in starts]


def builtin(weights: Path, descriptor: Any) -> Upscale:
    """Return ComfyUI's way."""
    if path := os.environ.get("COMFYUI_PATH"):
        from local import load_comfy

        found: Upscale = load_comfy(Path(path), weights, "cuda").upscale
        return found

    def restated(image: Tensor) -> Tensor:
        pixels = image.movedim(-1, -3).to(CUDA)
        whole = feathered(pixels, lambda part: descriptor(part.float()), descriptor.scale)
        return torch.clamp(whole.movedim(-3, -1), min=0, max=1.0)

    return restated


def plain(descriptor: Any) -> Upscale:
    """Return one call in fp16, channels last."""

    def run(image: Tensor) -> Tensor:
        pixels = image.movedim(-1, -3).to(CUDA).half()
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        output: Tensor = descriptor(pixels).float().movedim(-3, -1).cpu()
        return output

    return run


def own(model: Model, engine: Engine) -> Upscale:
    """Return our engine with its defaults."""
    operation = LocalUpscale(scale_factor=float(model.scale))
    return lambda image: engine.upscale(model, image, operation, Monitor())[0]


def measure(name: str, weights: Path, rate: float, notes: Notes) -> None:
    """Measure one network in all sizes."""
    spandrel = import_spandrel()
    model = load_model(weights)
    engine = Engine(Memory("cuda"))
    fp32 = spandrel.ModelLoader(CUDA).load_from_file(weights)
    fp16 = spandrel.ModelLoader(CUDA).load_from_file(weights)
    fp16.model.half().to(memory_format=torch.channels_last)
    work = flops_per_pixel(fp32)
    ways = {"ours": own(model, engine), "plain": plain(fp16), "builtin": builtin(weights, fp32)}
    for size in SIZES["esrgan" if model.architecture == "ESRGAN" else "compact"]:
        if notes.left() < 15:
            notes.add(network=name, size=size, skipped="no time left")
            continue
        image = photo(size)
        exact = exact_result(fp32, image) if size <= 1024 else None
        for way, upscale in ways.items():
            if way == "builtin" and notes.left() < 30:
                continue
            notes.add(
                network=name,
                size=size,
                way=way,
                **whole(upscale, image, exact, rounds=1 if way == "builtin" else ROUNDS),
            )
        nets = {"ours": model.replica(CUDA, torch.float16), "plain": fp16}
        pixels = image.movedim(-1, -3).to(CUDA).half()
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        for way, network in nets.items():
            with torch.inference_mode():
                seconds, _ = timed(lambda: network(pixels))  # noqa: B023 - called at once
            tera = work * size * size / seconds / 1e12
            share = work * size * size / seconds / rate
            row = {"ms": round(seconds * 1e3, 2), "TFLOP/s": round(tera, 1)}
            notes.add(network=name, size=size, way=f"{way}, network alone", **row, share=share)


def exact_result(descriptor: Any, image: Tensor) -> Tensor:
    """Return what one call in fp32 gives, TF32 left out."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        output: Tensor = descriptor(image.movedim(-1, -3).to(CUDA)).movedim(-3, -1).cpu()
    except torch.OutOfMemoryError:
        output = torch.empty(0)
    finally:
        torch.backends.cudnn.allow_tf32 = before
        torch.cuda.empty_cache()
    return output


def whole(upscale: Upscale, image: Tensor, exact: Tensor | None, rounds: int) -> dict[str, Any]:
    """Measure from main memory to main memory."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    started = time.perf_counter()
    try:
        upscale(image)
        first = time.perf_counter() - started
        seconds, result = timed(lambda: upscale(image), rounds)
    except torch.OutOfMemoryError as error:
        return {"failed": str(error)[:80]}
    row: dict[str, Any] = {"ms": round(seconds * 1e3, 1), "first_ms": round(first * 1e3, 1)}
    row["peak_MB"] = round((torch.cuda.max_memory_allocated() - before) / 1e6)
    if exact is not None and exact.numel():
        gap = (result - exact).abs()
        row["worst_step"] = round(255 * float(gap.max()), 2)
        row["mean_step"] = round(255 * float(gap.mean()), 4)
    return row


def batch(notes: Notes, images: int = 16, size: int = 512) -> None:
    """Measure images a second of the shipped model, in a batch."""
    upscale = own(load_model(SHIPPED), Engine(Memory("cuda")))
    pixels = photo(size).repeat(images, 1, 1, 1)
    seconds, _ = timed(lambda: upscale(pixels))
    row = {"ms": round(seconds * 1e3, 1), "images a second": round(images / seconds)}
    notes.add(network="shipped", size=size, way=f"ours, batch of {images}", **row)


def random_esrgan(folder: Path) -> Path:
    """Write an ESRGAN of 23 blocks with random weights."""
    from local import make_weights

    return make_weights(23, folder)


def table(notes: Notes, head: str) -> str:
    """Return what was found as Markdown."""
    lines = ["# Local engine on a GPU", "", head, "", "| network | size | way | | speed |"]
    lines += ["|---|---|---|---|---|"]
    for row in notes.rows:
        if "ms" not in row:
            continue
        base = [
            other["ms"]
            for other in notes.rows
            if (other.get("network"), other.get("size")) == (row["network"], row["size"])
            and other.get("way") == "builtin"
            and "ms" in other
        ]
        speed = f"{base[0] / row['ms']:.2f}" if base and "," not in row["way"] else ""
        rest = {k: v for k, v in row.items() if k not in ("network", "size", "way", "share")}
        if "share" in row:
            rest["of the matrix product"] = f"{row['share']:.0%}"
        said = ", ".join(f"{key} {value}" for key, value in rest.items())
        lines.append(f"| {row['network']} | {row['size']} | {row['way']} | {said} | {speed} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure everything that there is time for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="a folder of weights files")
    parser.add_argument("--seconds", type=float, default=400)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("There is no GPU that this PyTorch can use.")
    args.output.mkdir(parents=True, exist_ok=True)
    notes = Notes(args.output, args.seconds)
    rate = matmul_rate()
    notes.add(device=torch.cuda.get_device_name(), matrix_product=rate)
    head = HEAD.format(
        device=torch.cuda.get_device_name(), torch=torch.__version__, rate=rate / 1e12
    )
    with tempfile.TemporaryDirectory() as folder:
        files = {"shipped": SHIPPED}
        if args.weights:
            files |= {path.stem: path for path in sorted(args.weights.iterdir())}
        else:
            files["random RRDB-23"] = random_esrgan(Path(folder))
        batch(notes)
        for name, path in files.items():
            measure(name, path, rate, notes)
            (args.output / "local-gpu.md").write_text(table(notes, head), encoding="utf-8")


if __name__ == "__main__":
    main()
