"""The image that a submit carries, and the states of a task, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Source:
    """The image as a submit carries it."""

    kind: Literal["base64", "data_uri", "url"]
    text: str = field(repr=False)


@dataclass(frozen=True)
class Output:
    """One result of a task: where it lies, or the file itself."""

    url: str = field(default="", repr=False)
    """The address, perhaps signed and short-lived; to be used byte for byte."""
    data: bytes = field(default=b"", repr=False)
    flagged: bool = False
    """The service's detector calls it not safe for work."""


@dataclass(frozen=True)
class Queued:
    """The service has accepted the task and not begun."""


@dataclass(frozen=True)
class Running:
    """The service works on the task."""

    fraction: float | None = None
    """How much is done, 0..1, where the service tells it."""


@dataclass(frozen=True)
class Done:
    """The task has succeeded."""

    outputs: tuple[Output, ...]
    ticket: str = ""
    """The task's id where a submit's answer holds the result already and names one."""


@dataclass(frozen=True)
class Failed:
    """The task has failed for good."""

    reason: str
    code: str = ""


Status = Queued | Running | Done | Failed


@dataclass(frozen=True)
class Ticket:
    """The service's id of a task that it has accepted."""

    id: str
