"""Threads that run tiles side by side on the CPU.

One tile per core beats all cores on one tile: a convolution of a small tile is too short to be
worth splitting. The pool is shared by the whole process and made when first needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import lru_cache

import torch

from ..errors import StoppedError

_MOST_WORKERS = 8  # each holds the activations of one tile; more cores share a worker
_POLL_SECONDS = 0.1  # between two looks at progress and at whether to stop, while threads work
_lock = threading.Lock()


def worker_count() -> int:
    """Return how many tiles run at the same time on the CPU."""
    return min(torch.get_num_threads(), _MOST_WORKERS)


@lru_cache(maxsize=1)
def pool(workers: int) -> ThreadPoolExecutor:
    """Return `workers` threads, each with its share of torch's threads."""
    share = max(1, torch.get_num_threads() // workers)
    return ThreadPoolExecutor(
        workers, thread_name_prefix="upscale-tile", initializer=_limit_threads, initargs=(share,)
    )


def _limit_threads(share: int) -> None:
    # torch.set_num_threads sets the calling thread's limit and the default for new threads. The
    # default belongs to the host and is put back; get_num_threads makes torch read it before.
    with _lock:
        default = torch.get_num_threads()
        torch.set_num_threads(share)
        torch.get_num_threads()
        restorer = threading.Thread(target=torch.set_num_threads, args=(default,))
        restorer.start()
        restorer.join()


class Team:
    """The threads of the pool, for work in steps that must be done one after the other."""

    def __init__(self, workers: int, poll: Callable[[], None]) -> None:
        """Make a team; the thread that calls `run` calls `poll` now and then."""
        self.workers = workers
        self._poll = poll
        self._stopped = threading.Event()
        self._done = 0.0
        self._lock = threading.Lock()
        self._caller = threading.get_ident()

    def check(self) -> None:
        """Raise what ends the work early; for tasks."""
        if threading.get_ident() == self._caller:
            self._poll()
        elif self._stopped.is_set():
            raise StoppedError

    def advance(self, share: float) -> None:
        """Count a share of all the work as done; any thread may."""
        with self._lock:
            self._done += share

    def take_progress(self) -> float:
        """Return the share that was done since this was last asked."""
        with self._lock:
            done, self._done = self._done, 0.0
        return done

    def run(self, tasks: Sequence[Callable[[], None]]) -> None:
        """Do all tasks, in any order; the first error, or what `poll` raises, ends the rest."""
        if self.workers == 1 or len(tasks) == 1:
            for task in tasks:
                self._poll()
                task()
            return
        threads = pool(self.workers)
        futures = {threads.submit(_inference, task) for task in tasks}
        try:
            while futures:
                self._poll()
                done, futures = wait(futures, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                for one in done:
                    one.result()
        except BaseException:
            self._stopped.set()
            raise
        finally:
            for one in futures:
                one.cancel()
            wait(futures)


def _inference(task: Callable[[], None]) -> None:
    with torch.inference_mode():  # belongs to each thread
        task()
