"""What the journal keeps: results, names, and the tasks of programs that died."""

import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.remote.journals import ONE, TWO, clock, finished, journal, running
from upscale_bridge.errors import InvalidInputError
from upscale_bridge.remote.journal import FILE, Journal

__all__ = ["clock", "journal"]  # fixtures

ROOT = Path(__file__).parents[2]
DAY = 86_400
PROGRAM = """
import sys
from pathlib import Path
from upscale_bridge.remote.journal import Journal, Task

journal = Journal(Path(sys.argv[1]))
task = Task("a1b2c3d4e5", "novita", "https://api.novita.ai", "NovitaUpscale", "{}", 20, 10)
journal.claim(task, 7)
journal.keep_upload(task.request, "https://a.example/1")
if sys.argv[2] != "preparing":
    journal.begin_submit(task.request)
if sys.argv[2] == "retaken":
    journal.doubt(task.request, "It broke.")
    journal.retake(task.request)
if sys.argv[2] == "running":
    journal.accept(task.request, "t-1")
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def program(tmp_path):
    """Start a program that brings `ONE` into a state and waits."""
    started = []

    def start(state):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), state]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def kill(program):
    """End a program as a crash does: without a last word."""
    program.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    program.wait()


def delivered(journal, task=ONE, ticket="t-1"):
    finished(journal, task, ticket, f"{task.request}.png")
    journal.deliver([task.request])


# --- programs that live and die


def test_unsubmitted_task_of_a_dead_program_is_taken_over(journal, program):
    theirs = program("preparing")
    task, ours = journal.claim(ONE, 7)
    assert not ours
    kill(theirs)
    again, ours = journal.claim(ONE, 7)
    assert ours
    assert again.owner != task.owner
    assert again.upload == "https://a.example/1"
    assert journal.begin_submit(ONE.request)


def test_submit_of_a_dead_program_is_in_doubt(journal, program):
    theirs = program("submitting")
    task, ours = journal.claim(ONE, 7)
    assert (task.state, ours) == ("submitting", False)
    kill(theirs)
    for _ in range(2):
        task, ours = journal.claim(ONE, 7)
        assert (task.state, task.owner, ours) == ("ambiguous", "", False)
        assert task.reason.endswith(".")
    assert not journal.begin_submit(ONE.request)


@pytest.mark.parametrize(
    ("left", "found"),
    [("retaken", ("ambiguous", "It broke.", "")), ("running", ("running", "", "t-1"))],
)
def test_doubt_and_ticket_outlive_the_program(journal, program, left, found):
    kill(program(left))
    task, ours = journal.claim(ONE, 7)
    assert (task.state, task.reason, task.ticket) == found
    assert not ours


def test_sweep_leaves_the_living_alone_and_buries_the_dead(journal, program, tmp_path):
    journal.claim(TWO, 7)
    theirs = program("submitting")
    journal.sweep(7)
    assert journal.claim(ONE, 7)[0].state == "submitting"
    kill(theirs)
    journal.sweep(7)
    assert journal.claim(ONE, 7)[0].state == "ambiguous"
    assert journal.claim(TWO, 7)[0].state == "preparing"
    assert [path.name for path in (tmp_path / "owners").iterdir() if path.name.isalnum()] == [
        journal.get(TWO.request).owner
    ]


# --- results


def test_result_is_reused_as_long_as_it_is_kept(journal, clock):
    assert not journal.is_kept(ONE.request, 7)
    delivered(journal)
    assert journal.is_kept(ONE.request, 7)
    task, ours = journal.claim(ONE, 7)
    assert (task.state, task.result, ours) == ("done", "a1b2c3d4e5.png", False)
    clock.time += 7 * DAY
    assert journal.is_kept(ONE.request, 7)
    clock.time += 1
    assert not journal.is_kept(ONE.request, 7)
    assert journal.is_kept(ONE.request, 8)
    task, ours = journal.claim(ONE, 7)
    assert ours
    assert (task.ticket, task.result, task.finished) == ("", "", 0.0)


def test_forgotten_task_leaves_no_file(journal):
    delivered(journal, TWO)
    journal.forget(TWO.request)
    assert (journal.get(TWO.request), list(journal.results.iterdir())) == (None, [])


def test_upload_of_a_task_that_failed_is_not_used_again(journal):
    """Perhaps the service could not reach it any more; a new one cannot fail for ever."""
    journal.claim(ONE, 7)
    journal.keep_upload(ONE.request, "https://a.example/1")
    assert journal.get(ONE.request).upload == "https://a.example/1"
    journal.begin_submit(ONE.request)
    journal.accept(ONE.request, "t-1")
    journal.fail(ONE.request, "why")
    assert journal.claim(ONE, 7)[0].upload == ""


def test_sweep_removes_what_is_old_with_its_file(journal, clock):
    delivered(journal, ONE, "t-1")
    clock.time += 3 * DAY
    delivered(journal, TWO, "t-2")
    running(journal, replace(ONE, request="c"), "t-3")
    clock.time += 5 * DAY
    journal.sweep(7)
    assert {task.request for task in journal.all()} == {TWO.request, "c"}
    assert [path.name for path in journal.results.iterdir()] == ["a1b2c3ffff.png"]


def test_result_that_nobody_got_never_grows_old(journal, clock):
    delivered(journal, ONE, "t-1")
    delivered(journal, TWO, "t-2")
    journal.finish(TWO.request, "a1b2c3ffff.png")
    clock.time += 400 * DAY
    journal.sweep(7)
    assert [task.request for task in journal.all()] == [TWO.request]
    assert [path.name for path in journal.results.iterdir()] == ["a1b2c3ffff.png"]
    assert journal.is_kept(TWO.request, 7)
    assert journal.claim(TWO, 7)[0].state == "done"
    journal.deliver([TWO.request])
    assert not journal.is_kept(TWO.request, 7)


def test_sweep_removes_the_parts_of_dead_programs_only(journal, program, tmp_path):
    """Whatever their age: a clock that is wrong makes a file that is being written look old."""
    mine = journal.new_part(ONE.request)
    theirs = program("submitting")
    other = Journal(tmp_path).get(ONE.request).owner
    names = (mine.name, f"{ONE.request}.{other}.1.part", "x.dead.2.part", "old.part", "x.rejected")
    for name in names:
        (journal.results / name).touch()
        os.utime(journal.results / name, (0, 0))
    journal.sweep(7)
    left = {mine.name, f"{ONE.request}.{other}.1.part", "x.rejected"}
    assert {path.name for path in journal.results.iterdir()} == left
    kill(theirs)
    journal.sweep(7)
    left.remove(f"{ONE.request}.{other}.1.part")
    assert {path.name for path in journal.results.iterdir()} == left


def test_sweep_does_not_remove_a_task_that_began_anew(journal, clock, monkeypatch):
    """Another program may claim, and pay for, a task while this one sweeps."""
    delivered(journal)
    clock.time += 8 * DAY
    seen = journal.all()
    running(journal, ONE, "t-2")
    monkeypatch.setattr(journal, "all", lambda: seen)
    journal.sweep(7)
    assert journal.get(ONE.request).ticket == "t-2"


# --- names and times


def test_tasks_are_found_by_ticket_and_by_the_beginning_of_their_name(journal):
    running(journal, ONE, "t-1")
    running(journal, TWO, "t 2/ü")
    assert journal.find("t-1").request == ONE.request
    assert journal.find("t 2/ü").request == TWO.request
    assert journal.find("a1b2c3d4").request == ONE.request
    assert journal.find(TWO.request).ticket == "t 2/ü"
    names = ("a1b2c", "*", "a1b2c?????", "a1b2c3d4e5f", "t-", "none00")
    assert [journal.find(name) for name in names] == [None] * 6


def test_names_of_several_tasks_are_refused(journal):
    running(journal, ONE, "t-1")
    running(journal, TWO, "t-1")
    for name in ("a1b2c3", "t-1"):
        with pytest.raises(InvalidInputError, match=f"Several tasks are called {name}; give more"):
            journal.find(name)


def test_empty_name_is_no_task(journal):
    """A task that has no ticket yet is not called nothing."""
    journal.claim(ONE, 7)
    assert journal.find("") is None


def test_tasks_are_listed_with_the_newest_first(journal, clock):
    for number in range(3):
        journal.claim(replace(ONE, request=str(number)), 7)
        clock.time += 1
    assert [task.request for task in journal.all()] == ["2", "1", "0"]


def test_attached_task_is_resumed(journal):
    journal.attach(replace(ONE, state="running", ticket="t-9"))
    task, ours = journal.claim(ONE, 7)
    assert (task.ticket, task.state, ours) == ("t-9", "running", False)


def test_typical_time_is_the_median_of_the_last_ones(journal, clock):
    assert journal.typical_seconds("NovitaUpscale") is None
    for number, seconds in enumerate([500, 500, 500, 9, 1, 8, 2, 7, 3, 6, 4, 5]):
        running(journal, replace(ONE, request=str(number)))
        clock.time += seconds
        journal.finish(str(number), f"{number}.png")
    assert journal.typical_seconds("NovitaUpscale") == 5
    assert journal.typical_seconds("PhotioUpscale") is None


def test_typical_time_is_positive_though_the_clock_was_set_back(journal, clock):
    running(journal)
    clock.time -= 3600
    journal.finish(ONE.request, "a.png")
    found = journal.typical_seconds("NovitaUpscale")
    assert found is None or found > 0


# --- the file


def test_journal_is_written_ahead_and_survives_its_reader(journal, tmp_path, clock):
    running(journal)
    with sqlite3.connect(tmp_path / FILE) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    assert Journal(tmp_path, clock).get(ONE.request) == journal.get(ONE.request)
