"""What every step in the life of a task works with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..contract.files import Sendable
from ..contract.http import Call, Reply
from ..contract.operation import RemoteOperation
from ..contract.wire import TaskWire
from ..errors import BadReplyError, StoppedError, TransportError
from ..network.transport import Transport
from ..storage.settings import Settings
from .clock import Clock, backoff, retry_after
from .journal import Journal
from .progress import Phase, View
from .task import Task

LARGEST_REPLY = RemoteOperation.largest_result * 4 // 3 + (1 << 20)
"""An image in base64, and some JSON around it."""

Delivered = Path | bytes
"""A result: the file that it lies in, or its bytes when it could not be written to one."""

TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
"""What may be asked again without paying again."""

TRIES = 4
_READ_SECONDS = 30.0
_LONGEST_PAUSE = 60.0


@dataclass(frozen=True)
class Request:
    """One image or video to be upscaled remotely."""

    task: Task
    """The journal row that it makes."""
    operation: RemoteOperation
    file: Sendable | None
    """What is sent; None when the user gave an address, or when a task is only resumed."""
    read: Callable[[Delivered], Any] = field(repr=False)
    """Reads a result. Raises `InvalidInputError` when the file is broken, `BadReplyError` when
    it is whole but not what was asked for."""
    resumes: bool = False
    """True when the task of that row is wanted, however old, and no new one in its place."""


@dataclass
class Context:
    """One request, with the means to carry it out."""

    request: Request
    transport: Transport
    journal: Journal
    settings: Settings
    clock: Clock
    stop: threading.Event
    """Set when the user asked to stop."""
    halt: threading.Event
    """Set when nothing more of the batch is to be submitted."""
    view: View
    first_poll: float
    """Seconds before the first look at a new task, and the least between two."""
    cost: float = 0.0
    """US dollars that a submit was said to cost, 0 when nobody asked."""

    @property
    def name(self) -> str:
        """The journal's name of the request."""
        return self.request.task.request

    @property
    def task(self) -> Task:
        """What the journal knows of the request now."""
        return self.journal.get(self.name) or self.request.task

    @property
    def operation(self) -> RemoteOperation:
        return self.request.operation

    @property
    def task_wire(self) -> TaskWire:
        """The wire of a service that has named a task."""
        assert isinstance(self.operation.wire, TaskWire)
        return self.operation.wire

    @property
    def ticket_path(self) -> tuple[str, ...]:
        """Where the answer to a submit names the task; empty where a service names none."""
        wire = self.operation.wire
        return wire.ticket_path if isinstance(wire, TaskWire) else ()

    def check(self) -> None:
        """Raise `StoppedError` when the user asked to stop."""
        if self.stop.is_set():
            raise StoppedError

    def wait(self, seconds: float) -> None:
        """Wait, or raise `StoppedError` as soon as the user asks to stop."""
        if self.clock.wait(self.stop, seconds):
            raise StoppedError

    def show(self, phase: Phase, fraction: float | None = None) -> None:
        """Tell how far the task is."""
        if self.view.phase != phase:
            self.view.phase, self.view.since = phase, self.clock.monotonic()
            self.view.done = self.view.total = 0
        self.view.fraction = fraction

    def send(self, call: Call) -> Reply:
        """Send a call that costs nothing, once."""
        return self.transport.send(
            call,
            stop=self.check,
            limit=LARGEST_REPLY,
            read_seconds=_READ_SECONDS,
            progress=self._show_sent if call.rest else _ignored,
        )

    def _show_sent(self, sent: int, total: int) -> None:
        self.view.done, self.view.total = sent, total

    def send_patiently(self, call: Call) -> Reply:
        """Send a call that costs nothing, again and again while that may help."""
        for attempt in range(TRIES):
            last = attempt + 1 == TRIES
            try:
                reply = self.send(call)
            except (TransportError, BadReplyError):
                if last:
                    raise
                self.wait(backoff(attempt))
                continue
            if last or reply.status not in TRANSIENT:
                return reply
            self.wait(self.pause(reply, attempt))
        raise AssertionError("unreachable")

    def pause(self, reply: Reply, attempt: int) -> float:
        """Return the seconds before the next try: the service's own, else growing ones."""
        asked = retry_after(reply.headers, self.clock.now())
        return backoff(attempt) if asked is None else min(max(asked, 0.5), _LONGEST_PAUSE)


def _ignored(done: int, total: int) -> None:
    """Show nothing of what is sent at once."""
