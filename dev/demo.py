"""Upscale a photo with the model that ships, and show it beside Lanczos.

    python3 dev/demo.py

Makes `.venv` on the first run. No GPU, no key and, after the first run, no network needed.
"""

import subprocess
import sys
from pathlib import Path

from environment import ROOT, prepare

PHOTO = ROOT / "docs" / "pictures" / "cat.png"
OUTPUT = ROOT / "demo-output"
SCALE = 4
CROP = (100, 60, 260, 200)  # left, top, right, bottom in the photo: eyes and whiskers


def main() -> None:
    """Upscale, compare and say where the pictures are."""
    sys.path.insert(0, str(ROOT))
    from upscale_bridge import LocalUpscale, run
    from upscale_bridge.images import codecs

    photo = codecs.decode(PHOTO.read_bytes(), PHOTO.name)
    result = run(LocalUpscale(scale_factor=SCALE), photo.pixels[None])
    OUTPUT.mkdir(exist_ok=True)
    enlarged = OUTPUT / "cat-x4.png"
    enlarged.write_bytes(codecs.encode(result.images[0], about=photo.about).data)
    compared = OUTPUT / "lanczos-and-ours.png"
    save_comparison(enlarged, compared)
    print(result.summary)
    print(f"Result:                  {enlarged}")
    print(f"Beside it (Lanczos|ours): {compared}")


def save_comparison(enlarged: Path, target: Path) -> None:
    """Write the same detail twice, side by side: Pillow's Lanczos and ours."""
    from PIL import Image

    box = tuple(SCALE * edge for edge in CROP)
    with Image.open(PHOTO) as photo, Image.open(enlarged) as ours:
        lanczos = photo.convert("RGB").resize(ours.size, Image.Resampling.LANCZOS).crop(box)
        pair = Image.new("RGB", (2 * lanczos.width + 8, lanczos.height), "white")
        pair.paste(lanczos, (0, 0))
        pair.paste(ours.crop(box), (lanczos.width + 8, 0))
        pair.save(target)


if __name__ == "__main__":
    if "--prepared" in sys.argv:
        main()
    else:
        python = prepare("requirements.txt")
        sys.exit(subprocess.call([str(python), __file__, "--prepared"]))
