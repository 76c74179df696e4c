"""Hosts that promise one task for one Idempotency-Key, as this project's own server does."""

import pytest

from tests.fakes import faults
from tests.remote.host import EACH, TASK, TASKS, check_delivered
from upscale_bridge.errors import AmbiguousSubmitError, ProviderError, TaskFailedError


@pytest.mark.parametrize("command", EACH)
@pytest.mark.parametrize("fault", [faults.reset_after_accept(), faults.reset_before_accept()])
def test_hosts_that_refuse_doubles_are_asked_again(remote, command, fault):
    own = remote(idempotent=True)
    own.fake.faults["submit"].append(fault)
    with pytest.raises(AmbiguousSubmitError):
        own.run(command)
    check_delivered(own, command)
    assert len({task.idempotency_key for task in own.fake.tasks}) == 1


@pytest.mark.parametrize("fault", [faults.answer(500), faults.html_200(), faults.drop_answer()])
def test_hosts_that_promise_nothing_are_not_asked_again(remote, fault):
    own = remote(idempotent=True)
    own.fake.faults["submit"].append(faults.reset_after_accept())
    own.fake.faults["health"].append(fault)
    for _ in range(2):
        with pytest.raises(AmbiguousSubmitError):
            own.run(TASK)
    check_delivered(own, TASK)


@pytest.mark.parametrize("command", TASKS)
def test_a_failed_task_is_made_anew_by_hosts_that_refuse_doubles(remote, command):
    own = remote(idempotent=True)
    own.fake.faults["submit"].append(faults.failed())
    with pytest.raises(TaskFailedError, match="running again submits a new task"):
        own.run(command)
    check_delivered(own, command, tasks=2)


@pytest.mark.parametrize("command", EACH)
@pytest.mark.parametrize("fault", [faults.refused("key"), faults.refused("body")])
def test_a_refusal_does_not_end_the_doubt(remote, command, fault):
    own = remote(idempotent=True)
    own.fake.faults["submit"].extend([faults.reset_after_accept(), fault])
    with pytest.raises(AmbiguousSubmitError):
        own.run(command)
    with pytest.raises(ProviderError):
        own.run(command)
    check_delivered(own, command)
