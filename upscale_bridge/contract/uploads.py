"""How a service takes files before a submit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from .files import Sendable
from .http import Call, Reply


@dataclass(frozen=True)
class Upload:
    """Where to put a file, and the address under which the service finds it."""

    call: Call
    url: str


class Uploads(ABC):
    """How a service takes files before the submit; nothing of it is billed."""

    @abstractmethod
    def ask(self, file: Sendable) -> Call:
        """Return the call that asks for a place."""

    @abstractmethod
    def read_place(self, reply: Reply, file: Sendable) -> Upload:
        """Return the place."""

    @abstractmethod
    def post(self, file: Sendable) -> Call:
        """Return the older call that sends the file at once."""

    @abstractmethod
    def read_posted(self, reply: Reply) -> str:
        """Return the address of a posted file."""
