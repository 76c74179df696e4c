"""Every fault of a poll: the task goes on, and nothing is paid again."""

import pytest

from tests.fakes import faults
from tests.remote.host import (
    PASSING,
    POLLED,
    SILENT,
    TASK,
    TASKS,
    UNREADABLE,
    UPLOADING,
    check_delivered,
    rows,
)
from upscale_bridge.errors import AuthError, ProviderError, TaskFailedError, TaskLostError
from upscale_bridge.remote import context


@pytest.fixture(autouse=True)
def modest(monkeypatch):
    """Call a megabyte too much."""
    monkeypatch.setattr(context, "LARGEST_REPLY", 1 << 20)


FEW = (faults.drop_answer(), faults.answer(502), faults.truncated(), faults.html_200())
ODD = (  # what the wire itself has to read
    faults.refused("server"),
    faults.answer(200, {}),
    faults.null_lists(),
    faults.string_numbers(),
    faults.duplicate_keys(),
    faults.duplicate_keys("code", 4),
    faults.unknown_word(),
    faults.unknown_word(None),
    faults.not_found(),
)


@pytest.mark.parametrize(
    ("command", "fault"),
    rows(
        *(((TASK,), fault) for fault in PASSING + SILENT + UNREADABLE),
        *(((UPLOADING,), fault) for fault in FEW),
        *((POLLED, fault) for fault in ODD),
    ),
)
def test_polls_go_on(vendor, command, fault, monkeypatch):
    if fault in SILENT:
        monkeypatch.setattr(context, "_READ_SECONDS", 0.05)
    vendor.fake.faults["poll"].append(fault)
    check_delivered(vendor, command)
    assert vendor.submits() == 1


REFUSED = (
    (POLLED, faults.refused("key"), AuthError, "Check the key"),
    (TASKS, faults.refused("no_key"), AuthError, "Check the key"),
    (TASKS, faults.refused("forbidden"), AuthError, "Check the key"),
    (POLLED, faults.refused("body", "odd id"), ProviderError, "odd id"),
    (TASKS, faults.answer(418), ProviderError, "418"),
    (TASKS, faults.redirect("http://localhost:1/"), ProviderError, r"set \w+_BASE_URL"),
)


@pytest.mark.parametrize(("command", "fault", "kind", "words"), rows(*REFUSED))
def test_refused_polls_leave_the_task_to_the_next_run(vendor, command, fault, kind, words):
    vendor.fake.faults["poll"].append(fault)
    with pytest.raises(ProviderError, match=words) as caught:
        vendor.run(command)
    assert type(caught.value) is kind
    check_delivered(vendor, command)
    assert vendor.submits() == 1


@pytest.mark.parametrize("command", POLLED)
def test_a_refused_poll_is_no_reason_to_run_locally(vendor, command, monkeypatch):
    monkeypatch.setattr("upscale_bridge.equivalent.Equivalent.stand_in", None)
    vendor.fake.faults["poll"].append(faults.refused("balance"))
    with pytest.raises(ProviderError, match="balance"):
        vendor.run(command, when_unavailable="run locally")
    check_delivered(vendor, command)


@pytest.mark.parametrize("command", TASKS)
def test_a_service_that_forgets_its_task(vendor, command):
    vendor.fake.faults["poll"].extend([faults.not_found()] * 3)
    with pytest.raises(TaskLostError, match="tasks forget") as caught:
        vendor.run(command)
    assert caught.value.ticket == vendor.fake.tasks[0].id
    check_delivered(vendor, command)


@pytest.mark.parametrize("command", TASKS)
def test_an_old_task_that_is_forgotten_is_made_anew(vendor, command):
    vendor.fake.faults["poll"].append(faults.refused("key"))
    with pytest.raises(AuthError):
        vendor.run(command)
    vendor.clock.ahead += 30 * 3600
    vendor.fake.faults["poll"].extend([faults.not_found()] * 3)
    with pytest.raises(TaskLostError, match=r"30 h ago.* submits it anew, which costs again"):
        vendor.run(command)
    check_delivered(vendor, command, tasks=2)


@pytest.mark.parametrize("command", POLLED)
def test_a_task_that_fails_later_is_made_anew(vendor, command):
    vendor.fake.faults["poll"].extend([faults.unknown_word(), faults.failed("No luck.")])
    with pytest.raises(TaskFailedError, match="No luck") as caught:
        vendor.run(command)
    assert caught.value.ticket == vendor.fake.tasks[0].id
    assert ".." not in str(caught.value)
    check_delivered(vendor, command, tasks=2)
