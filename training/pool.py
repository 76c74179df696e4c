"""The pool of scenes: files that grow while the training runs, filled by processes of their own.

    python training/pool.py FOLDER --seed 7 --scenes 1000 --worker 0 --workers 2

Workers share nothing but the files, so any of them may be stopped and started again at any
moment: what is there is kept, what is missing is made. Worker k makes the textures and scenes
k, k + workers, ... With each scene comes its twin: the scene reduced by SCALE and encoded by
Pillow as lossy WebP or JPEG, which the batched degradations of degrade.py do not know.
"""

import argparse
import contextlib
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image
from scenes import SIDE, render_scene
from textures import make_texture

SCALE = 4
BANK_COUNT = 160
BANK_SIDE = 1024

Bytes = NDArray[np.uint8]


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


class Pool:
    """The files of a pool, shared by its workers and the training.

    scenes: uint8 (count, SIDE, SIDE, 3); twins: uint8 (count, SIDE / SCALE, SIDE / SCALE, 3).
    """

    def __init__(self, folder: Path, seed: int, count: int) -> None:
        self.folder = folder
        self.seed = seed
        self.count = count
        low = SIDE // SCALE
        self.bank = self._file("bank", (BANK_COUNT, BANK_SIDE, BANK_SIDE))
        self.bank_ready = self._file("bank-ready", (BANK_COUNT,))
        self.scenes = self._file("scenes", (count, SIDE, SIDE, 3))
        self.twins = self._file("twins", (count, low, low, 3))
        self.ready = self._file("ready", (count,))

    def _file(self, name: str, shape: tuple[int, ...]) -> Bytes:
        """Open an array of the pool; make it, all zeros, if it is not there."""
        path = self.folder / f"{name}-{self.seed}-{shape[0]}.npy"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(f".{os.getpid()}")
            open_memmap(fresh, "w+", np.uint8, shape).flush()
            with contextlib.suppress(FileExistsError):
                os.link(fresh, path)  # unlike a rename, never replaces another's file
            fresh.unlink()
        return open_memmap(path, "r+")

    def work(self, worker: int, workers: int) -> None:
        """Make this worker's share of the textures, then, when all are there, of the scenes."""
        for index in range(worker, BANK_COUNT, workers):
            if not self.bank_ready[index]:
                self.bank[index] = make_texture(self.seed, index, BANK_COUNT, BANK_SIDE)
                self.bank_ready[index] = 1
        while not self.bank_ready.all():
            time.sleep(0.1)
        for index in range(worker, self.count, workers):
            if not self.ready[index]:
                scene = render_scene(self.bank, self.seed, index)
                self.scenes[index] = scene
                self.twins[index] = make_twin(self.seed, index, scene)
                self.ready[index] = 1

    def start(self, workers: int) -> list[subprocess.Popen[bytes]]:
        """Start the workers, one thread each and behind the training in line for the CPU."""
        call = [sys.executable, __file__, self.folder, "--seed", self.seed, "--scenes", self.count]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        return [
            subprocess.Popen(
                [*map(str, call), "--worker", str(worker), "--workers", str(workers)],
                env={**os.environ, **threads},
            )
            for worker in range(workers)
        ]


def main() -> None:
    """Read the command line and work."""
    parser = argparse.ArgumentParser(description="One worker of a pool of scenes.")
    parser.add_argument("folder", type=Path)
    for name in ("seed", "scenes", "worker", "workers"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    if hasattr(os, "nice"):
        os.nice(10)
    Pool(options.folder, options.seed, options.scenes).work(options.worker, options.workers)


if __name__ == "__main__":
    main()
