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
