"""Tasks are resumed by their id, here or from another machine; that costs nothing."""

import dataclasses
import threading

import pytest
import torch

from tests.fakes import faults
from tests.remote.host import (
    KINDS,
    POLLED,
    SYNC,
    TASK,
    TASKS,
    Watch,
    check_delivered,
    configure,
    enlarged,
    picture,
    states,
    wait_until,
)
from upscale_bridge.errors import (
    AmbiguousSubmitError,
    InvalidInputError,
    SettingsError,
    StoppedError,
    TaskError,
    TaskFailedError,
    TaskLostError,
    UpscaleError,
)
from upscale_bridge.remote.run import ResumeTask
from upscale_bridge.storage.settings import home


def resume(remote, name, **more):
    return remote.host.resume(ResumeTask(task_id=name, **more))


def leave(remote, command):
    """Submit a request and stop waiting for it; return its row."""
    gate = threading.Event()
    remote.fake.faults["poll"].append(faults.stall(gate))
    with pytest.raises(StoppedError):
        remote.run(command, monitor=Watch(lambda: remote.fake.count("poll")))
    gate.set()
    wait_until(lambda: not remote.rows[-1].owner)
    return remote.rows[-1]


@pytest.mark.parametrize("command", TASKS)
@pytest.mark.parametrize("by", ["ticket", "request", "short"])
def test_a_known_task(remote, command, by):
    slow = remote(states=states(command, running=9))
    row = leave(slow, command)
    name = {"ticket": row.ticket, "request": row.request, "short": row.request[:12]}[by]
    result = resume(slow, f" {name}\n")
    assert torch.equal(result.images, enlarged(command, picture()))
    assert result.info["tasks"][0]["how"] == "resumed"
    assert result.info["input_size"] == (24, 16)
    before = len(slow.fake.requests)
    assert torch.equal(resume(slow, name).images, result.images)
    assert len(slow.fake.requests) == before
    check_delivered(slow, command)


@pytest.mark.parametrize("command", POLLED)
def test_a_task_of_another_machine(vendor, command, monkeypatch, tmp_path):
    check_delivered(vendor, command)
    ticket = vendor.fake.tasks[0].id
    monkeypatch.setenv("UPSCALE_BRIDGE_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(InvalidInputError, match="which operation made it"):
        resume(vendor, ticket)
    for _ in range(2):
        result = resume(vendor, ticket, made_by=KINDS[command].__name__)
        assert torch.equal(result.images, enlarged(command, picture()))
    assert len(vendor.fake.tasks) == vendor.fake.count("submit") == 1
    assert vendor.fake.count("download") == 2


@pytest.mark.parametrize("command", POLLED)
def test_an_id_that_the_service_does_not_know(vendor, command):
    with pytest.raises(TaskLostError, match="does not know task no-such-id"):
        resume(vendor, "no-such-id", made_by=KINDS[command].__name__)
    assert vendor.fake.tasks == []


@pytest.mark.parametrize(
    ("name", "maker"),
    [
        *((name, {}) for name in ("", "   ", "%", "*", "0", "not/an?id")),
        *((" ", {"made_by": KINDS[command].__name__}) for command in TASKS),
    ],
)
def test_no_id(vendor, name, maker):
    vendor.run(SYNC)
    before = len(vendor.fake.requests)
    with pytest.raises(InvalidInputError):
        resume(vendor, name, **maker)
    assert len(vendor.fake.requests) == before


def test_a_failed_task(vendor):
    vendor.fake.faults["submit"].append(faults.failed("No luck."))
    with pytest.raises(TaskFailedError):
        vendor.run(TASK)
    before = len(vendor.fake.requests)
    with pytest.raises(TaskFailedError, match="No luck") as caught:
        resume(vendor, vendor.fake.tasks[0].id)
    assert caught.value.ticket == vendor.fake.tasks[0].id
    assert len(vendor.fake.requests) == before


def test_a_task_in_doubt(vendor):
    vendor.fake.faults["submit"].append(faults.drop_answer())
    with pytest.raises(AmbiguousSubmitError) as first:
        vendor.run(TASK)
    with pytest.raises(AmbiguousSubmitError) as second:
        resume(vendor, vendor.rows[0].request[:12])
    assert str(first.value) == str(second.value)


def test_a_wrong_id_for_a_task_in_doubt_can_be_given_up(vendor):
    vendor.fake.faults["submit"].append(faults.drop_answer(accept=False))
    with pytest.raises(AmbiguousSubmitError):
        vendor.run(TASK)
    name = vendor.rows[0].request[:12]
    vendor.host.client.attach(name, "no-such-id")
    with pytest.raises(TaskLostError, match=f"tasks forget {name}"):
        vendor.run(TASK)
    vendor.host.client.journal.forget(vendor.rows[0].request)
    check_delivered(vendor, TASK)


@pytest.mark.parametrize("when", ["done", "running", "unknown"])
def test_an_id_for_a_task_that_needs_none(remote, when):
    slow = remote(states=states(TASK, running=9))
    name = "0123456789ab"
    if when == "running":
        name = leave(slow, TASK).request[:12]
    elif when == "done":
        slow.run(TASK)
        name = slow.rows[0].request[:12]
    before = slow.rows
    with pytest.raises(InvalidInputError):
        slow.host.client.attach(name, "another")
    assert slow.rows == before


def test_without_tasks_there_are_no_ids_to_attach(vendor):
    vendor.fake.faults["submit"].append(faults.drop_answer())
    with pytest.raises(AmbiguousSubmitError):
        vendor.run(SYNC)
    with pytest.raises(UpscaleError):
        vendor.host.client.attach(vendor.rows[0].request, "invented")
        resume(vendor, vendor.rows[0].request)
    with pytest.raises(AmbiguousSubmitError):
        vendor.run(SYNC)
    assert len(vendor.fake.tasks) == 1


def test_a_task_at_another_host(remote):
    first = remote(states=states(TASK, running=9))
    row = leave(first, TASK)
    remote()  # from here on the settings lead to this one
    with pytest.raises(SettingsError, match=KINDS[TASK].vendor.url_variable) as caught:
        resume(first, row.ticket)
    assert first.fake.base_url in str(caught.value)


def test_a_result_that_is_older_than_results_are_kept(vendor):
    configure(result_days=2)
    check_delivered(vendor, TASK)
    ticket = vendor.fake.tasks[0].id
    vendor.clock.ahead += 3 * 86400
    kept = list((home() / "results").iterdir())
    result = resume(vendor, ticket)
    assert torch.equal(result.images, enlarged(TASK, picture()))
    assert list((home() / "results").iterdir()) == kept
    assert len(vendor.fake.tasks) == 1


def test_two_tasks_whose_names_begin_alike(vendor):
    vendor.run(TASK)
    journal, row = vendor.host.client.journal, vendor.rows[0]
    journal.attach(dataclasses.replace(row, request=row.request[:20] + "0" * 12, ticket="other"))
    with pytest.raises(InvalidInputError, match="give more of the id"):
        resume(vendor, row.request[:12])
    assert torch.equal(resume(vendor, row.request).images, enlarged(TASK, picture()))


def test_transparency_stays_with_its_image(vendor):
    image = picture(channels=4)
    vendor.run(TASK, image)
    assert resume(vendor, vendor.fake.tasks[0].id).images.shape[-1] == 3


@pytest.mark.parametrize("state", ["preparing", "submitting"])
def test_task_whose_program_died_while_it_submitted(remote, state):
    """It is resumed by name, without its image: nothing can be submitted, whatever the host."""
    vendor = remote(idempotent=True)
    vendor.run(TASK)
    journal, row = vendor.host.client.journal, vendor.rows[0]
    for path in (home() / "results").iterdir():
        path.unlink()
    journal.attach(dataclasses.replace(row, state=state, ticket="", owner="dead", result=""))
    error = {"preparing": TaskError, "submitting": AmbiguousSubmitError}[state]
    words = {"preparing": "never submitted", "submitting": "ended while it submitted"}[state]
    with pytest.raises(error, match=words):
        resume(vendor, row.request)
    assert vendor.submits() == 1
