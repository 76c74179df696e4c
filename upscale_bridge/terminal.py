"""What the command shows on standard error, and how Ctrl-C stops it."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from .errors import StoppedError
from .monitor import Monitor


class Terminal(Monitor):
    """Progress on one line of standard error, if that is a terminal."""

    def __init__(self, files: int, *, quiet: bool) -> None:
        self._files = files
        self._live = sys.stderr.isatty() and not quiet
        self._head = ""
        self.stopped = False

    def begin(self, index: int, name: str) -> None:
        """Go on to the next file."""
        self._head = f"[{index + 1}/{self._files}] {Path(name).name}"
        self.status("reading")

    def check(self) -> None:
        if self.stopped:
            raise StoppedError

    def status(self, text: str) -> None:
        self._show(text)

    def notice(self, text: str) -> None:
        note(text)

    def progress(self, done: float, total: float) -> None:
        self._show(f"{100 * done / total:3.0f} %")

    def _show(self, text: str) -> None:
        if self._live:
            print(f"\r\x1b[K{self._head} {text}", end="\r", file=sys.stderr, flush=True)


@contextlib.contextmanager
def interruptible(shown: Terminal) -> Iterator[None]:
    """Turn Ctrl-C into a stop after the tile in progress; a second one kills as usual."""

    def stop(_number: int, _frame: object) -> None:
        shown.stopped = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def note(text: str) -> None:
    """Print one line below the progress."""
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(clear + text, file=sys.stderr)
