"""A process that draws scenes into a pool.

    python training/draw.py FOLDER --seed 7 --scenes 1000 --worker 0 --workers 2

Worker k makes the textures and scenes k, k + workers, ... With each scene comes its twin: the
scene reduced by SCALE and encoded by Pillow as lossy WebP or JPEG, which the batched degradations
of degrade.py do not know.
"""

import argparse
import io
import os
import time
from pathlib import Path

import numpy as np
from PIL import Image
from pool import BANK_COUNT, BANK_SIDE, SCALE, Bytes, Pool
from scenes import render_scene
from textures import make_texture


def make_twin(seed: int, index: int, scene: Bytes) -> Bytes:
    """Return the scene reduced by SCALE and spoilt by a lossy encoder once or twice."""
    rng = np.random.default_rng([seed, 3, index])
    side = scene.shape[0] // SCALE
    low = Image.fromarray(scene).resize((side, side), Image.Resampling.BICUBIC)
    for _ in range(1 + int(rng.random() < 0.2)):
        buffer = io.BytesIO()
        quality = int(rng.integers(35, 96))
        if rng.random() < 0.75:
            low.save(buffer, "WEBP", quality=quality, method=int(rng.choice([0, 4])))
        else:
            low.save(buffer, "JPEG", quality=quality, subsampling=int(rng.integers(3)))
        low = Image.open(buffer).convert("RGB")
    return np.asarray(low)


def work(pool: Pool, worker: int, workers: int) -> None:
    """Make a worker's share of the textures, then, when all are there, of the scenes.

    Ends early when the process that started it has.
    """
    parent = os.getppid()
    for index in range(worker, BANK_COUNT, workers):
        if not pool.bank_ready[index]:
            pool.bank[index] = make_texture(pool.seed, index, BANK_COUNT, BANK_SIDE)
            pool.bank_ready[index] = 1
    while not pool.bank_ready.all() and os.getppid() == parent:
        time.sleep(0.1)
    for index in range(worker, pool.count, workers):
        if os.getppid() != parent:
            return
        if not pool.ready[index]:
            scene = render_scene(pool.bank, pool.seed, index)
            pool.scenes[index] = scene
            pool.twins[index] = make_twin(pool.seed, index, scene)
            pool.ready[index] = 1


def main() -> None:
    """Read the command line and work."""
    parser = argparse.ArgumentParser(description="One worker of a pool of scenes.")
    parser.add_argument("folder", type=Path)
    for name in ("seed", "scenes", "worker", "workers"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    if hasattr(os, "nice"):
        os.nice(10)
    pool = Pool(options.folder, options.seed, options.scenes)
    work(pool, options.worker, options.workers)


if __name__ == "__main__":
    main()
