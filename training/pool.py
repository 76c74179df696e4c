"""The pool of scenes: files that grow while the training runs, filled by processes of their own.

Those, the workers of draw.py, share nothing but the files, so any of them may be stopped and
started again at any moment: what is there is kept, what is missing is made.
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

SCALE = 4
SIDE = 512
"""Width and height of a scene in pixels."""
BANK_COUNT = 160
BANK_SIDE = 1024

Bytes = NDArray[np.uint8]


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

    def start(self, workers: int) -> list[subprocess.Popen[bytes]]:
        """Start the workers, one thread each and behind the training in line for the CPU."""
        drawer = Path(__file__).with_name("draw.py")
        call = [sys.executable, drawer, self.folder, "--seed", self.seed, "--scenes", self.count]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        return [
            subprocess.Popen(
                [*map(str, call), "--worker", str(worker), "--workers", str(workers)],
                env={**os.environ, **threads},
            )
            for worker in range(workers)
        ]
