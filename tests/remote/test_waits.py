"""How long tasks are waited for; time passes at once here."""

import pytest
import torch

from tests.fakes import faults
from tests.remote.host import (
    EACH,
    POLLED,
    TASK,
    TASKS,
    UPLOADING,
    check_delivered,
    configure,
    enlarged,
    picture,
    states,
)
from upscale_bridge.errors import QuotaError, TaskTimeoutError

# --- submits that come too early


@pytest.mark.parametrize("command", EACH)
@pytest.mark.parametrize("fault", [faults.retry_after(7), faults.retry_after_date(40)])
def test_too_many_requests_are_waited_for(vendor, command, fault):
    seconds = 7 if fault.name == "retry_after" else 40
    vendor.fake.faults["submit"].append(fault)
    check_delivered(vendor, command)
    assert vendor.clock.waits[0] == pytest.approx(seconds, abs=2)
    assert vendor.submits() == 2


@pytest.mark.parametrize("command", EACH)
def test_too_many_requests_without_a_time(vendor, command):
    vendor.fake.faults["submit"].extend([faults.answer(429)] * 6)
    check_delivered(vendor, command)
    assert vendor.submits() == 7
    assert all(wait >= 0.5 for wait in vendor.clock.waits[:6])


@pytest.mark.parametrize("seconds", [100_000, 9**400])
def test_too_long_a_wait_is_refused(vendor, seconds):
    vendor.fake.faults["submit"].append(faults.retry_after(seconds))
    with pytest.raises(QuotaError, match="Wait a while, or run fewer at once"):
        vendor.run(TASK)
    assert vendor.clock.waits == []
    check_delivered(vendor, TASK)


def test_too_many_requests_for_too_long(vendor):
    configure(task_seconds=100)
    vendor.fake.faults["submit"].extend([faults.retry_after(9)] * 100)
    with pytest.raises(QuotaError, match="Wait a while, or run fewer at once"):
        vendor.run(TASK)
    assert sum(vendor.clock.waits) <= 100
    assert (vendor.fake.tasks, vendor.rows) == ([], [])


@pytest.mark.parametrize("text", ["0", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_no_time_is_still_a_pause(vendor, text):
    vendor.fake.faults["submit"].extend([faults.answer(429, headers={"Retry-After": text})] * 3)
    check_delivered(vendor, TASK)
    assert all(wait >= 0.5 for wait in vendor.clock.waits[:3])


@pytest.mark.parametrize("phase", ["submit", "poll", "ticket"])
@pytest.mark.parametrize(
    "text", ["soon", "-1", "1.5", "", "Wed, 21 Oct 99999999999999999999 07:28:00 GMT"]
)
def test_unreadable_times(vendor, phase, text):
    vendor.fake.faults[phase].append(faults.answer(429, headers={"Retry-After": text}))
    check_delivered(vendor, UPLOADING)


# --- tasks that take long


@pytest.mark.parametrize("command", POLLED)
def test_time_in_the_queue_is_no_running_time(remote, command):
    configure(task_seconds=30)
    slow = remote(states=states(command, queued=60, running=3))
    check_delivered(slow, command)
    assert sum(slow.clock.waits) > 200


@pytest.mark.parametrize("command", TASKS)
@pytest.mark.parametrize("phase", ["queued", "running"])
def test_a_deadline_leaves_the_task_to_the_next_run(remote, command, phase):
    configure(**{"task_seconds" if phase == "running" else "queue_seconds": 10})
    slow = remote(states=states(command, **{phase: 12}))
    with pytest.raises(TaskTimeoutError, match="The task goes on there: run again") as caught:
        slow.run(command)
    (task,) = slow.fake.tasks
    assert caught.value.ticket == task.id
    assert f"tasks resume {task.id}" in str(caught.value)
    assert 10 < sum(slow.clock.waits) < 20
    check_delivered(slow, command)
    assert slow.submits() == 1


@pytest.mark.parametrize("command", TASKS)
def test_a_service_that_never_answers_a_poll(vendor, command):
    configure(queue_seconds=10, task_seconds=10)
    vendor.fake.faults["poll"].extend([faults.answer(503)] * 100)
    with pytest.raises(TaskTimeoutError):
        vendor.run(command)
    vendor.fake.faults["poll"].clear()
    check_delivered(vendor, command)


@pytest.mark.parametrize("word", ["RESTING", "", None, 77, ["odd"]])
@pytest.mark.parametrize("command", POLLED)
def test_unknown_words_are_waited_out(remote, command, word):
    configure(task_seconds=60)
    odd = remote(states=[word] * 8 + states(command))
    check_delivered(odd, command)
    assert odd.fake.count("poll") == 9


def test_an_unknown_word_for_ever(remote):
    configure(task_seconds=60)
    odd = remote(states=["TASK_STATUS_RESTING"])
    with pytest.raises(TaskTimeoutError):
        odd.run(TASK)
    assert 60 < sum(odd.clock.waits) < 80


@pytest.mark.parametrize(("asked", "waited"), [(20, 20), (4000, 60)])
@pytest.mark.parametrize("command", TASKS)
def test_polls_are_put_off_as_asked(vendor, command, asked, waited):
    vendor.fake.faults["poll"].append(faults.retry_after(asked, status=503))
    check_delivered(vendor, command)
    assert max(vendor.clock.waits) == pytest.approx(waited)


def test_looks_at_a_task_become_rarer(remote):
    slow = remote(states=states(TASK, running=20))
    found = slow.run(TASK).images
    assert torch.equal(found, enlarged(TASK, picture()))
    assert slow.clock.waits[0] == 0.25
    assert slow.clock.waits == sorted(slow.clock.waits)
    assert slow.clock.waits[-1] == 5
