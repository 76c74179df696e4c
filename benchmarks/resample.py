"""Lanczos against Pillow's in time and memory, as ratios from one run.

    python benchmarks/resample.py [--rounds 5] [--write]

Contenders, each in a fresh process per round (the first call for its memory, the median of three
more for its time), interleaved so that a busy machine hits all alike:

- float: Pillow's LANCZOS of one float plane (mode F) after the other, which computes the same
- 8 bits: Pillow's LANCZOS of L, RGB or RGBA, which rounds between the axes
- ours: `resize` of upscale_bridge/images/resample.py

Pillow's time is that of its `resize` alone, without making planes of an array. Memory is the peak
resident size during the call, less what was resident before it, in units of the float result.
Needs Linux.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONTENDERS = ("float", "8 bits", "ours")
CASES = {  # name: (channels, width, height, width and height of the result)
    "wide, twice": (3, 12000, 40, 24000, 80),
    "wide with alpha, twice": (4, 12000, 40, 24000, 80),
    "tall with alpha, twice": (4, 40, 12000, 80, 24000),
    "large, half": (3, 6000, 4000, 3000, 2000),
    "large with alpha, half": (4, 6000, 4000, 3000, 2000),
    "large, a tenth": (3, 6000, 4000, 600, 400),
    "large, twice": (3, 2000, 1500, 4000, 3000),
    "large with alpha, twice": (4, 2000, 1500, 4000, 3000),
    "gray, 1.5 times": (1, 2000, 1500, 3000, 2250),
    "wider and lower": (3, 1500, 3000, 3000, 300),
}


def main() -> None:
    """Measure all cases and print (with --write: also keep) a Markdown report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="keep the report under results/")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure(*args.child)))
        return
    import PIL
    import torch

    lines = [
        "# Lanczos",
        "",
        f"{platform.machine()}, {torch.get_num_threads()} threads; Python "
        f"{platform.python_version()}, torch {torch.__version__}, Pillow {PIL.__version__}; "
        f"medians of {args.rounds} interleaved rounds, one fresh process each. "
        "Ratios only: absolute times depend on the machine.",
        "",
        "| | pixels | time, Pillow's float = 1 | time, Pillow's 8 bits = 1 | memory, result = 1 "
        "| Pillow's float | largest difference to it, of 65535 |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for case in CASES:
        lines.append(report(case, args.rounds))
        print(lines[-1], flush=True)
    if args.write:
        path = ROOT / "benchmarks" / "results" / "resample.md"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def report(case: str, rounds: int) -> str:
    """Run all rounds of one case and return its row."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name in CONTENDERS:
            command = [sys.executable, __file__, "--child", case, name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{name} failed:\n{done.stderr}")
            runs[name].append(json.loads(done.stdout.splitlines()[-1]))

    def times(base: str) -> float:
        pairs = zip(runs["ours"], runs[base], strict=True)
        return statistics.median(ours["seconds"] / its["seconds"] for ours, its in pairs)

    def memory(name: str) -> float:
        return statistics.median(run["memory"] for run in runs[name])

    _, width, height, new_width, new_height = CASES[case]
    return (
        f"| {case} | {width} x {height} -> {new_width} x {new_height} | {times('float'):.2f} "
        f"| {times('8 bits'):.2f} | {memory('ours'):.1f} | {memory('float'):.1f} "
        f"| {max(run['difference'] for run in runs['ours']):.2f} |"
    )


def measure(case: str, name: str) -> dict[str, float]:
    """Resize the image of a case; return seconds, memory and the difference to Pillow."""
    import numpy as np
    import torch
    from PIL import Image

    sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
    from local import read_status

    from upscale_bridge.images.resample import resize

    channels, width, height, *size = CASES[case]
    pixels = np.random.default_rng(0).random((height, width, channels), np.float32)
    planes = [Image.fromarray(np.ascontiguousarray(pixels[..., c])) for c in range(channels)]
    rounded = (pixels * 255).round().astype(np.uint8)
    short = Image.fromarray(rounded[..., 0] if channels == 1 else rounded)
    lanczos = Image.Resampling.LANCZOS
    calls: dict[str, Any] = {
        "float": lambda: [plane.resize(size, lanczos) for plane in planes],
        "8 bits": lambda: short.resize(size, lanczos),
        "ours": lambda: resize(torch.from_numpy(pixels), *size),
    }
    resize(torch.from_numpy(pixels[:50, :50]), 70, 70)  # loads what is loaded when first needed
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = read_status("VmRSS")
    result = calls[name]()
    memory = (read_status("VmHWM") - before) / (size[0] * size[1] * channels * 4)
    times = []
    for _ in range(3):
        started = time.perf_counter()
        result = calls[name]()
        times.append(time.perf_counter() - started)
    difference = 0.0
    if name == "ours":
        expected = np.stack([np.asarray(plane) for plane in calls["float"]()], axis=-1).clip(0, 1)
        difference = float(np.abs(result.numpy() - expected).max() * 65535)
    return {"seconds": statistics.median(times), "memory": memory, "difference": difference}


if __name__ == "__main__":
    main()
