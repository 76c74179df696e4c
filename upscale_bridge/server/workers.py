"""The worker processes: one for each device, restarted when they die."""

from __future__ import annotations

import logging
import multiprocessing
import threading
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess

from .bounds import Bounds
from .hand import Hand
from .queue import Queue

log = logging.getLogger("upscale_bridge.server")

_LOOK_SECONDS = 0.5
_MOST_PAUSE = 30.0
STOP_SECONDS = 30.0
_GRACE_SECONDS = 30.0  # in which a task that takes too long should end by itself


Work = Callable[[str, Bounds, Hand], None]
"""What a worker process does for a device; it can be pickled."""


def _nothing(hand: Hand) -> None:
    """Do nothing about a worker that died."""


class Workers:
    """Starts the workers on entering and stops them on leaving."""

    def __init__(
        self,
        work: Work,
        queue: Queue,
        devices: tuple[str, ...],
        bounds: Bounds,
        *,
        died: Callable[[Hand], None] = _nothing,
        patience: float = STOP_SECONDS,
    ) -> None:
        """`died` hears of the hand of each worker that is dead, before the next one starts; at the
        end workers have `patience` seconds."""
        self._work, self._devices = work, devices
        self._queue, self._died, self._patience = queue, died, patience
        self._bounds = replace(bounds, memory=bounds.memory_of(len(devices)))
        # A forked child would share sockets and threads with the listener.
        self._context = multiprocessing.get_context("spawn")
        self._processes: dict[int, BaseProcess] = {}
        self._hands = [Hand(self._context) for _ in devices]
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Workers:
        for index in range(len(self._devices)):
            self._start(index)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._watcher.join()
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.join(self._patience)
            if process.is_alive():
                process.kill()
                process.join()
        for hand in self._hands:
            self._died(hand)

    def alive(self) -> int:
        """Return how many workers live."""
        return sum(process.is_alive() for process in self._processes.values())

    def _start(self, index: int) -> None:
        device = self._devices[index]
        hand = self._hands[index] = Hand(self._context)
        process = self._context.Process(
            target=self._work, args=(device, self._bounds, hand), daemon=True
        )
        process.start()
        self._processes[index] = process

    def _watch(self) -> None:
        """Restart dead workers, more and more slowly while they die at once."""
        pause = _LOOK_SECONDS
        while not self._stop.wait(pause):
            for index in self._processes:
                self._end_overdue(index)
            dead = [index for index, process in self._processes.items() if not process.is_alive()]
            for index in dead:
                code = self._processes[index].exitcode
                log.error("The worker for %s ended (%s).", self._devices[index], code)
                self._died(self._hands[index])
                self._start(index)
            pause = min(2 * pause, _MOST_PAUSE) if dead else _LOOK_SECONDS

    def _end_overdue(self, index: int) -> None:
        """End a worker that does not end its task: a decoder may hang where nobody is asked."""
        job = self._hands[index].overdue(self._bounds.seconds + _GRACE_SECONDS)
        if job:
            self._processes[index].kill()
            self._processes[index].join()
            minutes = self._bounds.seconds / 60
            self._queue.give_up(job, f"This image takes longer than {minutes:.0f} minutes.")
