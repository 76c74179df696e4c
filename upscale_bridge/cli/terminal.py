"""What the command shows, and how Ctrl-C stops it."""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

from ..errors import StoppedError
from ..monitor import Monitor
from ..texts import printable


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
            line = f"\r\x1b[K{_fit(text, sys.stderr)}"
            print(line, end="\r", file=sys.stderr, flush=True)


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


def say(text: str, stream: TextIO | None = None) -> None:
    """Print one line, on standard output unless told otherwise.

    All that is no JSON goes through here: signs that move the cursor, or that the stream cannot
    show, stand there as escapes.
    """
    stream = stream or sys.stdout
    print(_fit(text, stream), file=stream)


def note(text: str) -> None:
    """Print one line below the progress."""
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    say(text, sys.stderr)


def _fit(text: str, stream: TextIO) -> str:
    encoding = stream.encoding or "utf-8"
    return printable(text).encode(encoding, "backslashreplace").decode(encoding)


class Log(logging.Formatter):
    """Log lines as `note` would print them."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        return _fit(super().formatMessage(record), sys.stderr)


class Parser(argparse.ArgumentParser):
    """Complains about arguments, such as the names of files, as `note` would."""

    def error(self, message: str) -> NoReturn:
        super().error(_fit(message, sys.stderr))


def report_stream(*, picture_on_output: bool) -> TextIO:
    """Return where a report goes: standard output, unless a picture goes there."""
    return sys.stderr if picture_on_output else sys.stdout
