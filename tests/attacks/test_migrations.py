"""Files of other versions, programs killed in the middle of a step, several that open at once."""

import ast
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tests.stored import DATA, FILES, recorded
from upscale_bridge.errors import SettingsError
from upscale_bridge.remote import task
from upscale_bridge.remote.journal import Task
from upscale_bridge.server import job_table
from upscale_bridge.server.queue import Job
from upscale_bridge.storage.database import Database, Migration

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class NewTask(Task):
    note: str = "none"
    weight: float = 2.5


@dataclass(frozen=True)
class NewJob(Job):
    note: str = "none"
    weight: float = 2.5


OLD = {"journal": (Task, task.MIGRATIONS), "queue": (Job, job_table.MIGRATIONS)}
NEW = {"journal": NewTask, "queue": NewJob}


def later(kind):
    """Return the migrations of a later version."""
    table = FILES[kind][1]
    return (
        *OLD[kind][1],
        Migration("a note", f"ALTER TABLE {table} ADD COLUMN note TEXT NOT NULL DEFAULT 'none'"),
        Migration("a weight", f"ALTER TABLE {table} ADD COLUMN weight REAL NOT NULL DEFAULT 2.5"),
    )


def new_database(kind, folder):
    name, table = FILES[kind]
    return Database(Path(folder) / name, table, NEW[kind], later(kind))


def old_database(kind, folder):
    name, table = FILES[kind]
    row, migrations = OLD[kind]
    return Database(Path(folder) / name, table, row, migrations)


def all_rows(database):
    with database.transaction():
        return [asdict(row) for row in database.rows(f"SELECT * FROM {database._table}")]


def stored(kind, folder):
    """Put a file of version 1 into a folder; return its rows as a later version has them."""
    shutil.copy(DATA / kind / "v1.sqlite3", folder / FILES[kind][0])
    row = NEW[kind]
    return [asdict(row(**values)) for values in recorded(DATA / kind / "v1.sqlite3")]


def version(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def run(code, kind, folder):
    """Run code in a program of its own; return how it ended and what it said."""
    return end(start(code, kind, folder))


def start(code, kind, folder):
    head = "from tests.attacks.test_migrations import *\n"
    command = [sys.executable, "-c", head + code, kind, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def end(program):
    said = program.communicate()[0]
    return program.returncode, said


@pytest.fixture(params=list(FILES))
def kind(request):
    return request.param


def test_stored_file_gets_the_new_columns_and_keeps_its_rows(kind, tmp_path):
    expected = stored(kind, tmp_path)
    assert all_rows(new_database(kind, tmp_path)) == expected
    assert version(tmp_path / FILES[kind][0]) == len(later(kind))


def test_older_version_is_kept_beside_the_file(kind, tmp_path):
    stored(kind, tmp_path)
    before = all_rows(old_database(kind, tmp_path))
    all_rows(new_database(kind, tmp_path))
    copies = [path for path in tmp_path.iterdir() if "bak" in path.name]
    assert [path.name for path in copies] == [FILES[kind][0] + ".bak"]
    if os.name == "posix":
        assert stat.S_IMODE(copies[0].stat().st_mode) == 0o600
    shutil.copy(copies[0], tmp_path / "again")
    (tmp_path / "again").rename(tmp_path / FILES[kind][0])
    for side in ("-wal", "-shm"):
        (tmp_path / (FILES[kind][0] + side)).unlink(missing_ok=True)
    assert version(tmp_path / FILES[kind][0]) == len(OLD[kind][1])
    assert all_rows(old_database(kind, tmp_path)) == before


def test_new_file_has_no_copy(kind, tmp_path):
    assert all_rows(new_database(kind, tmp_path)) == []
    assert not [path for path in tmp_path.iterdir() if "bak" in path.name]


def test_row_that_the_newest_wrote_last_is_in_the_copy(tmp_path):
    """What still lies in the side file belongs to the copy as well."""
    stored("journal", tmp_path)
    old = old_database("journal", tmp_path)
    with old.transaction():
        old.insert(Task("late", "novita", "https://a.example", "NovitaUpscale", "{}", ticket="t"))
    all_rows(new_database("journal", tmp_path))
    with closing(sqlite3.connect(tmp_path / "journal.sqlite3.bak")) as connection:
        assert connection.execute("SELECT ticket FROM tasks WHERE request = 'late'").fetchone()


def test_program_that_is_older_and_still_runs_goes_on(kind, tmp_path):
    """It may be waiting for a paid task while the user updates the pack."""
    stored(kind, tmp_path)
    old = old_database(kind, tmp_path)
    before = all_rows(old)
    new = new_database(kind, tmp_path)
    changed = NEW[kind](**{**all_rows(new)[0], "note": "kept"})
    with new.transaction():
        new.insert(changed)
    assert sorted(map(str, all_rows(old))) == sorted(map(str, before))
    key = next(iter(before[1]))
    with old.transaction():
        old.execute(f"UPDATE {FILES[kind][1]} SET reason = 'old' WHERE {key} = ?", before[1][key])
        old.insert(OLD[kind][0](**{**before[2], key: "made by the older"}))
    found = {row[key]: row for row in all_rows(new)}
    assert found[before[0][key]]["note"] == "kept"
    assert found[before[1][key]]["reason"] == "old"
    assert (found["made by the older"]["note"], found["made by the older"]["weight"]) == (
        "none",
        2.5,
    )


@pytest.mark.parametrize("name", ["a b", "50%25", "#1", "größe 猫", "a+b&c=d", "it's", ".."])
def test_any_folder_will_do(tmp_path, name):
    folder = tmp_path / "x" / name
    folder.mkdir(parents=True, exist_ok=True)
    expected = stored("journal", folder)
    assert all_rows(new_database("journal", folder)) == expected
    assert (folder / "journal.sqlite3.bak").exists()


# --- newer files


@pytest.mark.parametrize("in_use", [False, True])
def test_newer_file_is_refused_and_not_a_byte_changes(kind, tmp_path, in_use):
    stored(kind, tmp_path)
    newer = new_database(kind, tmp_path)
    all_rows(newer)
    if not in_use:
        newer._connection.close()
    before = contents(tmp_path)
    for _ in range(2):
        with pytest.raises(SettingsError, match=r"newer Upscale Bridge; update .* nothing is lost"):
            all_rows(old_database(kind, tmp_path))
    after = contents(tmp_path)
    side = FILES[kind][0] + "-wal"
    assert after.pop(side, b"") == before.pop(side, b"")
    for found in (before, after):  # marks of who reads just now
        found.pop(FILES[kind][0] + "-shm", None)
    assert after == before


KILLED_LATER = """
database = new_database(*sys.argv[1:])
with database.transaction():
    database.execute(f"UPDATE {database._table} SET note = 'last word'")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_newer_file_of_a_killed_program_is_refused_and_not_changed(kind, tmp_path):
    """Its version and last rows are in the side file only, which closing would fold in."""
    expected = stored(kind, tmp_path)
    assert run(KILLED_LATER, kind, tmp_path)[0] == -signal.SIGKILL
    before = contents(tmp_path)
    side = FILES[kind][0] + "-wal"
    assert before[side]
    with pytest.raises(SettingsError, match="newer Upscale Bridge"):
        all_rows(old_database(kind, tmp_path))
    after = contents(tmp_path)
    assert after[FILES[kind][0]] == before[FILES[kind][0]]
    assert after[side] == before[side]
    found = all_rows(new_database(kind, tmp_path))
    assert found == [{**row, "note": "last word"} for row in expected]


# --- killed in the middle


KILLED = """
class Killed(Database):
    def _{step}(self, *given):
        if {late}:
            super()._{step}(*given)
        os.kill(os.getpid(), signal.SIGKILL)
made = new_database(*sys.argv[1:])
made.__class__ = Killed
all_rows(made)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize(
    ("kind", "step", "late"),
    [("journal", "migrate", True), ("journal", "copy", False), ("queue", "copy", True)],
)
def test_killed_step_leaves_the_older_version(kind, tmp_path, step, late):
    expected = stored(kind, tmp_path)
    old = all_rows(old_database(kind, tmp_path))
    code = KILLED.format(step=step, late=late)
    assert run(code, kind, tmp_path)[0] == -signal.SIGKILL
    assert all_rows(old_database(kind, tmp_path)) == old
    assert all_rows(new_database(kind, tmp_path)) == expected


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_program_killed_while_it_made_the_file_leaves_a_usable_one(kind, tmp_path):
    code = KILLED.format(step="migrate", late=True)
    assert run(code, kind, tmp_path)[0] == -signal.SIGKILL
    assert all_rows(new_database(kind, tmp_path)) == []


# --- at once


def test_programs_that_open_at_once_migrate_once(kind, tmp_path):
    expected = stored(kind, tmp_path)
    code = "print(all_rows(new_database(*sys.argv[1:])))"
    started = [start(code, kind, tmp_path) for _ in range(3)]
    for code, said in map(end, started):
        assert code == 0
        assert ast.literal_eval(said) == expected
    assert all_rows(new_database(kind, tmp_path)) == expected


def test_threads_that_make_the_file_at_once_make_one(kind, tmp_path):
    for number in range(10):
        folder = tmp_path / str(number)
        gate, found = threading.Barrier(8), []

        def open_it(folder=folder, gate=gate, found=found):
            gate.wait()
            found.append(all_rows(new_database(kind, folder)))

        threads = [threading.Thread(target=open_it) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [[]] * 8
        assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []


# --- steps that fail


def test_step_that_fails_names_itself_and_changes_nothing(kind, tmp_path):
    expected = stored(kind, tmp_path)
    name, table = FILES[kind]
    broken = (*later(kind), Migration("a bad idea", f"ALTER TABLE {table} ADD COLUMN note TEXT"))
    with pytest.raises(SettingsError, match="a bad idea: duplicate column"):
        all_rows(Database(tmp_path / name, table, NEW[kind], broken))
    assert version(tmp_path / name) == 1
    assert all_rows(new_database(kind, tmp_path)) == expected


def test_copy_that_cannot_be_made_stops_the_step(kind, tmp_path):
    expected = stored(kind, tmp_path)
    name = FILES[kind][0]
    (tmp_path / f"{name}.bak").mkdir()
    with pytest.raises(SettingsError, match=r"Cannot write .*\.bak"):
        all_rows(new_database(kind, tmp_path))
    assert version(tmp_path / name) == 1
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    (tmp_path / f"{name}.bak").rmdir()
    assert all_rows(new_database(kind, tmp_path)) == expected
