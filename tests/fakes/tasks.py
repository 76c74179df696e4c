"""What the stand-in has accepted, and how a task's state goes on."""

import time
import uuid
from dataclasses import dataclass, field

from tests.fakes import pictures, videos


@dataclass(frozen=True)
class Submitted:
    """The image or video of a submit."""

    data: bytes
    size: tuple
    source: str
    url: str = ""


@dataclass
class Task:
    """One task that was created, hence billed."""

    operation: str
    """The path that it was submitted to."""
    body: dict
    """The parsed JSON without the image."""
    headers: dict
    """The submit's headers; names in lower case."""
    size: tuple = (0, 0)
    """Width and height of the image, (0, 0) if there was none to be read."""
    source: str = "base64"
    """How the image came: "base64", "data_uri", "upload" or "url"."""
    url: str = ""
    """The image's address where it came as one."""
    idempotency_key: str | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    image: bytes = field(default=b"", repr=False)
    target: tuple = (0, 0)
    format: str = "png"
    crop: bool = False
    failure: tuple | None = None
    """Reason and the vendor's number, once it has failed."""
    alter: object = None
    """How a fault spoils the result."""
    created: float = field(default_factory=time.monotonic)
    polls: int = 0
    phase: str = "queued"
    """Of the last look at it, where raw words tell it."""

    def picture(self, alter=None):
        """Return the result's bytes and type."""
        if self.format == "mp4":
            data = videos.enlarged(self.image)
        else:
            data = pictures.enlarge(self.image, self.target, self.format, self.crop)
        alter = alter or self.alter
        return alter(self, data) if alter else (data, pictures.MIME[self.format])


@dataclass(frozen=True)
class Moment:
    """A task's state as one poll tells it."""

    word: str
    phase: str
    """"queued", "running", "done" or "failed"."""
    percent: int = 0


class Clock:
    """Says where a task stands: by the time gone by, or one of `states` per poll."""

    def __init__(self, seconds, queued_seconds, states):
        self.seconds, self.queued, self.states = seconds, queued_seconds, states

    @property
    def total(self):
        """How many seconds a task takes."""
        return 0 if self.states else self.queued + self.seconds

    def unfinished(self, task):
        """Tell whether the service still works on it."""
        if task.failure:
            return False
        if self.states:
            return task.phase not in ("done", "failed")
        return time.monotonic() < task.created + self.total

    def now(self, task, words, override=None):
        """Return the task's `Moment`; `words` are the API's spellings of each phase, best first."""
        if override is not None:
            return Moment(override, phase_of(override, words))
        if task.failure:
            return Moment(words["failed"][0], "failed")
        if self.states:
            word = self.states[min(task.polls, len(self.states) - 1)]
            task.polls += 1
            task.phase = phase_of(word, words)
            return Moment(word, task.phase)
        return self._by_time(task, words)

    def _by_time(self, task, words):
        gone = time.monotonic() - task.created
        if gone < self.queued:
            return Moment(words["queued"][0], "queued")
        if gone < self.total:
            percent = int(100 * (gone - self.queued) / self.seconds)
            return Moment(words["running"][0], "running", percent)
        return Moment(words["done"][0], "done", 100)


def phase_of(word, words):
    """Return what a raw status word means, in any case; any odd word counts as running."""
    for phase, spellings in words.items():
        if str(word).lower() in {str(known).lower() for known in spellings}:
            return phase
    return "running"
