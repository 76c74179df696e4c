"""How a service lists the tasks of a key, so that a lost answer can be looked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

from .http import Call, Json, Reply

Likeness = Literal["same", "other", "unclear"]


@dataclass(frozen=True)
class PastTask:
    """A task as the list tells of it."""

    ticket: str
    inputs: Json
    """What its submit said."""
    created: float | None = None
    """When, seconds since 1970 by the service's clock; None when it is not told."""


@dataclass(frozen=True)
class HistoryPage:
    """A part of the list."""

    tasks: tuple[PastTask, ...]
    last: bool
    """No page comes after it."""


class History(ABC):
    """The list of one service; nothing of it is billed."""

    @abstractmethod
    def ask(self, operation: Any, since: float, until: float, page: int) -> Call:
        """Return the call for a page, from 1, of the tasks that were made in that time.

        `since` and `until` are seconds since 1970 by the service's clock.
        """

    @abstractmethod
    def read(self, reply: Reply) -> HistoryPage:
        """Return a page; raises a `ProviderError`."""

    @abstractmethod
    def compare(self, operation: Any, paid: Call, task: PastTask) -> Likeness:
        """Tell whether a task was made by this submit, or by one that says the same.

        unclear: the list tells of the image in words that cannot be compared.
        """
