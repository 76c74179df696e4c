"""A listener of a cluster: any number of them, none of which keeps anything."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from ...errors import UpscaleError
from ..files import Files
from ..http import Options, Parts, listen
from ..worker import SWEEP_SECONDS, sweep
from .database import Store
from .parts import Addresses, files_of
from .queue import ClusterQueue
from .shared import SharedPromises, SharedSecrets
from .turns import Turns

log = logging.getLogger("upscale_bridge.server")

_LOOK_SECONDS = 2.0


def serve(options: Options, addresses: Addresses) -> None:
    """Listen for a cluster until SIGTERM or SIGINT; raises `SettingsError`."""
    store, turns = Store(addresses.store), Turns(addresses.broker)
    queue = ClusterQueue(store, options.most_waiting, turns.announce, lease=addresses.lease)
    files = files_of(store, addresses.files, options.most_bytes)
    parts = Parts(
        queue,
        files,
        SharedSecrets(store),
        SharedPromises(store),
        lambda: len(queue.workers()),
    )

    @contextmanager
    def beside() -> Iterator[None]:
        with turns, Keeper(queue, files, turns.under_way):
            yield

    listen(options, parts, beside())
    store.close()


class Keeper:
    """Announces late tasks anew and removes what is old, from entering to leaving."""

    def __init__(self, queue: ClusterQueue, files: Files, under_way: Callable[[], int]) -> None:
        """`under_way` tells how many turns the broker holds."""
        self._queue, self._files, self._under_way = queue, files, under_way
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        looks = 0
        while not self._stop.wait(_LOOK_SECONDS):
            try:
                self._queue.announce_late(self._under_way)
                if looks % int(SWEEP_SECONDS / _LOOK_SECONDS) == 0:
                    sweep(self._queue, self._files)
                    self._queue.presence.sweep()
                looks += 1
            except UpscaleError as error:  # the next look comes soon
                log.warning("%s", error)
