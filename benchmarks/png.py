"""PNG files of enlarged pictures against Pillow's default, in time and size, as ratios of one run.

    python benchmarks/png.py [--rounds 5] [--write]

scikit-image's pictures, brought to 512 x 512 and enlarged four times by the shipped model, as RGB
of 8 bits. Pillow's `save` with its defaults and our `write` take turns; CPU time is that of all
threads. Needs scikit-image, whose package holds the pictures.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SIDE = 512
PHOTOS = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "motorcycle_left", "rocket")
PICTURES = {
    "photos": (*PHOTOS, "retina", "ihc"),
    "grey photos": ("brick", "camera", "coins", "grass", "gravel", "moon"),
    "drawings and text": ("color", "logo", "page", "phantom", "text"),
}


def main() -> None:
    """Measure all pictures and print (with --write: also keep) a Markdown report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="keep the report under results/")
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from PIL import __version__, features

    lines = [
        "# PNG",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"Pillow {__version__} with zlib-ng {features.version('zlib_ng')}; pictures of "
        f"{4 * SIDE} x {4 * SIDE} that the shipped model made; medians of {args.rounds} rounds.",
        "",
        "| | picture | speed, Pillow's default = 1 | by CPU time | size, Pillow's = 1 |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for kind, names in PICTURES.items():
        for name in names:
            lines.append(f"| {kind} | {name} | {report(enlarged(name), args.rounds)} |")
            print(lines[-1], flush=True)
    if args.write:
        path = ROOT / "benchmarks" / "results" / "png.md"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def enlarged(name: str) -> Any:
    """Return a picture as the shipped model makes it, uint8 [2048, 2048, 3]."""
    import numpy as np
    import skimage
    import torch
    from PIL import Image

    from upscale_bridge import LocalUpscale, run

    (path,) = (Path(skimage.__file__).parent / "data").glob(f"{name}.*")
    with Image.open(path) as image:
        small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.asarray(small, np.float32) / 255)[None]
    return (run(LocalUpscale(), pixels).images[0] * 255).round().byte().numpy()


def report(array: Any, rounds: int) -> str:
    """Return the figures of one picture's row."""
    from PIL import Image

    from upscale_bridge.images import png

    image = Image.fromarray(array)

    def pillow() -> bytes:
        stream = io.BytesIO()
        image.save(stream, "png")
        return stream.getvalue()

    theirs, ours = pillow(), png.write(array)
    pairs = [(timed(pillow), timed(lambda: png.write(array))) for _ in range(rounds)]
    wall, cpu = (statistics.median(one[i] / two[i] for one, two in pairs) for i in (0, 1))
    return f"{wall:.1f} | {cpu:.1f} | {len(ours) / len(theirs):.3f}"


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return seconds and seconds of CPU."""
    started = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - started[0], time.process_time() - started[1]


if __name__ == "__main__":
    main()
