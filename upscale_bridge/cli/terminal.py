"""What the command shows on standard error, and how Ctrl-C stops it."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from ..errors import StoppedError
from ..monitor import Monitor


class Terminal(Monitor):
    """Progress on one line of standard error, if that is a terminal."""

    def __init__(self, files: int, *, quiet: bool) -> None:
        self._files = files
        self._live = sys.stderr.isatty() and not quiet
        self.stopped = False

    def lane(self, index: int, name: str) -> Monitor:
        """Return the monitor of one file; several may be at work at the same time."""
        return _Lane(self, f"[{index + 1}/{self._files}] {Path(name).name}")

    def check(self) -> None:
        if self.stopped:
            raise StoppedError

    def status(self, text: str) -> None:
        self.show(text)

    def notice(self, text: str) -> None:
        note(text)

    def progress(self, done: float, total: float) -> None:
        self.show(f"{100 * done / total:3.0f} %")

    def show(self, text: str) -> None:
        """Draw the line of progress."""
        if self._live:
            print(f"\r\x1b[K{text}", end="\r", file=sys.stderr, flush=True)


class _Lane(Monitor):
    """What a file shows: its name and either its status or how much is done."""

    def __init__(self, terminal: Terminal, head: str) -> None:
        self._terminal = terminal
        self._head = head
        self.check = terminal.check  # type: ignore[method-assign]
        self.notice = terminal.notice  # type: ignore[method-assign]
        self.status("reading")

    def status(self, text: str) -> None:
        self._terminal.show(f"{self._head} {text}")

    def progress(self, done: float, total: float) -> None:
        self.status(f"{100 * done / total:3.0f} %")


@contextlib.contextmanager
def interruptible(shown: Terminal) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into a stop after the tile in progress; a second one kills."""
    usual: dict[signal.Signals, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }

    def stop(_number: int, _frame: object) -> None:
        shown.stopped = True
        for number, handler in usual.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, stop) for number in usual}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def note(text: str) -> None:
    """Print one line below the progress."""
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(clear + text, file=sys.stderr)


def report_stream(*, picture_on_output: bool) -> TextIO:
    """Return where a report goes: standard output, unless a picture goes there."""
    return sys.stderr if picture_on_output else sys.stdout
