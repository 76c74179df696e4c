"""The workers of one machine in a cluster: a process for each device, and one that watches them."""

from __future__ import annotations

import functools
import json
import logging
import signal
import threading
from collections import deque
from types import FrameType
from typing import TYPE_CHECKING

from ...errors import UpscaleError
from ..bounds import Bounds
from ..hand import Hand
from ..queue import Job
from ..workers import STOP_SECONDS, Workers
from .database import Store
from .parts import Addresses, files_of
from .presence import OwnPresence, Presence
from .queue import ClusterQueue
from .turns import Turns

if TYPE_CHECKING:
    from ...service import Service

log = logging.getLogger("upscale_bridge.server")

_REMEMBERED = 8  # jobs whose models may still be in memory
_PATIENCE = 120.0  # seconds with a database or a store of files that is away


def run(
    addresses: Addresses, devices: tuple[str, ...], bounds: Bounds, most_bytes: int, drain: float
) -> None:
    """Work until SIGTERM or SIGINT; raises `SettingsError`.

    What is in hand then has `drain` seconds to be done, before it goes back into the queue.
    """
    store = Store(addresses.store)
    queue = ClusterQueue(store, lease=addresses.lease)
    files_of(store, addresses.files, most_bytes)  # a wrong address is said here, once
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    work = functools.partial(_work, addresses, most_bytes, drain)

    def died(hand: Hand) -> None:
        try:
            queue.presence.leave(hand.worker)
        except UpscaleError as error:  # then its lease ends by itself
            log.warning("%s", error)

    with Workers(work, queue, devices, bounds, died=died, patience=drain + STOP_SECONDS):
        stop.wait()
    store.close()


def _work(
    addresses: Addresses,
    most_bytes: int,
    drain: float,
    device: str,
    bounds: Bounds,
    hand: Hand,
) -> None:
    """Do jobs in a process of their own."""
    from ..worker import do, prepare_process, service_on  # torch, which the parent does not need

    over, stop = prepare_process(), threading.Event()
    store = Store(addresses.store, patience=_PATIENCE, connections=2)
    own = OwnPresence(Presence(store, addresses.lease), device)
    hand.belong(own.name)
    with own, Turns(addresses.broker) as turns:
        queue = ClusterQueue(store, announce=turns.announce, own=own, lease=addresses.lease)
        files = files_of(store, addresses.files, most_bytes, _PATIENCE)
        desk = Desk(service_on(device))

        def turn() -> None:
            if over.is_set():
                return
            try:
                job = queue.take(desk.loaded())
                if job is None:
                    return
                hand.take(job.id)
                own.begin()
                loads = desk.begin(job)
                do(desk.service, queue, files, job, stop, bounds)
                own.end(desk.names(), loads)
            except Exception:
                # The job is this process's, which cannot say what came of it; others do it anew
                # when this one is gone.
                log.exception("A turn could not be ended.")
                over.set()
            finally:
                hand.drop()

        def drained() -> None:
            over.wait()
            stop.wait(drain)
            stop.set()

        threading.Thread(target=drained, daemon=True).start()
        turns.work(turn, over)


class Desk:
    """What a worker has in memory, and the jobs that it was needed for."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._jobs: deque[str] = deque(maxlen=_REMEMBERED)

    def begin(self, job: Job) -> int:
        """Note that a job begins; return how many models must be loaded for it."""
        if job.models in self._jobs:
            self._jobs.remove(job.models)
        self._jobs.append(job.models)
        return sum(not self._has(name) for name in _names(job.models))

    def loaded(self) -> list[str]:
        """Return the `models` of jobs for which nothing has to be loaded."""
        return [text for text in self._jobs if all(map(self._has, _names(text)))]

    def names(self) -> list[str]:
        """Return the names of the models in memory."""
        return list(dict.fromkeys(name for text in self.loaded() for name in _names(text)))

    def _has(self, name: str) -> bool:
        return self.service.library.is_loaded(name)


def _names(models: str) -> list[str]:
    """Return the names of what does the work, each once, of a job's `models`."""
    return list(dict.fromkeys(json.loads(models or "{}").values()))
