"""A server whose calendar jumps keeps what it accepted, and serves everyone in turn."""

import pytest

from tests.server.sockless import TestClock, job
from upscale_bridge.server import worker
from upscale_bridge.server.files import FolderFiles
from upscale_bridge.server.queue import QueueFullError
from upscale_bridge.server.sqlite_queue import SqliteQueue

DAY = 86_400.0
JUMPS = pytest.mark.parametrize("days", [40, -40, -20_000])


class Calendar(TestClock):
    """Time passes by `pass_`; `now` may be set to anything."""

    lived = 5000.0

    def monotonic(self):
        return self.lived

    def pass_(self, seconds):
        self.lived += seconds
        self.time += seconds


@pytest.fixture
def clock():
    return Calendar()


@pytest.fixture
def queue(tmp_path, clock):
    return SqliteQueue(tmp_path, clock=clock)


@pytest.fixture
def files(tmp_path, clock):
    return FolderFiles(tmp_path / "files", 1 << 20, clock)


def store(files):
    name = files.new_name("image/png")
    files.take(name, b"x", "anna")
    return name


@JUMPS
def test_nothing_that_was_accepted_is_removed_for_it(queue, files, clock, days):
    done, waiting = store(files), store(files)
    one = queue.submit(job(source=done, lifetime=3600.0))
    queue.finish(queue.take(), store(files))
    two = queue.submit(job(source=waiting))
    clock.time += days * DAY
    worker.sweep(queue, files)
    assert queue.get(one.id)
    assert queue.get(two.id)
    assert files.read(done)
    assert files.read(waiting)


@JUMPS
def test_a_new_process_believes_it_for_a_few_hours_only(queue, files, tmp_path, clock, days):
    name = store(files)
    one = queue.submit(job(source=name, lifetime=7 * DAY))
    queue.finish(queue.take(), store(files))
    clock.time += days * DAY
    worker.sweep(
        SqliteQueue(tmp_path, clock=clock), FolderFiles(tmp_path / "files", 1 << 20, clock)
    )
    assert SqliteQueue(tmp_path, clock=clock).get(one.id)
    assert files.read(name)


@JUMPS
def test_what_is_old_goes_all_the_same(queue, files, clock, days):
    name = store(files)
    one = queue.submit(job(source=name, lifetime=3600.0))
    queue.finish(queue.take(), store(files))
    clock.time += days * DAY
    clock.pass_(3700)
    worker.sweep(queue, files)
    assert queue.get(one.id) is None
    assert files.read(name) is None


@JUMPS
def test_limits_are_those_of_the_time_that_passed(queue, clock, days):
    queue.submit(job(), ((60.0, 1),))
    clock.time += days * DAY
    with pytest.raises(QueueFullError):
        queue.submit(job(), ((60.0, 1),))
    clock.pass_(61)
    queue.submit(job(), ((60.0, 1),))


@JUMPS
def test_customers_go_on_to_take_turns(queue, clock, days):
    for customer in ("anna", "ben", "anna", "ben", "anna", "ben"):
        queue.submit(job(customer))
    served = []
    for step in range(6):
        clock.pass_(1)
        if step == 2:
            clock.time += days * DAY
        taken = queue.take()
        served.append(taken.customer)
        queue.finish(taken, "x")
    assert served == ["anna", "ben"] * 3


@JUMPS
def test_webhooks_are_due_when_their_pause_has_passed(queue, clock, days):
    queue.submit(job(webhook="https://anna.example/"))
    queue.fail(queue.take(), "why")
    (due,) = queue.untold(2)
    queue.note_tell(due, over=False, pause=10.0)
    clock.time += days * DAY
    assert queue.untold(2) == []
    clock.pass_(11)
    assert len(queue.untold(2)) == 1
