"""What the queue stores at each step, who gets which job, and what a dead worker leaves."""

import json
import os
import random
import stat
from dataclasses import replace

import pytest

from tests.server.sockless import TestClock, job
from upscale_bridge.server.queue import KeyReusedError, QueueFullError
from upscale_bridge.server.sqlite_queue import SqliteQueue


@pytest.fixture
def clock():
    return TestClock()


@pytest.fixture
def queue(tmp_path, clock):
    return SqliteQueue(tmp_path, 50, clock)


@pytest.fixture
def other(tmp_path, clock):
    """The queue as another process has it."""
    return SqliteQueue(tmp_path, 50, clock)


def state(queue, one):
    return queue.get(one.id).state


# --- the way of a job


def test_job_is_stored_with_a_ticket_of_its_own(queue, other, clock):
    one, two = queue.submit(job()), queue.submit(job())
    assert one == replace(job(), id=one.id, created=clock.time)
    assert len(one.id) >= 22
    assert one.id != two.id
    assert other.get(one.id) == one
    assert queue.get("unknown") is None


def test_job_goes_from_submit_to_result(queue, clock):
    one = queue.submit(job())
    assert not one.finished
    clock.time += 1
    taken = queue.take()
    assert taken == replace(
        one, state="running", worker=taken.worker, tries=1, started=clock.time, fraction=0.0
    )
    assert taken.worker
    queue.advance(taken, 0.25)
    assert queue.get(one.id).fraction == 0.25
    clock.time += 2
    assert queue.finish(taken, "b.png")
    done = queue.get(one.id)
    assert (done.state, done.result, done.fraction, done.finished) == (
        "done",
        "b.png",
        1.0,
        clock.time,
    )
    assert queue.take() is None


def test_failed_job_keeps_its_reason_and_is_not_taken_again(queue, clock):
    one = queue.submit(job())
    queue.fail(queue.take(), "Too dark.")
    found = queue.get(one.id)
    assert (found.state, found.reason, found.finished) == ("failed", "Too dark.", clock.time)
    assert queue.take() is None


def test_job_that_is_given_back_does_not_count_as_a_try(queue, other):
    one = queue.submit(job())
    for _ in range(5):
        taken = queue.take()
        assert taken.tries == 1
        queue.advance(taken, 0.5)
        queue.give_back(taken)
        found = queue.get(one.id)
        assert (found.state, found.worker, found.tries, found.fraction) == ("queued", "", 0, 0.0)
    assert other.take().id == one.id


@pytest.mark.parametrize("step", ["finish", "fail", "give_back", "advance"])
def test_step_by_one_who_does_not_own_the_job_has_no_effect(queue, other, step):
    one = queue.submit(job())
    mine = queue.take()
    more = {"finish": ["x.png"], "fail": ["why"], "advance": [0.7]}.get(step, [])
    assert not getattr(other, step)(mine, *more)
    assert queue.get(one.id) == mine
    assert queue.finish(mine, "a.png")
    done = queue.get(one.id)
    assert not getattr(queue, step)(mine, *more)
    assert queue.get(one.id) == done


def test_removed_job_is_unknown(queue):
    one = queue.submit(job())
    queue.remove(one.id)
    queue.remove(one.id)
    assert queue.get(one.id) is None
    assert queue.take() is None


# --- turns, bounds, counts


def test_customers_take_turns(queue, clock):
    for customer, count in (("anna", 4), ("ben", 2), ("cora", 1)):
        for _ in range(count):
            clock.time += 1
            queue.submit(job(customer))
    served = []
    while (one := queue.take()) is not None:
        clock.time += 1
        served.append(one.customer)
        queue.finish(one, "x")
    assert served == ["anna", "ben", "cora", "anna", "ben", "anna", "anna"]


@pytest.mark.parametrize("seed", range(2))
def test_turns_are_those_of_a_plain_count(queue, clock, seed):
    """Against the same rule, written down without a database."""
    dice = random.Random(seed)
    served, waiting, order = {}, [], []
    for _ in range(100):
        clock.time += dice.choice((0, 0, 1))
        if dice.random() < 0.6:
            if len(waiting) == queue.most:
                continue
            one = queue.submit(job(dice.choice("abcdef")))
            waiting.append((one.created, len(order), one.customer, one.id))
            order.append(one.id)
        elif waiting:
            right = min(waiting, key=lambda found: (served.get(found[2], 0.0), *found[:2]))
            waiting.remove(right)
            served[right[2]] = clock.time
            taken = queue.take()
            assert taken.id == right[3]
            queue.finish(taken, "x")


def test_full_queue_refuses_until_one_is_taken(tmp_path):
    queue = SqliteQueue(tmp_path, 2)
    one = queue.submit(job(key="k", digest="d"))
    queue.submit(job("ben"))
    with pytest.raises(QueueFullError, match="2 jobs are waiting"):
        queue.submit(job("cora"))
    assert queue.submit(job(key="k", digest="d")).id == one.id  # it was accepted before
    queue.take()
    queue.submit(job("cora"))


def test_submits_are_counted_per_customer_and_in_their_time(queue, clock):
    two_a_minute = ((60.0, 2),)
    queue.submit(job(), two_a_minute)
    clock.time += 50
    queue.submit(job(), two_a_minute)
    queue.submit(job("ben"), two_a_minute)
    with pytest.raises(QueueFullError, match="2 images in 60 s"):
        queue.submit(job(), two_a_minute)
    queue.submit(job("ben"), two_a_minute)
    clock.time += 30
    queue.submit(job(), two_a_minute)


def test_removed_jobs_still_count_for_the_limits(queue):
    queue.remove(queue.submit(job()).id)
    with pytest.raises(QueueFullError, match="1 images in 60 s"):
        queue.submit(job(), ((60.0, 1),))


def test_one_customer_has_a_share_of_the_waiting_jobs(queue):
    for _ in range(2):
        queue.submit(job(), waiting=2)
    with pytest.raises(QueueFullError, match="2 jobs of this key"):
        queue.submit(job(), waiting=2)
    queue.submit(job("ben"), waiting=2)
    queue.take()
    queue.submit(job(), waiting=2)


def test_counts_name_every_state(queue):
    assert queue.counts() == {"queued": 0, "running": 0, "done": 0, "failed": 0}
    for _ in range(4):
        queue.submit(job())
    queue.finish(queue.take(), "x")
    queue.fail(queue.take(), "x")
    queue.take()
    assert queue.counts() == {"queued": 1, "running": 1, "done": 1, "failed": 1}


def test_finished_jobs_expire_each_after_its_own_time(queue, clock):
    short, long = queue.submit(job(lifetime=10.0)), queue.submit(job(lifetime=100.0))
    queue.submit(job(lifetime=1.0))
    queue.finish(queue.take(), "x")
    queue.fail(queue.take(), "x")
    clock.time += 9
    assert queue.expired() == []
    clock.time += 2
    assert [one.id for one in queue.expired()] == [short.id]
    clock.time += 1000  # what has not been done does not expire
    assert {one.id for one in queue.expired()} == {short.id, long.id}


# --- Idempotency-Key


@pytest.mark.parametrize("end", ["", "take", "finish", "fail"])
def test_same_key_and_request_is_one_job(queue, other, end):
    one = queue.submit(job(key="k", digest="d"))
    if end:
        taken = queue.take()
    if end in ("finish", "fail"):
        getattr(queue, end)(taken, "x")
    again = other.submit(job(key="k", digest="d", source="other.png"))
    assert again == queue.get(one.id)
    assert again.source == "a.png"


def test_same_key_with_another_request_is_refused(queue):
    queue.submit(job(key="k", digest="d"))
    with pytest.raises(KeyReusedError):
        queue.submit(job(key="k", digest="e"))
    assert queue.counts()["queued"] == 1


def test_keys_belong_to_customers_and_no_key_is_no_key(queue):
    one = queue.submit(job(key="k", digest="d"))
    assert queue.submit(job("ben", key="k", digest="e")).id != one.id
    assert queue.submit(job(digest="d")).id != queue.submit(job(digest="d")).id


# --- files


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_files_are_for_their_owner_only(queue, tmp_path):
    before = os.umask(0)
    try:
        queue.submit(job())
        queue.take()
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert {modes.pop("workers")} == {0o700}
    assert set(modes) >= {"queue.sqlite3", "queue.sqlite3-wal"}
    assert set(modes.values()) == {0o600}


def test_stored_job_holds_plain_data(queue):
    one = queue.submit(job(parameters=json.dumps({"prompt": "\ud800 é"})))
    assert queue.get(one.id).parameters == one.parameters
