"""How the core reports progress and learns that it should stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Monitor:
    """Silent and never stopping; a host overrides what it can show.

    The core calls every method from the thread that called the core.
    """

    def check(self) -> None:
        """Raise `StoppedError` (or the host's own interruption) when the user asked to stop."""

    def status(self, text: str) -> None:
        """Show one line about what is going on now."""

    def notice(self, text: str) -> None:
        """Show a line that the user should have read, such as the licence of a download."""

    def progress(self, done: float, total: float) -> None:
        """Show that `done` of `total` is finished, 0 <= done <= total, in any one unit."""

    def preview(self, tile: Tensor) -> None:
        """Show a finished tile: float32 [height, width, channels], range 0..1."""


class Part(Monitor):
    """Says of each line which part of the whole it is about; hands on everything else."""

    def __init__(self, whole: Monitor, head: str, index: int = 0, count: int = 1) -> None:
        """`head` stands before each line of status; progress is that of part `index` of `count`."""
        self.check = whole.check  # type: ignore[method-assign]
        self.notice = whole.notice  # type: ignore[method-assign]
        self.preview = whole.preview  # type: ignore[method-assign]
        self._whole, self._head, self._index, self._count = whole, head, index, count

    def progress(self, done: float, total: float) -> None:
        if self._count == 1:
            self._whole.progress(done, total)
        else:
            self._whole.progress(self._index + done / total, self._count)

    def status(self, text: str) -> None:
        self._whole.status(self._head + text)
