"""What the queue stores at each step, who gets which job, and what a dead worker leaves."""

import json
import os
import random
import stat
from dataclasses import replace

import pytest

from tests.server.sockless import TestClock, job
from tests.server.stores import KINDS, Two
from upscale_bridge.server.queue import KeyReusedError, QueueFullError, Selection
from upscale_bridge.server.sqlite_queue import SqliteQueue


@pytest.fixture
def clock():
    return TestClock()


@pytest.fixture(params=KINDS)
def two(request, tmp_path, databases, clock):
    """Makes queues of one database."""
    made = Two(request.param, tmp_path, databases, clock)
    yield made
    made.close()


@pytest.fixture
def queue(two):
    return two.queue()


@pytest.fixture
def other(two):
    """The queue as another process has it."""
    return two.queue()


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


def test_full_queue_refuses_until_one_is_taken(two):
    queue = two.queue(2)
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


def test_oldest_tells_how_long_the_first_has_waited(queue, clock):
    assert queue.oldest() == 0
    queue.submit(job())
    clock.time += 7
    queue.submit(job())
    assert queue.oldest() == 7
    queue.take()
    assert queue.oldest() == 0


def test_page_finds_jobs_by_state_time_and_parameters(queue, clock):
    for number in range(4):
        clock.time += 1
        told = json.dumps({"model": "ab"[number % 2], "it's": "x"})
        queue.submit(job(source=str(number), parameters=told))
    queue.fail(queue.take(), "why")

    def found(state=None, skip=0, **parameters):
        wanted = Selection(("NovitaUpscale",), 0.0, clock.time, parameters, state)
        return "".join(one.source for one in queue.page("anna", wanted, skip, 3))

    assert (found(), found(skip=2), found("failed")) == ("321", "10", "0")
    assert (found(model="b"), found(model="c"), found(**{"it's": "x"}, skip=3)) == ("31", "", "0")


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


# --- what is urgent, what is loaded


def order(queue, clock, loaded=()):
    """Take all jobs, a second apart; return their sources."""
    found = []
    while (one := queue.take(loaded)) is not None:
        clock.time += 1
        found.append(one.source)
        queue.finish(one, "x")
    return "".join(found)


def test_what_is_not_urgent_lets_others_go_first_but_not_for_ever(queue, clock):
    for name, customer, urgency in (
        *(("a", "anna", 7), ("b", "anna", 7), ("c", "anna", 3), ("d", "ben", 3), ("e", "ben", 3)),
    ):
        queue.submit(job(customer, source=name, urgency=urgency))
    assert order(queue, clock) == "cdeab"
    queue.submit(job("ben", source="f", urgency=7))
    clock.time += 61
    queue.submit(job("anna", source="g"))
    assert order(queue, clock) == "fg"


def test_worker_goes_on_with_the_models_that_it_has_for_a_while(queue, clock):
    for name in "abcabcabc":
        queue.submit(job({"a": "anna"}.get(name, "ben"), source=name, models=name))
    assert order(queue, clock, ["b"]) == "babbacacc"  # who was never served is not passed over
    for name in "xyxyxyxyxyxyxyxyxyxy":
        queue.submit(job({"x": "cora"}.get(name, "dora"), source=name, models=name))
    served = order(queue, clock, ["x"])
    assert served.count("x") == served.count("y") == 10
    assert served.startswith("xyxxxx")
    assert "xxxxxxxx" not in served, "five seconds are the most"


def test_jobs_that_came_much_later_do_not_go_first(queue, clock):
    queue.submit(job(source="a", models="other"))
    clock.time += 50
    queue.submit(job(source="b", models="m"))
    clock.time += 20
    queue.submit(job(source="c", models="m"))
    assert order(queue, clock, ["m"]) == "bac"


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


def test_all_but_progress_waits_for_the_disk(two, monkeypatch):
    ask, full, less = {
        "embedded": ("PRAGMA synchronous", 2, 1),
        "sqlite": ("PRAGMA synchronous", 2, 2),
        "postgresql": ("SHOW synchronous_commit", "on", "off"),
    }[two.kind]
    queue, seen = two.queue(), []
    change = queue._change

    def look(one, **values):
        seen.append(queue._database.execute(ask).fetchone()[0])
        return change(one, **values)

    monkeypatch.setattr(queue, "_change", look)
    queue.submit(job())
    taken = queue.take()
    assert queue.advance(taken, 0.5)
    assert queue.finish(taken, "b.png")
    assert seen == [less, full]


# --- files


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_files_are_for_their_owner_only(tmp_path):
    queue = SqliteQueue(tmp_path)
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


# --- loads


def loads_of_100(queue, clock, *, routed):
    """Return how many models are loaded for 100 tasks: six keys with a model each, three workers
    that hold two models, a second for a task."""
    for number in range(240):
        name = f"key-{number % 6}"
        queue.submit(job(name, models=name), waiting=0)
    held, loads, served, dice = [[] for _ in range(3)], 0, [], random.Random(1)
    for _ in range(240):
        worker = dice.choice(held)  # whichever is free
        clock.time += 1 / 3
        one = queue.take(worker if routed else ())
        served.append(one.customer)
        loads += one.models not in worker
        worker[:] = [*[name for name in worker if name != one.models], one.models][-2:]
        queue.finish(one, "x")
    shares = [served[:120].count(f"key-{index}") for index in range(6)]
    assert min(shares) >= 14, shares
    assert max(shares) <= 26, shares
    return loads / 2.4


def test_tasks_go_to_workers_that_have_their_models(tmp_path, clock):
    without = loads_of_100(SqliteQueue(tmp_path / "a", 700, clock), clock, routed=False)
    routed = loads_of_100(SqliteQueue(tmp_path / "b", 700, clock), clock, routed=True)
    assert without > 70
    assert routed < 25
