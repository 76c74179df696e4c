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
from typing import TYPE_CHECKING

from ..errors import SettingsError, StoppedError, UpscaleError
from ..monitor import Monitor
from ..service import Service
from ..vendors import operation_named
from . import processing
from .bounds import Bounds, TooLongError, limited_memory
from .files import Files, FolderFiles
from .hand import Hand
from .queue import Job, Queue
from .sqlite_queue import SqliteQueue

if TYPE_CHECKING:
    from ..local.devices import Memory

log = logging.getLogger(__name__)

_IDLE_SECONDS = 0.1
_NEWS_SECONDS = 0.5
SWEEP_SECONDS = 60.0
_NICER = 5  # an engine on the CPU must not make the listener slow
_OOM_SCORE = Path("/proc/self/oom_score_adj")
_LONGEST_LIFE = 8 * 86_400.0  # seconds; a little more than any result's


class GoneError(StoppedError):
    """Nobody wants the job's result from this worker any more."""


def work(folder: Path, most_bytes: int, device: str, bounds: Bounds, hand: Hand) -> None:
    """Do jobs until SIGTERM or the listener's death; the one in hand goes back into the queue.

    `bounds.memory` is this worker's own.
    """
    stop = prepare_process()
    service = service_on(device)
    queue, files = SqliteQueue(folder), FolderFiles(folder / "files", most_bytes)
    swept = 0.0
    while not stop.is_set():
        if time.monotonic() - swept > SWEEP_SECONDS:
            sweep(queue, files)
            swept = time.monotonic()
        job = queue.take()
        if job is None:
            stop.wait(_IDLE_SECONDS)
            continue
        hand.take(job.id)
        do(service, queue, files, job, stop, bounds)
        hand.drop()


def prepare_process() -> threading.Event:
    """Make this process a worker; return what SIGTERM and the death of its parent set."""
    stop = threading.Event()
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if hasattr(os, "nice"):
        os.nice(_NICER)
    if _OOM_SCORE.exists():  # when memory runs out a worker goes, not its listener
        _OOM_SCORE.write_text("500")
    threading.Thread(target=_stop_after_listener, args=(stop,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the listener's affair
    return stop


def service_on(device: str) -> Service:
    """Return what does operations on a device."""

    def memory() -> Memory:
        from ..local.devices import Memory

        return Memory(device)

    return Service(memory=memory)


def _stop_after_listener(stop: threading.Event) -> None:
    """Set `stop` when the listener is gone: a killed one can't tell its workers."""
    listener = multiprocessing.parent_process()
    if listener is not None:
        listener.join()
        stop.set()


def do(
    service: Service,
    queue: Queue,
    files: Files,
    job: Job,
    stop: threading.Event,
    bounds: Bounds,
) -> None:
    """Do one job."""
    try:
        data = files.read(job.source)
        if data is None:
            queue.fail(job, "The image is not here any more.")
            return
        operation = operation_named(job.operation)(**json.loads(job.parameters))
        models = json.loads(job.models) if job.models else None
        progress = _JobMonitor(queue, job, stop, bounds.seconds)
        with limited_memory(bounds.memory):
            picture = processing.carry_out(service, operation, data, progress, models)
        name = files.new_name(picture.mime)
        files.write(name, picture.data, room=job.id)
        if not queue.finish(job, name):
            files.remove(name)
    except GoneError:
        log.info("Job %s was removed, or is another worker's by now.", job.id)
    except StoppedError:
        queue.give_back(job)
    except SettingsError:  # it may name folders and addresses of ours
        log.exception("Job %s failed.", job.id)
        queue.fail(job, "The server cannot keep files at present; its log says why.")
    except UpscaleError as error:
        queue.fail(job, str(error))
    except MemoryError:
        queue.fail(job, "This image needs more memory than a task may have here; make it smaller.")
    except Exception as error:  # a bug must not end the worker, and the customer must know
        log.exception("Job %s failed.", job.id)
        queue.fail(job, f"The server failed ({type(error).__name__}).")
    finally:
        release_room(queue, files, job.id)


def sweep(queue: Queue, files: Files) -> None:
    """Remove what is older than its lifetime, and rooms whose job is over or was never stored."""
    for job in queue.expired():
        queue.remove(job.id)
        files.remove(job.source)
        files.remove(job.result)
    for room in files.rooms():
        release_room(queue, files, room)
    files.sweep(_LONGEST_LIFE, queue.holds)  # uploads that no job ever named


def release_room(queue: Queue, files: Files, room: str) -> None:
    """Give back what is left of a job's room, unless the job still needs it."""
    job = queue.get(room)
    if job is None or job.finished:
        files.release(room)


class _JobMonitor(Monitor):
    """Notes the progress in the queue, now and then; ends what takes too long or is not wanted."""

    def __init__(self, queue: Queue, job: Job, stop: threading.Event, seconds: float) -> None:
        self._queue, self._job, self._stop, self._seconds = queue, job, stop, seconds
        self._began = self._told = time.monotonic()
        self._fraction = 0.0

    def check(self) -> None:
        if self._stop.is_set():
            raise StoppedError
        self._tell()
        if time.monotonic() - self._began > self._seconds:
            raise TooLongError(
                f"This image takes longer than {self._seconds / 60:.0f} minutes, which is what a "
                "task may take here; make it smaller."
            )

    def progress(self, done: float, total: float) -> None:
        self._fraction = done / total
        self._tell()

    def _tell(self) -> None:
        """Note the progress; raises `GoneError` when nobody wants it."""
        if time.monotonic() - self._told < _NEWS_SECONDS:
            return
        self._told = time.monotonic()
        try:
            wanted = self._queue.advance(self._job, self._fraction)
        except SettingsError as error:  # a database that is away for a moment costs no task
            log.warning("The progress of job %s was not noted: %s", self._job.id, error)
            return
        if not wanted:
            raise GoneError
