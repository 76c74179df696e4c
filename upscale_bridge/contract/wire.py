"""The client's half of a service's wire format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from .http import Call, Reply
from .tasks import Done, Source, Status, Ticket


class Wire(ABC):
    """A service whose answer to a submit is all that there ever is."""

    @abstractmethod
    def submit(self, operation: Any, source: Source) -> Call:
        """Return the paid call."""

    @abstractmethod
    def read_submit(self, reply: Reply) -> Ticket | Done:
        """Return what was accepted.

        What cannot be read of a result does not matter when there is an id. Raises
        `BadReplyError` when it is unknown what the service did, another `ProviderError` when it
        certainly accepted nothing.
        """


class TaskWire(Wire):
    """A service that names a task, which is asked about until it has ended."""

    ticket_path: ClassVar[tuple[str, ...]]
    """The names that lead to the task's id in the answer to a submit."""

    @abstractmethod
    def poll(self, ticket: str) -> Call:
        """Return the call that asks for a task's status."""

    @abstractmethod
    def read_poll(self, reply: Reply) -> Status:
        """Return the status; raises a `ProviderError`, of status 404 for an unknown task.

        Status words that nobody documents are `Running`.
        """

    def drop(self, ticket: str) -> Call | None:
        """Return the call by which the service forgets a task whose result is kept here; None where
        it keeps results for as long as it likes."""
        return None
