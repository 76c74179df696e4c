"""A worker process: takes jobs from the queue and does them with the local engine."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

from ..errors import StoppedError, UpscaleError
from ..monitor import Monitor
from ..remote.providers import OPERATIONS
from ..service import Service
from . import meaning
from .files import Files
from .queue import Job, Queue
from .sqlite_queue import SqliteQueue

log = logging.getLogger(__name__)

_IDLE_SECONDS = 0.1
_NEWS_SECONDS = 0.5
_SWEEP_SECONDS = 60.0
_NICER = 5  # an engine on the CPU must not make the listener slow
_LONGEST_LIFE = 8 * 86_400.0  # seconds; a little more than any result's


def work(folder: Path, device: str, most_bytes: int) -> None:
    """Do jobs until SIGTERM or the listener's death; the one in hand goes back into the queue."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if hasattr(os, "nice"):
        os.nice(_NICER)
    threading.Thread(target=_stop_after_listener, args=(stop,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the listener's affair

    def memory() -> object:
        from ..local.devices import Memory

        return Memory(device)

    service = Service(memory=memory)  # type: ignore[arg-type]
    queue, files = SqliteQueue(folder), Files(folder / "files", most_bytes)
    swept = 0.0
    while not stop.is_set():
        if time.monotonic() - swept > _SWEEP_SECONDS:
            sweep(queue, files)
            swept = time.monotonic()
        job = queue.take()
        if job is None:
            stop.wait(_IDLE_SECONDS)
        else:
            do(service, queue, files, job, stop)


def _stop_after_listener(stop: threading.Event) -> None:
    """Set `stop` when the listener is gone: a killed one can't tell its workers."""
    listener = multiprocessing.parent_process()
    if listener is not None:
        listener.join()
        stop.set()


def do(service: Service, queue: Queue, files: Files, job: Job, stop: threading.Event) -> None:
    """Do one job."""
    try:
        kind = next(kind for kind in OPERATIONS if kind.__name__ == job.operation)
        data = files.read(job.source)
        if data is None:
            queue.fail(job, "The image is not here any more.")
            return
        operation = kind(**json.loads(job.parameters))
        picture = meaning.carry_out(service, operation, data, _Progress(queue, job, stop))
        name = files.new_name(picture.mime)
        files.write(name, picture.data)
        if not queue.finish(job, name):
            files.remove(name)
    except StoppedError:
        queue.give_back(job)
    except UpscaleError as error:
        queue.fail(job, str(error))
    except Exception as error:  # a bug must not end the worker, and the customer must know
        log.exception("Job %s failed.", job.id)
        queue.fail(job, f"The server failed ({type(error).__name__}).")


def sweep(queue: Queue, files: Files) -> None:
    """Remove what is older than its lifetime."""
    for job in queue.expired():
        queue.remove(job.id)
        files.remove(job.source)
        files.remove(job.result)
    files.sweep(time.time() - _LONGEST_LIFE)  # uploads that no job ever named


class _Progress(Monitor):
    """Notes the progress in the queue, now and then."""

    def __init__(self, queue: Queue, job: Job, stop: threading.Event) -> None:
        self._queue, self._job, self._stop = queue, job, stop
        self._told = time.monotonic()

    def check(self) -> None:
        if self._stop.is_set():
            raise StoppedError

    def progress(self, done: float, total: float) -> None:
        if time.monotonic() - self._told > _NEWS_SECONDS:
            self._told = time.monotonic()
            self._queue.advance(self._job, done / total)
