"""What ends an HTTP exchange before its time: a stop, slowness, too many bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..errors import BadReplyError, StoppedError, TransportError
from .bodies import Body

_BLOCK = 1 << 18
_SLOWEST_DOWNLOAD = 5_000  # bytes per second
_LARGEST_HEAD = 1 << 18
_GRACE_SECONDS = 15.0


class Watch:
    """One request: its body, which is handed over in blocks, and the answer's bytes as they come.

    Whoever sends calls `read`; whoever receives calls `check` several times a second while nothing
    comes, and `came` for what comes, headers and the marks between chunks included.
    """

    def __init__(
        self,
        host: str,
        body: Body,
        stop: Callable[[], None],
        clock: Callable[[], float],
        *,
        once: bool,
        limit: int,
        patience: float,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """`stop` may raise. With `once` it is called until the body was handed over; a stop after
        that leaves the answer 15 s. `limit` is the largest answer, bytes. It may take `patience`
        seconds, and longer only while it comes at a reasonable speed; `clock` tells seconds.
        `progress` is told how many bytes of the body were handed over, and of how many.
        """
        self._host, self._body, self._progress = host, body, progress
        self._stop, self._clock, self._once = stop, clock, once
        self._limit, self._patience = 2 * limit + _LARGEST_HEAD, patience
        self._received = 0
        self._began: float | None = None
        self._stopped: float | None = None
        self.in_head = False
        """While headers are read; they are short."""
        self.complete = not body.size
        """All of the body was handed over: from now on it may have arrived."""

    def __len__(self) -> int:
        return self._body.size

    def __iter__(self) -> Iterator[bytes]:
        while block := self.read(_BLOCK):
            yield block

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes of the body; raises what `stop` raises."""
        if not self.complete:
            self._stop()
        block = self._body.read(size)
        self.complete = not self._body.left
        self._progress(self._body.size - self._body.left, self._body.size)
        return block

    def close(self) -> None:
        """Read no more of the body."""
        self._body.close()

    def came(self, count: int) -> None:
        """Note that bytes of the answer came; raises `TransportError` or `BadReplyError`."""
        self._began = self._clock() if self._began is None else self._began
        self._received += count
        if self._received > (_LARGEST_HEAD if self.in_head else self._limit):
            raise BadReplyError(f"{self._host} sends more than an answer; reading stopped there.")
        self.check()

    def check(self) -> None:
        """Raise what `stop` raises, or `TransportError` when the answer takes too long."""
        if self._once and self.complete:
            self._wait_a_little()
        else:
            self._stop()
        if self._began is None:
            return
        if self._clock() - self._began > self._patience + self._received / _SLOWEST_DOWNLOAD:
            raise TransportError(f"{self._host} sends too slowly.", sent=self.complete)

    def _wait_a_little(self) -> None:
        try:
            if self._stopped is None:
                self._stop()
        except StoppedError:
            self._stopped = self._clock()
        if self._stopped is not None and self._clock() - self._stopped > _GRACE_SECONDS:
            raise TransportError(
                f"{self._host} had not answered {_GRACE_SECONDS:.0f} s after the stop.", sent=True
            )
