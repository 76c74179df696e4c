"""Threads on which tasks live, a bounded number for each provider.

The calling thread only waits and watches: it asks the monitor several times a second, so that a
stop is answered at once in every phase. A paid call that is on its way then still ends in its
thread, and its ticket is stored.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Sequence

from ..errors import (
    AuthError,
    MissingKeyError,
    QuotaError,
    RetiredError,
    StoppedError,
    UpscaleError,
)
from ..monitor import Monitor
from .context import Context
from .life import Outcome, live
from .progress import describe, fraction

_LOOK_SECONDS = 0.1
_HALTING = (AuthError, QuotaError, RetiredError, MissingKeyError)


class Pool:
    """Runs tasks; thread-safe. The bound of a provider holds for all callers together."""

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
        """Stop all waiting, but let paid calls that are on their way end: they bring tickets."""
        with self._lock:
            living = dict(self._living)
        for context in living.values():
            context.stop.set()
        for thread, context in living.items():
            while thread.is_alive() and context.view.phase == "submitting":
                thread.join(_LOOK_SECONDS)

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
                (context.operation.provider.name, size), threading.Semaphore(size)
            )
        while not slot.acquire(timeout=_LOOK_SECONDS):
            context.check()
        try:
            context.check()
            return live(context)
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


def _show(monitor: Monitor, contexts: Sequence[Context], typical: float) -> None:
    now = contexts[0].clock.monotonic()
    views = [context.view for context in contexts]
    monitor.progress(sum(fraction(view, now, typical) for view in views), len(views))
    monitor.status(describe(views, now))
