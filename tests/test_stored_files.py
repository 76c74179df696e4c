"""Files of every version that was ever released open today, with all rows; `tests/stored.py`."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import MISSING, asdict, fields
from pathlib import Path

import pytest

from tests.stored import DATA, FILES, fill_journal, fill_queue, recorded
from upscale_bridge.remote import task
from upscale_bridge.remote.journal import Journal, Task
from upscale_bridge.server import job_table
from upscale_bridge.server.queue import Job
from upscale_bridge.server.sqlite_queue import SqliteQueue

ROWS = {"journal": Task, "queue": Job}
MIGRATIONS = {"journal": task.MIGRATIONS, "queue": job_table.MIGRATIONS}
OPEN = {"journal": Journal, "queue": SqliteQueue}
FILL = {"journal": fill_journal, "queue": fill_queue}
KINDS = {"str": "TEXT", "TaskState": "TEXT", "JobState": "TEXT", "int": "INTEGER", "float": "REAL"}
STORED = sorted(DATA.glob("journal/v*.sqlite3")) + sorted(DATA.glob("queue/v*.sqlite3"))
ADVICE = (
    "A stored file has no such column. Append a Migration to MIGRATIONS in {place}: one statement "
    "ALTER TABLE {table} ADD COLUMN name TEXT|INTEGER|REAL NOT NULL DEFAULT (the field's default). "
    "Never change a migration that was released; run `python -m tests.stored` for a new one."
)


def columns(path, table):
    """Return {name: (type, default)} of a table; every column must be NOT NULL."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(f"PRAGMA table_info({table})").fetchall()
    assert all(not_null for _, _, _, not_null, _, _ in found)
    return {name: (kind, default) for _, name, kind, _, default, _ in found}


def opened(kind, folder):
    """Open a file as the program does, and return all its rows."""
    table = FILES[kind][1]
    database = OPEN[kind](folder)._database
    with database.transaction():
        return database.rows(f"SELECT * FROM {table} ORDER BY rowid")


def test_there_is_a_stored_file_of_the_first_version_of_each():
    assert {path.parent.name for path in STORED if path.stem == "v1"} == {"journal", "queue"}


@pytest.mark.parametrize("stored", STORED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_stored_file_opens_with_every_row_as_it_was(stored, tmp_path):
    kind = stored.parent.name
    shutil.copy(stored, tmp_path / FILES[kind][0])
    defaults = {f.name: f.default for f in fields(ROWS[kind]) if f.default is not MISSING}
    known = {field.name for field in fields(ROWS[kind])}
    expected = [
        {**defaults, **{name: value for name, value in row.items() if name in known}}
        for row in recorded(stored)
    ]
    states = {row["state"] for row in expected}
    assert len(states) == {"journal": 7, "queue": 5}[kind]
    assert [asdict(row) for row in opened(kind, tmp_path)] == expected
    assert [asdict(row) for row in opened(kind, tmp_path)] == expected


@pytest.mark.parametrize("kind", FILES)
def test_every_field_has_a_column_and_every_column_a_field(kind, tmp_path):
    """A new field without a migration would lock every user out of the paid tasks."""
    name, table = FILES[kind]
    opened(kind, tmp_path)
    found = columns(tmp_path / name, table)
    wanted = {field.name: KINDS[str(field.type)] for field in fields(ROWS[kind])}
    advice = ADVICE.format(
        table=table,
        place={"journal": "remote/task.py", "queue": "server/job_table.py"}[kind],
    )
    assert {column: kind for column, (kind, _) in found.items()} == wanted, advice


@pytest.mark.parametrize("kind", FILES)
def test_column_that_was_added_has_the_default_of_its_field(kind, tmp_path):
    name, table = FILES[kind]
    opened(kind, tmp_path)
    defaults = {field.name: field.default for field in fields(ROWS[kind])}
    with closing(sqlite3.connect(":memory:")) as connection:
        for column, (_, default) in columns(tmp_path / name, table).items():
            if default is not None:
                assert connection.execute(f"SELECT {default}").fetchone() == (defaults[column],)


@pytest.mark.parametrize("stored", STORED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_migrations_up_to_a_version_make_what_that_version_made(stored, tmp_path):
    """Whoever changes a released migration changes files that nobody can change any more."""
    kind, version = stored.parent.name, int(stored.stem.removeprefix("v"))
    table = FILES[kind][1]
    made = tmp_path / "made.sqlite3"
    with closing(sqlite3.connect(made)) as connection:
        for migration in MIGRATIONS[kind][:version]:
            connection.execute(migration.sql)
    assert columns(made, table) == columns(shutil.copy(stored, tmp_path), table)


@pytest.mark.parametrize("kind", FILES)
def test_present_version_has_a_stored_file_or_is_not_released(kind, tmp_path):
    """The script that makes stored files still works, and names the present version."""
    FILL[kind](tmp_path)
    with closing(sqlite3.connect(tmp_path / FILES[kind][0])) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    assert version == len(MIGRATIONS[kind])
    assert Path(DATA / kind / "v1.sqlite3").exists()
