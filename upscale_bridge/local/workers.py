"""Threads that run tiles side by side on the CPU.

One tile per core beats all cores on one tile: a convolution of a small tile is too short to be
worth splitting. The pool is shared by the whole process and made when first needed.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch

_MOST_WORKERS = 8  # each holds the activations of one tile; more cores share a worker
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
