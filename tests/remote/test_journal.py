"""What the journal notes at each step, and for whom."""

import os
import stat
import threading
from dataclasses import replace

import pytest

from tests.remote.journals import ONE, TWO, clock, finished, journal, running
from upscale_bridge.errors import SettingsError
from upscale_bridge.remote.journal import FILE, Journal

__all__ = ["clock", "journal"]  # fixtures


@pytest.fixture
def other(tmp_path, clock):
    """A journal of another owner in the same folder."""
    return Journal(tmp_path, clock)


def doubted(journal):
    assert journal.claim(ONE, 7)[1]
    assert journal.begin_submit(ONE.request)
    journal.doubt(ONE.request, "It broke.")


def state(journal, task=ONE):
    return journal.get(task.request).state


# --- the way of a task


def test_new_task_is_ours_to_prepare(journal, clock):
    task, ours = journal.claim(replace(ONE, owner="a", created=5.0), 7)
    assert ours
    assert task.owner not in ("", "a")
    assert len(task.key) >= 32
    assert task == replace(ONE, owner=task.owner, key=task.key, created=clock.time)


def test_task_goes_from_claim_to_result(journal, clock):
    claimed, _ = journal.claim(ONE, 7)
    clock.time += 1
    assert journal.begin_submit(ONE.request)
    assert state(journal) == "submitting"
    clock.time += 2
    journal.accept(ONE.request, "t-1")
    task = journal.get(ONE.request)
    assert (task.state, task.ticket, task.owner) == ("running", "t-1", claimed.owner)
    clock.time += 4
    journal.finish(ONE.request, "a.png", "ab" * 32)
    task = journal.get(ONE.request)
    assert task.seen_finished - task.seen_submitted == 6
    assert task == replace(
        claimed,
        owner="",
        state="done",
        ticket="t-1",
        result="a.png",
        digest="ab" * 32,
        undelivered=1,
        seen_submitted=task.seen_submitted,
        seen_finished=task.seen_finished,
        created=clock.time - 7,
        submitted=clock.time - 6,
        finished=clock.time,
    )


def test_call_that_did_not_arrive_may_be_sent_again(journal):
    journal.claim(ONE, 7)
    assert journal.begin_submit(ONE.request)
    journal.end_submit(ONE.request)
    assert state(journal) == "preparing"
    assert journal.begin_submit(ONE.request)


def test_doubt_ends_a_submit_and_waits_for_the_user(journal, other):
    doubted(journal)
    task, ours = journal.claim(ONE, 7)
    assert not ours
    assert (task.state, task.reason, task.owner) == ("ambiguous", "It broke.", "")
    assert other.claim(ONE, 7) == (task, False)
    assert not journal.begin_submit(ONE.request)


def test_ticket_that_comes_late_ends_the_doubt(journal):
    doubted(journal)
    journal.accept(ONE.request, "t-1")
    task = journal.get(ONE.request)
    assert (task.state, task.ticket, task.reason) == ("running", "t-1", "")


def test_doubtful_task_is_retaken_once(journal, other):
    doubted(journal)
    assert other.retake(ONE.request)
    assert not journal.retake(ONE.request)
    assert not journal.begin_submit(ONE.request)
    assert other.begin_submit(ONE.request)


def test_doubt_outlives_a_second_submit_that_did_not_arrive(journal, other):
    doubted(journal)
    assert journal.retake(ONE.request)
    journal.begin_submit(ONE.request)
    journal.end_submit(ONE.request)
    journal.leave(ONE.request)
    task, ours = other.claim(ONE, 7)
    assert (task.state, task.reason, ours) == ("ambiguous", "It broke.", False)


@pytest.mark.parametrize("expired", [False, True])
def test_failed_task_makes_room_for_a_new_one(journal, clock, expired):
    running(journal)
    journal.fail(ONE.request, "The service says no.", expired=expired)
    task = journal.get(ONE.request)
    assert task.state == ("expired" if expired else "failed")
    assert (task.reason, task.owner) == ("The service says no.", "")
    assert task.finished == clock.time
    task, ours = journal.claim(ONE, 7)
    assert ours
    assert (task.state, task.ticket, task.reason, task.finished) == ("preparing", "", "", 0.0)


def test_task_that_was_not_submitted_is_forgotten(journal):
    journal.claim(ONE, 7)
    journal.leave(ONE.request)
    assert journal.get(ONE.request) is None


@pytest.mark.parametrize("step", ["doubt", "accept", "finish"])
def test_task_that_was_submitted_is_not_forgotten(journal, step):
    journal.claim(ONE, 7)
    journal.begin_submit(ONE.request)
    if step != "doubt":
        journal.accept(ONE.request, "t-1")
    if step != "accept":
        getattr(journal, step)(ONE.request, "x")
    before = journal.get(ONE.request)
    journal.leave(ONE.request)
    assert journal.get(ONE.request) == replace(before, owner="")


def test_submit_that_nobody_brought_to_its_end_is_in_doubt(journal):
    journal.claim(ONE, 7)
    journal.begin_submit(ONE.request)
    journal.leave(ONE.request)
    task, ours = journal.claim(ONE, 7)
    assert (task.state, task.owner, ours) == ("ambiguous", "", False)
    assert task.reason.endswith(".")


def test_waiter_that_leaves_keeps_the_ticket(journal):
    running(journal)
    journal.leave(ONE.request)
    task = journal.get(ONE.request)
    assert (task.state, task.ticket, task.owner) == ("running", "t-1", "")


def test_steps_out_of_order_change_nothing(journal):
    journal.claim(ONE, 7)
    before = journal.get(ONE.request)
    journal.accept(ONE.request, "t-1")
    journal.doubt(ONE.request, "x")
    journal.end_submit(ONE.request)
    assert not journal.retake(ONE.request)
    assert journal.get(ONE.request) == before
    finished(journal, TWO)
    before = journal.get(TWO.request)
    journal.accept(TWO.request, "t-2")
    journal.fail(TWO.request, "x")
    journal.keep_upload(TWO.request, "x")
    assert not journal.begin_submit(TWO.request)
    assert journal.get(TWO.request) == before


def test_steps_of_unknown_tasks_change_nothing(journal):
    assert not journal.begin_submit("none")
    journal.accept("none", "t-1")
    journal.finish("none", "a.png")
    journal.forget("none")
    assert journal.all() == []


# --- two owners


def test_living_owners_task_is_joined_and_not_touched(journal, other):
    mine, _ = journal.claim(ONE, 7)
    assert other.claim(ONE, 7) == (mine, False)
    assert not other.begin_submit(ONE.request)
    other.leave(ONE.request)
    other.keep_upload(ONE.request, "https://a.example")
    assert journal.get(ONE.request) == mine
    assert journal.begin_submit(ONE.request)
    other.end_submit(ONE.request)
    other.doubt(ONE.request, "x")
    assert other.claim(ONE, 7)[0].state == state(journal) == "submitting"
    journal.accept(ONE.request, "t-1")
    other.leave(ONE.request)
    assert other.claim(ONE, 7) == (journal.get(ONE.request), False)


def test_whoever_waited_may_note_the_end(journal, other):
    running(journal)
    other.finish(ONE.request, "a.png")
    assert state(journal) == "done"


def test_each_row_has_a_key_of_its_own(journal):
    running(journal)
    before = journal.get(ONE.request).key
    journal.fail(ONE.request, "why")
    assert journal.claim(ONE, 7)[0].key not in ("", before)
    assert journal.claim(TWO, 7)[0].key not in ("", before)


def test_threads_that_claim_at_once_get_one_task_each(tmp_path):
    """Two programs that start together in a fresh folder must not hinder each other."""
    for round in range(25):
        folder = tmp_path / str(round)
        books = (Journal(folder), Journal(folder))
        gate, found = threading.Barrier(8), []

        def claim(book, task, gate=gate, found=found):
            gate.wait()
            try:
                found.append((task.request, book.claim(task, 7)[1]))
            except SettingsError as error:
                found.append(("error", str(error)))

        makers = [(book, task) for task in (ONE, TWO) for book in books * 2]
        threads = [threading.Thread(target=claim, args=maker) for maker in makers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(request for request, ours in found if ours) == [ONE.request, TWO.request]
        assert len(found) == 8


# --- files


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_files_are_for_their_owner_only(journal, tmp_path):
    before = os.umask(0)
    try:
        finished(journal)
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert {name: mode for name, mode in modes.items() if name.startswith(FILE)} == {
        FILE: 0o600,
        f"{FILE}-wal": 0o600,
        f"{FILE}-shm": 0o600,
    }
    assert (modes["results"], modes["owners"]) == (0o700, 0o700)


def test_damaged_file_is_a_clear_error(journal, tmp_path):
    (tmp_path / FILE).write_bytes(b"This is no database. " * 300)
    for _ in range(2):
        with pytest.raises(
            SettingsError,
            match=r"journal\.sqlite3 cannot be used: the file is damaged",
        ):
            journal.claim(ONE, 7)


def test_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="Cannot create the folder"):
        Journal(tmp_path / "file" / "home").claim(ONE, 7)
