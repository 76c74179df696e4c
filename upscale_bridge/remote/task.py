"""A row of the journal, and how its file came to the columns.

A new field of `Task` needs a migration at the end of the list. Released ones never change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..storage.database import Migration

TaskState = Literal["preparing", "submitting", "running", "done", "failed", "ambiguous", "expired"]


@dataclass(frozen=True)
class Task:
    """One row."""

    request: str
    """Hash of provider, base URL, operation, parameters and pixels; the row's name."""
    provider: str
    base_url: str
    operation: str
    """Name of the operation's class."""
    parameters: str
    """JSON of what the service was told, the image left out."""
    width: int = 0
    height: int = 0
    """Size of the image that was sent, pixels."""
    state: TaskState = "preparing"
    key: str = ""
    """The Idempotency-Key of the submit; a new row of the same request has a new one."""
    owner: str = ""
    """The process that claimed it, for as long as it works on it."""
    ticket: str = ""
    """The service's id of the task; of an ambiguous one, perhaps."""
    upload: str = ""
    """Address of an uploaded image, to be used again by a second submit."""
    result: str = ""
    """Name of the file in the result folder."""
    reason: str = ""
    """Why it failed, is or was ambiguous, or has to be fetched once more, one sentence."""
    created: float = 0.0
    submitted: float = 0.0
    finished: float = 0.0
    """Seconds since 1970 by the machine's clock, 0 when not yet; to be shown, not to be trusted."""
    seen_submitted: float = 0.0
    seen_finished: float = 0.0
    """The same as `SeenTime` has it, which decides."""
    undelivered: int = 0
    """1 for a result that nobody got yet."""
    digest: str = ""
    """SHA-256 of the result's file, hexadecimal; empty when it was not noted."""
    account: str = ""
    """Tells the key of the submit from others; see `Secret.account`."""
    absent: int = 0
    """1 for an ambiguous task that the service's own list does not have."""
    cost: float = 0.0
    """US dollars that the submit was said to cost; 0 when nobody asked."""


MIGRATIONS = (
    Migration(
        "the table of tasks",
        "CREATE TABLE tasks ("
        "request TEXT NOT NULL, "
        "provider TEXT NOT NULL, "
        "base_url TEXT NOT NULL, "
        "operation TEXT NOT NULL, "
        "parameters TEXT NOT NULL, "
        "width INTEGER NOT NULL, "
        "height INTEGER NOT NULL, "
        "state TEXT NOT NULL, "
        "key TEXT NOT NULL, "
        "owner TEXT NOT NULL, "
        "ticket TEXT NOT NULL, "
        "upload TEXT NOT NULL, "
        "result TEXT NOT NULL, "
        "reason TEXT NOT NULL, "
        "created REAL NOT NULL, "
        "submitted REAL NOT NULL, "
        "finished REAL NOT NULL, "
        "PRIMARY KEY (request))",
    ),
    Migration(
        "the table of time",
        "CREATE TABLE seen (seen REAL NOT NULL, calendar REAL NOT NULL)",
    ),
    Migration("its only row", "INSERT INTO seen VALUES (1.0, 0.0)"),
    Migration(
        "time of the submit",
        "ALTER TABLE tasks ADD COLUMN seen_submitted REAL NOT NULL DEFAULT 0.0",
    ),
    Migration(
        "time of the result",
        "ALTER TABLE tasks ADD COLUMN seen_finished REAL NOT NULL DEFAULT 0.0",
    ),
    Migration(
        "results that nobody got yet",
        "ALTER TABLE tasks ADD COLUMN undelivered INTEGER NOT NULL DEFAULT 0",
    ),
    Migration(
        "what a result's file must hold",
        "ALTER TABLE tasks ADD COLUMN digest TEXT NOT NULL DEFAULT ''",
    ),
    Migration(
        "which key a submit went with",
        "ALTER TABLE tasks ADD COLUMN account TEXT NOT NULL DEFAULT ''",
    ),
    Migration(
        "tasks that the service does not list",
        "ALTER TABLE tasks ADD COLUMN absent INTEGER NOT NULL DEFAULT 0",
    ),
    Migration(
        "what a submit was said to cost",
        "ALTER TABLE tasks ADD COLUMN cost REAL NOT NULL DEFAULT 0.0",
    ),
)
