"""Threads on which tasks run, a bounded number for each vendor.

The calling thread only waits and watches: it asks the monitor several times a second, so that a
stop is answered at once in every phase. A paid call that is on its way then still ends in its
thread, in 15 s at most, and its ticket is stored or the task left in doubt.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Sequence

from ..errors import (
    AmbiguousSubmitError,
    AuthError,
    CostLimitError,
    MissingKeyError,
    QuotaError,
    RetiredError,
    SettingsError,
    StoppedError,
    UpscaleError,
)
from ..monitor import Monitor
from .context import Context
from .lifecycle import Outcome, run_task
from .progress import describe, fraction
from .submit import leave_in_doubt

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1
_LAST_SECONDS = 20.0  # a little longer than a stop leaves to a paid call's answer
_HALTING = (AuthError, CostLimitError, QuotaError, RetiredError, MissingKeyError)


class Pool:
    """Runs tasks; thread-safe. The bound of a vendor holds for all callers together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[tuple[str, int], threading.Semaphore] = {}
        self._living: dict[threading.Thread, Context] = {}
        self._registered = False

    def run(
        self, contexts: Sequence[Context], monitor: Monitor, typical: float
    ) -> list[Outcome | UpscaleError]:
        """Return what came of each task, in their order.

        After an error that would meet all others too (key, balance, end of the API) nothing more
        is submitted; any other ends its own task only. `typical` is how many seconds a task takes,
        for the progress bar. Raises what `monitor.check` raises, at once; what was accepted can be
        resumed.
        """
        self._close_at_exit()
        batch = _Batch(contexts)
        count = min(len(contexts), contexts[0].settings.concurrency)
        threads = [
            threading.Thread(target=self._work, args=(batch,), daemon=True) for _ in range(count)
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    monitor.check()
                    _show(monitor, contexts, typical)
                    thread.join(_LOOK_SECONDS)
        except BaseException:
            batch.stop()
            raise
        _show(monitor, contexts, typical)
        return batch.results()

    def close(self) -> None:
        """Stop all waiting, but let paid calls that are on their way end: they bring tickets.

        What has not ended in 20 s, or when the user stops a second time, is left in doubt.
        """
        with self._lock:
            living = dict(self._living)
        for context in living.values():
            context.stop.set()
        paying = {thread: context for thread, context in living.items() if _is_paying(context)}
        if not paying:
            return
        log.warning("A paid call is on its way; its answer is waited for, at most 15 s.")
        clock = next(iter(paying.values())).clock
        until = clock.monotonic() + _LAST_SECONDS
        try:
            for thread, context in paying.items():
                while thread.is_alive() and _is_paying(context) and clock.monotonic() < until:
                    thread.join(_LOOK_SECONDS)
        except KeyboardInterrupt:
            log.warning("Stopped a second time.")
        for thread, context in paying.items():
            if thread.is_alive() and _is_paying(context):
                _give_up(context)

    def _work(self, batch: _Batch) -> None:
        for index in batch:
            context = batch.contexts[index]
            with self._lock:
                self._living[threading.current_thread()] = context
            try:
                batch.found[index] = self._live(context)
                context.show("done")
            except UpscaleError as error:
                batch.found[index] = error
                if isinstance(error, AmbiguousSubmitError) and context.stop.is_set():
                    log.error("%s", error)  # whoever called has left
                if isinstance(error, _HALTING):
                    context.halt.set()  # what is accepted already goes on
            except BaseException as error:  # a bug; raised again in the thread that called
                batch.surprise = error
                batch.stop()
        with self._lock:
            self._living.pop(threading.current_thread(), None)

    def _live(self, context: Context) -> Outcome:
        size = context.settings.concurrency
        with self._lock:
            slot = self._slots.setdefault(
                (context.operation.vendor.name, size), threading.Semaphore(size)
            )
        while not slot.acquire(timeout=_LOOK_SECONDS):
            context.check()
        try:
            context.check()
            return run_task(context)
        finally:
            slot.release()

    def _close_at_exit(self) -> None:
        with self._lock:
            if not self._registered:
                atexit.register(self.close)
                self._registered = True


class _Batch:
    """What the threads of one call share; iterating hands out each index once."""

    def __init__(self, contexts: Sequence[Context]) -> None:
        self.contexts = contexts
        self.found: list[Outcome | UpscaleError | None] = [None] * len(contexts)
        self.surprise: BaseException | None = None
        self._lock = threading.Lock()
        self._next = 0

    def __iter__(self) -> _Batch:
        return self

    def __next__(self) -> int:
        with self._lock:
            if self._next == len(self.contexts):
                raise StopIteration
            self._next += 1
            return self._next - 1

    def stop(self) -> None:
        for context in self.contexts:
            context.stop.set()

    def results(self) -> list[Outcome | UpscaleError]:
        if self.surprise is not None:
            raise self.surprise
        halting = next((found for found in self.found if isinstance(found, _HALTING)), None)
        return [
            halting if halting is not None and isinstance(found, StoppedError) else found
            for found in self.found
            if found is not None
        ]


def _is_paying(context: Context) -> bool:
    return context.view.phase == "submitting"


def _give_up(context: Context) -> None:
    """Leave a task in doubt, since the program ends."""
    try:
        error: UpscaleError = leave_in_doubt(context, "The program ended before the answer came.")
    except SettingsError as problem:  # the next program finds the row and its dead owner
        error = problem
    log.error("%s", error)


def _show(monitor: Monitor, contexts: Sequence[Context], typical: float) -> None:
    now = contexts[0].clock.monotonic()
    views = [context.view for context in contexts]
    monitor.progress(sum(fraction(view, now, typical) for view in views), len(views))
    monitor.status(describe(views, now))
