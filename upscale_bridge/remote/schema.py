"""How the journal's file came to its columns; `Task` has a field for each of them.

A new field of `Task` needs a migration at the end of the list. Released ones never change.
"""

from __future__ import annotations

from ..database import Migration

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
)
