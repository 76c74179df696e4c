"""What a worker process has in hand, in memory that its parent sees as well."""

from __future__ import annotations

import ctypes
import time
from multiprocessing.context import SpawnContext


class Hand:
    """Which job a worker has in hand, and since when; its listener sees it as well."""

    def __init__(self, context: SpawnContext) -> None:
        # Without locks: a worker that is killed could hold one for ever.
        self._worker = context.RawArray(ctypes.c_char, 64)
        self._job = context.RawArray(ctypes.c_char, 64)
        self._since = context.RawValue(ctypes.c_double, 0.0)

    @property
    def worker(self) -> str:
        """The worker's name, empty where it has none."""
        return self._worker.value.decode()

    def belong(self, worker: str) -> None:
        """Be the hand of a worker with that name."""
        self._worker.value = worker.encode()

    def take(self, job: str) -> None:
        """Begin with a job."""
        self._job.value = job.encode()
        self._since.value = time.monotonic()

    def drop(self) -> None:
        """Have no job any more."""
        self._since.value = 0.0

    def overdue(self, seconds: float) -> str:
        """Return the job that has been in hand for longer, empty for none."""
        since = self._since.value
        late = since and time.monotonic() - since > seconds
        return self._job.value.decode() if late else ""
