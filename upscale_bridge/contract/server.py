"""The server's half of a service's wire format; a vendor that only clients use has none.

A call becomes a request, as plain data; the server does what it asks for and has the answer
written. Nothing here knows how tasks are stored or done.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from .http import Call, Json, Reply
from .operation import RemoteOperation
from .tasks import Output, Source, Status


@dataclass(frozen=True)
class Submit:
    """A task is to be done."""

    operation: RemoteOperation
    source: Source
    webhook: str = ""
    """The address that wants to be told of the end; empty for none."""
    wait_seconds: float = 0.0
    """How long the sender wants to wait for the end in the submit itself; 0: not at all."""


@dataclass(frozen=True)
class Poll:
    """The status of a task is asked for."""

    ticket: str


@dataclass(frozen=True)
class Delete:
    """Tasks that have ended are to be forgotten."""

    tickets: tuple[str, ...]
    reply: Reply


@dataclass(frozen=True)
class AskUpload:
    """A place for a file is asked for."""

    mime: str
    size: int
    """Bytes; 0 when they are not told."""
    write: Callable[[str, str], Reply]
    """Makes the answer of the address for the PUT and that of the file."""


@dataclass(frozen=True)
class PostUpload:
    """A file is handed in."""

    data: bytes
    write: Callable[[str, str], Reply]
    """Makes the answer of the file's name and address."""


@dataclass(frozen=True)
class ListTasks:
    """The tasks of a key are asked for, the newest first."""

    page: int
    """From 1."""
    size: int
    """Tasks a page, 1 to 100."""
    since: float
    until: float
    """Seconds since 1970."""
    write: Callable[[list[tuple[ServedTask, Status]]], Reply]
    """Makes the answer of the page's tasks."""
    parameters: Json = field(default_factory=dict)
    """What the operation must have been told."""
    status: type[Status] | None = None
    """Which tasks; None: all."""
    operations: tuple[type[RemoteOperation], ...] = ()
    """Of which operations; none: all of the API."""


@dataclass(frozen=True)
class Answered:
    """The wire knows the answer itself."""

    reply: Reply


@dataclass(frozen=True)
class AskWebhookSecret:
    """The secret is asked for by which webhooks are signed."""

    write: Callable[[str], Reply]


Request = Submit | Poll | Delete | ListTasks | AskUpload | PostUpload | AskWebhookSecret | Answered


@dataclass(frozen=True)
class ServedTask:
    """A task of this server, as its answers tell of it."""

    ticket: str
    parameters: Json
    """What the operation was told."""
    base_url: str
    """The server's own, for addresses in the answer."""
    created: float = 0.0
    """Seconds since 1970, 0 when nobody knows."""
    image: str = ""
    """Address of the image; empty when it is not here any more."""
    model: str = ""
    """The vendor's name of the model, where it has a name of its own."""
    note: str = ""
    """Said to the client where the format has a place for it."""


class ServerWire(ABC):
    """One API."""

    roots: ClassVar[tuple[str, ...]]
    """How its addresses begin, as whole parts: "/v2/jobs" has "/v2/jobs/7", not "/v2/jobs7". The
    longest root that fits an address has it."""
    operations: ClassVar[tuple[type[RemoteOperation], ...]]
    """What it takes."""
    lifetime: ClassVar[float]
    """Seconds for which a result is kept."""
    upload_ends: ClassVar[tuple[str, ...]] = ()
    """How the addresses end that take a file which is not JSON."""
    small_ends: ClassVar[tuple[str, ...]] = ()
    """How the addresses of POSTs end that carry no image."""

    @abstractmethod
    def read(self, call: Call) -> Request | None:
        """Return what a call asks for, None for an address that the API does not have.

        Raises `InvalidInputError`. Numbers may come as texts.
        """

    @abstractmethod
    def write_error(self, status: int, message: str) -> Reply:
        """Return a refusal in the vendor's envelope, given what its HTTP status would be."""


class SyncServerWire(ServerWire):
    """One API that answers a submit with the result."""

    @abstractmethod
    def write_result(self, output: Output) -> Reply:
        """Return the answer to a submit that is done."""


class TaskServerWire(ServerWire):
    """One API that answers a submit with a ticket."""

    @abstractmethod
    def write_submit(self, task: ServedTask) -> Reply:
        """Return the answer to a submit that was accepted."""

    @abstractmethod
    def write_status(self, task: ServedTask, status: Status) -> Reply:
        """Return the answer to a poll, or to a submit that was waited for."""

    def write_late(self, task: ServedTask) -> Reply:
        """Return the answer to a submit whose sender has waited long enough; the task goes on."""
        return self.write_submit(task)

    def write_event(self, task: ServedTask, status: Status) -> Json:
        """Return what is sent to a webhook when a task has ended."""
        return self.write_status(task, status).json()

    def sends_data(self, parameters: Json) -> bool:
        """Tell whether an answer holds the result itself, not its address."""
        return False
