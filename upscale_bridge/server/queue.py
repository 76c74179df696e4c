"""The queue of jobs: what was accepted, who works on it, what came of it.

A job is stored before its ticket is told, so that accepted means stored. A worker that dies with a
job gives it up; the job is tried once more, and then fails with its reason.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import UpscaleError

JobState = Literal["queued", "running", "done", "failed", "removed"]

USUAL = 3
"""How urgent a job is whose submit says nothing (RFC 9218); 0 comes first, 7 last."""

LIMITS_SECONDS = 86_400.0
"""For how long a submit counts for the limits of its customer."""


class QueueFullError(UpscaleError):
    """No more jobs are accepted for now."""


class KeyReusedError(UpscaleError):
    """An Idempotency-Key came with another request than the first time."""


@dataclass(frozen=True)
class Job:
    """One accepted task."""

    id: str
    """The ticket; nobody can guess it."""
    customer: str
    """Whose key it came with."""
    operation: str
    """Name of the operation's class."""
    parameters: str
    """JSON of what the operation was told."""
    source: str
    """Name of the image's file."""
    lifetime: float
    """Seconds for which the result is kept."""
    width: int = 0
    height: int = 0
    """Size of the image, pixels."""
    key: str = ""
    """The Idempotency-Key, empty without one."""
    digest: str = ""
    """Hash of the request's body."""
    state: JobState = "queued"
    worker: str = ""
    """The process that works on it."""
    tries: int = 0
    fraction: float = 0.0
    """How much is done, 0..1."""
    result: str = ""
    """Name of the result's file."""
    reason: str = ""
    """Why it failed."""
    created: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    """Seconds since 1970, 0 when not yet."""
    base_url: str = ""
    """The server's address as the customer used it."""
    webhook: str = ""
    """Where the customer wants to be told of the end; empty for nowhere."""
    tells: int = 0
    """How often that was tried."""
    next_tell: float = 0.0
    """When to try again; negative when it is over."""
    models: str = ""
    """JSON of which model does the work of which one that was asked for; empty when not known."""
    urgency: int = USUAL
    """0 to 7; what has more than `USUAL` lets others go first."""


@dataclass(frozen=True)
class Selection:
    """Which jobs are wanted."""

    operations: tuple[str, ...]
    """Names of classes."""
    since: float
    until: float
    """When they were stored, seconds since 1970."""
    parameters: Mapping[str, str]
    """What they were told, among others."""
    state: JobState | None = None


@dataclass(frozen=True)
class WorkerFacts:
    """One worker, as all machines see it."""

    machine: str
    device: str
    version: str
    """Of the program."""
    models: tuple[str, ...]
    """Names of those that it has in memory."""
    job: str
    """The ticket of what it works on, empty for nothing."""
    since: float
    """When it started, seconds since 1970."""
    busy: float
    """Seconds of work, those of earlier workers of the device included."""
    done: int
    """How many tasks it has ended, counted alike."""
    loads: int
    """How often it has loaded a model, counted alike."""


class Queue(ABC):
    """What the server and its workers need of a queue; a cluster's engine can stand behind it."""

    most: int
    """How many jobs may wait at the same time."""

    @abstractmethod
    def submit(
        self, job: Job, allowances: Sequence[tuple[float, int]] = (), waiting: int = 0
    ) -> Job:
        """Store a job, or return what `repeated` returns; raises `QueueFullError` as well.

        `allowances` are (seconds, most submits of its customer in that time), `waiting` is how
        many of the customer's jobs may wait (0: as many as of all). They are counted in the
        transaction that stores the job, so that parallel submits do not slip through.
        """

    @abstractmethod
    def repeated(self, job: Job) -> Job | None:
        """Return the earlier job with the same customer and Idempotency-Key, if there is one.

        Raises `KeyReusedError` when that was another request.
        """

    @abstractmethod
    def get(self, job: str) -> Job | None:
        """Return a job by its ticket."""

    @abstractmethod
    def take(self, loaded: Sequence[str] = ()) -> Job | None:
        """Return the next job, which is this process's from now on.

        Customers take turns: the one who was served longest ago comes first. `loaded` are the
        `models` of jobs whose models this process has in memory: such a job may go before others
        of its customer that came within the same minute, and before the turn of another customer
        whose last one is hardly longer ago.
        """

    @abstractmethod
    def advance(self, job: Job, fraction: float) -> bool:
        """Note how much of a job is done; False when the job is not this process's any more."""

    @abstractmethod
    def finish(self, job: Job, result: str) -> bool:
        """Note the result's file; False when the job is not this process's any more."""

    @abstractmethod
    def fail(self, job: Job, reason: str) -> None:
        """Note why a job of this process failed for good."""

    @abstractmethod
    def give_up(self, job: str, reason: str) -> None:
        """Note why a running job failed for good whose worker was ended for its sake."""

    @abstractmethod
    def give_back(self, job: Job) -> None:
        """Let another process begin a job of this one anew; it does not count as a try."""

    @abstractmethod
    def remove(self, job: str) -> None:
        """Forget a job, but for its share of the customer's limits."""

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """Return how many jobs are in each state."""

    @abstractmethod
    def oldest(self) -> float:
        """Return for how many seconds the first of the waiting jobs has waited, 0 without one."""

    def workers(self) -> list[WorkerFacts]:
        """Return the workers that live, where the queue knows them."""
        return []

    @abstractmethod
    def latest(self, customer: str, count: int) -> list[Job]:
        """Return a customer's last jobs, the newest first."""

    @abstractmethod
    def page(self, customer: str, wanted: Selection, skip: int, most: int) -> list[Job]:
        """Return a customer's jobs, the newest first: `most` after the first `skip`."""

    @abstractmethod
    def durations(self, seconds: float) -> list[float]:
        """Return how long each job took that was done in the last `seconds`."""

    @abstractmethod
    def untold(self, each: int) -> list[Job]:
        """Return the ended jobs whose customers are to be told now, at most `each` of a customer.

        What is due longest comes first.
        """

    @abstractmethod
    def claim_tell(self, job: Job) -> bool:
        """Tell whether this process may tell of a job's end now; no other one may, for a while."""

    @abstractmethod
    def note_tell(self, job: Job, *, over: bool, pause: float) -> None:
        """Note a try to tell; the next one is due after `pause` seconds, unless it is over."""

    @abstractmethod
    def time(self) -> float:
        """Return the present in the seconds since 1970 that jobs are stored with."""

    @abstractmethod
    def holds(self, file: str) -> bool:
        """Tell whether a job that is not removed needs a file."""

    @abstractmethod
    def expired(self) -> list[Job]:
        """Return all jobs whose lifetime has ended."""
