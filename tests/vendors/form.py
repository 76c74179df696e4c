"""What a vendor's `profile.py` tells the general batteries about each of its operations."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from upscale_bridge.contract.http import Reply
from upscale_bridge.contract.operation import RemoteOperation
from upscale_bridge.contract.tasks import Source


@dataclass(frozen=True)
class Sent:
    """A recorded submit."""

    sample: str
    operation: RemoteOperation
    """What makes it."""
    kind: str
    """How the image travels in it: base64, data_uri or url."""
    more: tuple = ()
    """Fields that ours says besides, with the values that the document calls defaults."""
    less: tuple = ()
    """Fields that ours leaves out."""


@dataclass(frozen=True)
class Words:
    """The raw words of a task's states, as a stand-in of its API tells them."""

    queued: object
    running: object
    done: object


@dataclass(frozen=True, kw_only=True)
class Served:
    """What is asked of our own server, for an operation that it takes."""

    small: Mapping = field(default_factory=dict)
    """Parameters under which it is quickly done with the model that ships."""
    sources: tuple
    """How an image may come: "base64", "data_uri", "url"; the first one can carry any."""
    refusals: Mapping
    """HTTP status and code of a refusal, by what the status would be anywhere else."""
    code: str | None = "code"
    """The field of an error's code at the top of its body; None where the format has none."""
    numeric: bool = True
    """Whether there is a number at "code" or "status_code" in every error."""
    no_code: tuple = ()
    """Statuses of refusals for which the format has no words, so that they are doubts."""
    either: tuple = ()
    """Parameters of which a request tells but some: those of one way out of two."""
    accepted: int = 200
    """HTTP status of the answer to a submit."""
    fractions: bool = False
    """Whether the answer to a poll tells how much is done, in whole per cent."""
    flags: bool = False
    """Whether it tells what is not safe for work."""
    results: int = 3
    """How many results an answer can tell of, as far as it is tried."""
    inline: bool = False
    """Whether it may hold the result itself."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One operation."""

    operation: type[RemoteOperation]
    samples: Path
    """The folder of its recorded exchanges; they are named without their ending."""
    submits: tuple
    """`Sent` ones; the first gets the first of `accepted` from the stand-in."""
    accepted: Mapping
    """What the answers to submits mean: `Ticket` or `Done`."""
    poll: tuple | None = None
    """The recorded look at a task, and its id."""
    states: Mapping = field(default_factory=dict)
    """What the answers to polls mean."""
    errors: Mapping = field(default_factory=dict)
    """What refusals mean: the class, and the status, which may be None."""
    error_words: tuple = ("message",)
    """Where a refusal's sentence stands in its body."""
    words: Words | None = None
    """None where there are no tasks."""
    id_first: bool = False
    """Whether the first half of an accepted submit's answer tells the task's id already."""
    sending: Mapping = field(default_factory=dict)
    """Parameters under which the image itself is sent."""
    long_edge: int | None = None
    """Long edge that the stand-in gives to small images; None when it makes them twice as large."""
    targets: tuple = ()
    """(operation, size of an image, size that is asked for)."""
    limits: tuple = ()
    """(operation, its documented `Limits`)."""
    models: tuple = ()
    """(operation, size of an image, factor, models by which others can do it)."""
    ways: tuple = ()
    """(operation, ways in which the image travels, its address)."""
    served: Served | None = None
    """None where our own server does not take it."""

    @property
    def command(self):
        return self.operation.command

    @cached_property
    def recorded(self):
        """All samples by their names, as they were written down."""
        files = sorted(self.samples.glob("*.json"))
        return {path.stem: json.loads(path.read_text("utf-8")) for path in files}

    def saying(self, message):
        """Return the body of a refusal that says so, and nothing else."""
        body = message
        for name in reversed(self.error_words):
            body = {name: body}
        return body

    def reply(self, name):
        """Return a recorded answer."""
        kept = self.recorded[name]
        return Reply(kept["status"], json.dumps(kept["body"]).encode())

    def source(self, data="iVBORw0K/+=="):
        """Return base64 text as the image of a submit, the first way in which it may come."""
        kind = self.served.sources[0]
        return Source(kind, data if kind == "base64" else f"data:image/png;base64,{data}")
