"""The table of jobs, as all databases have it."""

from __future__ import annotations

from ..storage.database import Migration

MIGRATIONS = (  # a new field of Job needs one more at the end; released ones never change
    Migration(
        "the table of jobs",
        "CREATE TABLE jobs ("
        "id TEXT NOT NULL, "
        "customer TEXT NOT NULL, "
        "operation TEXT NOT NULL, "
        "parameters TEXT NOT NULL, "
        "source TEXT NOT NULL, "
        "lifetime REAL NOT NULL, "
        "width INTEGER NOT NULL, "
        "height INTEGER NOT NULL, "
        "key TEXT NOT NULL, "
        "digest TEXT NOT NULL, "
        "state TEXT NOT NULL, "
        "worker TEXT NOT NULL, "
        "tries INTEGER NOT NULL, "
        "fraction REAL NOT NULL, "
        "result TEXT NOT NULL, "
        "reason TEXT NOT NULL, "
        "created REAL NOT NULL, "
        "started REAL NOT NULL, "
        "finished REAL NOT NULL, "
        "base_url TEXT NOT NULL, "
        "webhook TEXT NOT NULL, "
        "tells INTEGER NOT NULL, "
        "next_tell REAL NOT NULL, "
        "PRIMARY KEY (id))",
    ),
    Migration(
        "the time that was seen to pass",
        "CREATE TABLE seen (seen REAL NOT NULL, calendar REAL NOT NULL)",
    ),
    Migration(
        "its only row, which begins where the times of the jobs are",
        "INSERT INTO seen VALUES (0.0, 0.0)",
    ),
    Migration("the models of a job", "ALTER TABLE jobs ADD COLUMN models TEXT NOT NULL DEFAULT ''"),
    Migration(
        "how urgent a job is", "ALTER TABLE jobs ADD COLUMN urgency INTEGER NOT NULL DEFAULT 3"
    ),
)

INDEXES = (
    "state, customer, urgency, created",
    "customer, key",
    "customer, created",
    "customer, started",
    "finished",
)
