"""The worker processes: one for each device, restarted when they die."""

from __future__ import annotations

import logging
import multiprocessing
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path

from .worker import work

log = logging.getLogger("upscale_bridge.server")

_LOOK_SECONDS = 0.5
_MOST_PAUSE = 30.0
_STOP_SECONDS = 30.0


class Workers:
    """Starts the workers on entering and stops them on leaving."""

    def __init__(self, folder: Path, devices: tuple[str, ...], most_bytes: int) -> None:
        self._folder, self._devices, self._most_bytes = folder, devices, most_bytes
        # A forked child would share sockets and threads with the listener.
        self._context = multiprocessing.get_context("spawn")
        self._processes: dict[int, BaseProcess] = {}
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
            process.join(_STOP_SECONDS)
            if process.is_alive():
                process.kill()

    def alive(self) -> int:
        """Return how many workers live."""
        return sum(process.is_alive() for process in self._processes.values())

    def _start(self, index: int) -> None:
        device = self._devices[index]
        process = self._context.Process(
            target=work, args=(self._folder, device, self._most_bytes), daemon=True
        )
        process.start()
        self._processes[index] = process

    def _watch(self) -> None:
        """Restart dead workers, more and more slowly while they die at once."""
        pause = _LOOK_SECONDS
        while not self._stop.wait(pause):
            dead = [index for index, process in self._processes.items() if not process.is_alive()]
            for index in dead:
                code = self._processes[index].exitcode
                log.error("The worker for %s ended (%s).", self._devices[index], code)
                self._start(index)
            pause = min(2 * pause, _MOST_PAUSE) if dead else _LOOK_SECONDS
