"""Clocks that are wrong: an empty CMOS battery, a dual boot, a virtual machine that wakes up.

The calendar jumps, the monotonic clock does not. Nothing that was paid for may be lost or paid
again for it.
"""

import logging
import os
import time
from dataclasses import replace

import pytest
import torch

from tests.fakes import faults
from tests.remote.host import FakeClock, enlarged, picture
from upscale_bridge.errors import QuotaError, TaskFailedError, TaskLostError
from upscale_bridge.remote import seen
from upscale_bridge.remote.clock import retry_after
from upscale_bridge.remote.journal import Journal, Task
from upscale_bridge.storage.settings import home

HOUR, DAY = 3600.0, 86_400.0
ONE = Task("a1b2c3d4e5", "novita", "https://api.novita.ai", "NovitaUpscale", "{}", 20, 10)


class WrongClock(FakeClock):
    """A calendar that is `wrong` by so many seconds, over time that passes as it should."""

    def __init__(self, wrong=0.0):
        super().__init__()
        self.wrong = wrong

    def now(self):
        return super().now() + self.wrong


def started(remote, wrong=0.0, passed=0.0):
    """Start another program of the same user; `passed` is how long the machine has been up."""
    clock = WrongClock(wrong)
    clock.ahead += passed
    remote.host = remote.another(clock=clock)
    return clock


def check_free(remote, command="novita"):
    """Run the request again: the result is right, and neither paid nor fetched again."""
    before = len(remote.fake.requests)
    assert torch.equal(remote.run(command).images, enlarged(command, picture()))
    assert len(remote.fake.requests) == before


TO_1970 = pytest.param(60 - time.time(), id="to 1970")
JUMPS = [40 * DAY, 3650 * DAY, -40 * DAY, TO_1970]


@pytest.mark.parametrize("jump", JUMPS)
def test_result_outlives_a_jump_between_two_programs(vendor, jump):
    started(vendor)
    vendor.run("novita")
    started(vendor, jump)
    check_free(vendor)
    vendor.run("novita", picture(1))  # whatever tidies up does it now
    check_free(vendor)
    started(vendor)
    check_free(vendor)
    assert len(vendor.fake.tasks) == 2


@pytest.mark.parametrize("jump", JUMPS)
def test_result_outlives_a_jump_while_the_program_runs(vendor, jump):
    clock = started(vendor)
    vendor.run("novita")
    clock.wrong = jump
    check_free(vendor)
    clock.ahead += 2 * HOUR
    vendor.run("novita", picture(1))
    check_free(vendor)
    clock.wrong = 0.0
    clock.ahead += 2 * HOUR
    vendor.run("novita", picture(2))
    check_free(vendor)


def test_result_outlives_a_clock_that_jumps_at_every_start(vendor):
    started(vendor)
    vendor.run("novita")
    for number in range(10):
        started(vendor, 4000 * DAY * (number % 2))
        vendor.run("novita", picture(1 + number))
    check_free(vendor)


def test_opening_removes_nothing(vendor):
    started(vendor)
    vendor.run("novita")
    files = sorted((home() / "results").iterdir())
    for jump in [*JUMPS[:-1], *TO_1970.values]:
        started(vendor, jump)
        assert [task.state for task in vendor.rows] == ["done"]
    assert sorted((home() / "results").iterdir()) == files


def test_result_that_nobody_got_outlives_everything(vendor):
    """It came back, and the program ended before anybody had it."""
    clock = started(vendor)
    journal = vendor.host.client.journal
    journal.deliver, deliver = lambda requests: None, journal.deliver
    vendor.run("novita")
    clock.ahead += 100 * DAY
    vendor.run("novita", picture(1))
    clock.ahead += 100 * DAY
    vendor.run("novita", picture(2))
    assert len(vendor.rows) == 3
    journal.deliver = deliver
    check_free(vendor)


def test_results_of_a_batch_that_failed_do_not_grow_old(vendor):
    """The user got an error, and was promised that the others are kept."""
    clock = started(vendor)
    vendor.fake.faults["submit"].append(faults.failed())
    with pytest.raises(TaskFailedError, match="The other 2 results are kept"):
        vendor.run("novita", picture(1, 2, 3))
    for number in range(4, 7):
        clock.ahead += 30 * DAY
        vendor.run("novita", picture(number))
    assert torch.equal(
        vendor.run("novita", picture(1, 2, 3)).images, enlarged("novita", picture(1, 2, 3))
    )
    assert len(vendor.fake.tasks) == 3 + 3 + 1


def test_old_results_are_removed_all_the_same(vendor):
    """By time that this machine lived through, in one program or in many."""
    clock = started(vendor)
    vendor.run("novita")
    clock.ahead += 8 * DAY
    vendor.run("novita", picture(1))
    assert len(vendor.rows) == 1
    passed = 0.0
    for number in range(40):
        passed += 5 * HOUR
        started(vendor, passed=8 * DAY + passed)
        vendor.run("novita", picture(2 + number))
    requests = {task.request for task in vendor.rows}
    assert len(requests) < 40
    files = {path.stem for path in (home() / "results").iterdir()}
    assert files == requests


def test_jump_is_said_once(vendor, caplog):
    started(vendor)
    vendor.run("novita")
    for jump, days in ((40 * DAY, "40 days"), (-400 * DAY, "-440 days")):
        caplog.clear()
        started(vendor, jump)
        with caplog.at_level(logging.WARNING, "upscale_bridge.remote"):
            for _ in range(3):
                check_free(vendor)
        assert len(caplog.records) == 1
        assert days in caplog.text
        vendor.run("novita", picture(1000 + int(days.split()[0])))
    caplog.clear()
    started(vendor, -400 * DAY)
    check_free(vendor)
    assert not caplog.records


@pytest.mark.parametrize("jump", JUMPS)
def test_task_that_the_service_does_not_know_is_not_given_up_for_a_jump(vendor, jump):
    """The key or the address may be wrong; an hour has not passed."""
    started(vendor)
    vendor.run("novita")
    journal = vendor.host.client.journal
    row = vendor.rows[0]
    journal.attach(replace(row, state="running", result="", finished=0.0))
    started(vendor, jump)
    vendor.fake.faults["poll"].extend([faults.not_found()] * 3)
    with pytest.raises(TaskLostError, match=r"tasks forget .* gives it up"):
        vendor.run("novita")
    assert vendor.rows[0].state == "running"
    assert torch.equal(vendor.run("novita").images, enlarged("novita", picture()))
    assert len(vendor.fake.tasks) == 1


def test_jumps_do_not_change_how_long_tasks_take(tmp_path):
    clock = WrongClock()
    journal = Journal(tmp_path, clock)
    for number in range(12):
        one = replace(ONE, request=str(number))
        assert journal.claim(one, 7)[1]
        assert journal.begin_submit(one.request)
        journal.accept(one.request, f"t-{number}")
        clock.wrong += 50 * DAY * (-1) ** number
        clock.ahead += 7.0
        journal.finish(one.request, "x.png")
    assert journal.typical_seconds("NovitaUpscale") == pytest.approx(7.0, abs=0.5)


def test_newest_task_is_the_one_made_last(tmp_path):
    clock = WrongClock()
    journal = Journal(tmp_path, clock)
    for number in range(4):
        clock.wrong -= 100 * DAY
        journal.claim(replace(ONE, request=str(number)), 7)
    assert [task.request for task in journal.all()] == ["3", "2", "1", "0"]


def test_file_that_looks_old_is_not_removed_while_it_is_written(vendor):
    started(vendor)
    journal = vendor.host.client.journal
    part = journal.new_part("a" * 32)
    part.write_bytes(b"half")
    os.utime(part, (0, 0))
    vendor.run("novita")
    assert part.exists()


def test_two_programs_do_not_count_the_same_time_twice(tmp_path):
    clocks = [WrongClock(), WrongClock()]
    books = [Journal(tmp_path, clock) for clock in clocks]
    for book in books:
        assert book.claim(replace(ONE, request=str(id(book))), 7)[1]
    for book in books:
        book.begin_submit(str(id(book)))
    for _ in range(10):
        for clock, book in zip(clocks, books, strict=True):
            clock.ahead += HOUR
            book.finish("none", "x")
    for book in books:
        assert book.age(book.get(str(id(book)))) == pytest.approx(10 * HOUR, abs=30)


def test_time_between_two_programs_counts_up_to_a_bound(tmp_path):
    first = Journal(tmp_path, WrongClock())
    first.claim(ONE, 7)
    first.begin_submit(ONE.request)
    first.accept(ONE.request, "t")
    for later, counted in ((HOUR, HOUR), (3 * HOUR, 3 * HOUR), (30 * DAY, seen.LONGEST_GAP)):
        other = Journal(tmp_path, WrongClock(later))
        assert other.age(first.get(ONE.request)) == pytest.approx(counted, abs=30)


DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("date", "now"),
    [
        *((DATE, now) for now in (0.0, 784_111_700.0, 1.9e9)),
        *((none, 784_111_777.0) for none in ("", "yesterday", "Sun, 99 Nov 1994 08:49:37 GMT")),
    ],
)
def test_date_of_a_retry_is_compared_with_the_answers_own_if_it_has_one(date, now):
    headers = {"retry-after": "Sun, 06 Nov 1994 08:50:07 GMT", "date": date}
    assert retry_after(headers, now) == 30.0


@pytest.mark.parametrize("jump", [400 * DAY, -400 * DAY])
def test_paid_call_waits_as_asked_whatever_the_calendar_says(vendor, jump):
    clock = started(vendor, jump)
    vendor.fake.faults["submit"].extend([faults.retry_after_date(20)] * 2)
    vendor.run("novita")
    waits = [seconds for seconds in clock.waits if seconds > 10]
    assert len(waits) == 2
    assert all(18 <= seconds <= 21 for seconds in waits)


def test_paid_call_is_not_repeated_at_once_for_ever(vendor):
    """A date in the past asks for no pause at all."""
    clock = started(vendor)
    vendor.fake.faults["submit"].extend([faults.retry_after_date(-500)] * 200)
    with pytest.raises(QuotaError, match="429"):
        vendor.run("novita")
    assert sum(clock.waits) >= 500
    assert vendor.submits() < 150
