"""Bodies of requests and answers: large ones lie on the disk, and all together are bounded.

For one event loop; nothing here is thread-safe.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import IO

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from ..storage.settings import make_folder
from .slots import Slots

IN_MEMORY = 1 << 20
PIECE_SECONDS, BODY_SECONDS = 30.0, 300.0
_PIECE = 64 << 10


class TooLargeError(Exception):
    """A body is larger than its sender may send."""


class TooManyError(Exception):
    """More than the server does at the same time, for all or for one customer; says of what."""


class Body:
    """One body, in memory while it is small; leave the `with` to let it go."""

    def __init__(self, folder: Path, slots: Slots, customer: str) -> None:
        """`slots` count bytes."""
        self._folder, self._slots, self._customer = folder, slots, customer
        self._buffer = bytearray()
        self._file: IO[bytes] | None = None
        self.size = 0

    def __enter__(self) -> Body:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._slots.give(self._customer, self.size)
        if self._file is not None:
            self._file.close()

    @property
    def large(self) -> bool:
        """Whether it lies on the disk."""
        return self._file is not None

    async def add(self, data: bytes) -> None:
        """Add a piece; raises `TooManyError`."""
        if not self._slots.take(self._customer, len(data)):
            raise TooManyError("Too many large requests are under way.")
        self.size += len(data)
        self._buffer += data
        if len(self._buffer) > IN_MEMORY:
            await run_in_threadpool(self._flush)

    def read(self) -> bytes:
        """Return all of it; call it in a thread."""
        return bytes(self._buffer) if self._file is None else self.file().read()

    def file(self) -> IO[bytes]:
        """Return a file that begins with all of it; call it in a thread."""
        file = self._flush()
        file.seek(0)
        return file

    def _flush(self) -> IO[bytes]:
        if self._file is None:
            # Its name is gone at once, so that no crash leaves it behind.
            folder = make_folder(self._folder, private=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (`__exit__` closes it)
        self._file.write(self._buffer)
        self._buffer.clear()
        return self._file


async def receive(request: Request, body: Body, most: int) -> None:
    """Read a request's body of at most `most` bytes.

    Raises `TooLargeError`, `TooManyError`, `asyncio.TimeoutError` for one that comes too slowly,
    and starlette's `ClientDisconnect`.
    """
    if int(request.headers.get("content-length") or 0) > most:
        raise TooLargeError
    stream, until = request.stream(), time.monotonic() + BODY_SECONDS
    while True:
        left = max(until - time.monotonic(), 0.0)
        try:
            piece = await asyncio.wait_for(anext(stream), min(PIECE_SECONDS, left))
        except StopAsyncIteration:
            return
        if body.size + len(piece) > most:
            raise TooLargeError
        await body.add(piece)


async def pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    """Yield what is left of a file."""
    while piece := await run_in_threadpool(file.read, _PIECE):
        yield piece
