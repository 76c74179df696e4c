"""A stop is answered at once in every phase, and never costs a second task."""

import contextlib
import threading
import time

import pytest
import torch

from tests.fakes import faults
from tests.remote.host import (
    EACH,
    TASKS,
    Watch,
    check_delivered,
    enlarged,
    make,
    picture,
    states,
    wait_until,
)
from upscale_bridge.errors import AmbiguousSubmitError, StoppedError
from upscale_bridge.remote.context import Context


def stop(remote, command, when):
    """Run a request and stop it once `when` is true; it must end within a second."""
    watch = Watch(when)
    with pytest.raises(StoppedError):
        remote.run(command, monitor=watch)
    assert time.monotonic() - watch.stopped < 1


@pytest.mark.parametrize("phase", ["ticket", "put"])
def test_during_an_upload(vendor, phase):
    gate = threading.Event()
    vendor.fake.faults[phase].append(faults.stall(gate, silent=True))
    stop(vendor, "wavespeed", lambda: vendor.fake.count(phase))
    gate.set()
    check_delivered(vendor, "wavespeed")


@pytest.mark.parametrize("command", EACH)
@pytest.mark.parametrize("silent", [True, False])
def test_during_a_submit(vendor, command, silent):
    gate = threading.Event()
    vendor.fake.faults["submit"].append(faults.stall(gate, silent=silent))
    stop(vendor, command, lambda: vendor.fake.tasks)
    threading.Timer(0.03, gate.set).start()
    check_delivered(vendor, command)


@pytest.mark.parametrize("command", EACH)
def test_during_a_submit_that_ends_before_the_next_run(vendor, command):
    gate = threading.Event()
    vendor.fake.faults["submit"].append(faults.stall(gate, silent=True))
    stop(vendor, command, lambda: vendor.fake.tasks)
    gate.set()
    wait_until(lambda: vendor.rows[0].state in ("running", "done"))
    check_delivered(vendor, command)


@pytest.mark.parametrize("command", EACH)
def test_during_a_submit_that_ends_unclear(vendor, command):
    gate = threading.Event()
    vendor.fake.faults["submit"].append(faults.stall(gate, silent=True, accept=False))
    stop(vendor, command, lambda: vendor.fake.count("submit"))
    gate.set()
    wait_until(lambda: vendor.rows[0].state == "ambiguous")
    with pytest.raises(AmbiguousSubmitError):
        vendor.run(command)
    assert vendor.submits() == 1


@pytest.mark.parametrize("command", EACH)
def test_at_every_moment_of_a_submit(vendor, command, monkeypatch):
    """Whenever the loop learns of the stop: what was accepted is not forgotten."""
    check, asked = Context.check, []

    def stopping(context):
        if context.view.phase == "submitting":
            asked.append(context)
            if len(asked) == moment:
                context.stop.set()
        check(context)

    monkeypatch.setattr(Context, "check", stopping)
    for moment in range(1, 12):
        asked.clear()
        image = picture(moment)
        before = len(vendor.fake.tasks)
        try:
            vendor.run(command, image)
        except StoppedError:
            vendor.run(command, image)
        assert len(vendor.fake.tasks) == before + 1


def test_between_two_early_submits(vendor):
    vendor.fake.faults["submit"].extend([faults.retry_after(5)] * 1000)
    stop(vendor, "novita", lambda: vendor.submits() > 2)
    wait_until(lambda: not vendor.rows)
    vendor.fake.faults["submit"].clear()
    check_delivered(vendor, "novita")


@pytest.mark.parametrize("command", TASKS)
@pytest.mark.parametrize("queued", [True, False])
def test_during_the_wait(remote, command, queued):
    slow = remote(states=states(command, **{"queued" if queued else "running": 30}))
    gate = threading.Event()
    slow.fake.faults["poll"].append(faults.stall(gate))
    stop(slow, command, lambda: slow.fake.count("poll"))
    gate.set()
    check_delivered(slow, command)


@pytest.mark.parametrize("phase", ["poll", "download"])
@pytest.mark.parametrize("command", TASKS)
def test_during_an_answer(vendor, command, phase):
    vendor.fake.faults[phase].append(faults.stall())
    stop(vendor, command, lambda: vendor.fake.count(phase))
    check_delivered(vendor, command)


def test_before_anything(vendor):
    stop(vendor, "novita", lambda: True)
    check_delivered(vendor, "novita")


def test_a_stop_of_a_host_comes_through(vendor):
    class HostStoppedError(Exception):
        pass

    class Impatient(Watch):
        def check(self):
            if vendor.fake.count("poll"):
                raise HostStoppedError

    gate = threading.Event()
    vendor.fake.faults["poll"].append(faults.stall(gate))
    with pytest.raises(HostStoppedError):
        vendor.run("novita", monitor=Impatient())
    gate.set()
    check_delivered(vendor, "novita")


def test_the_end_of_a_program_waits_for_a_paid_call(vendor):
    gate = threading.Event()
    vendor.fake.faults["submit"].append(faults.stall(gate, silent=True))
    stop(vendor, "novita", lambda: vendor.fake.tasks)
    threading.Timer(0.03, gate.set).start()
    vendor.host.client.pool.close()
    assert vendor.rows[0].state == "running"
    assert vendor.rows[0].ticket == vendor.fake.tasks[0].id


def test_who_stops_waiting_for_another_does_not_stop_the_other(vendor):
    gate, found = threading.Event(), []
    vendor.fake.faults["ticket"].append(faults.stall(gate, silent=True))

    def run():
        with contextlib.suppress(StoppedError):
            found.append(vendor.run("wavespeed"))

    first = threading.Thread(target=run)
    first.start()
    wait_until(lambda: vendor.fake.count("ticket"))
    waited = len(vendor.clock.waits)
    stop(vendor, "wavespeed", lambda: len(vendor.clock.waits) > waited)
    time.sleep(0.05)  # the stopped one cleans up behind itself
    gate.set()
    first.join(5)
    assert found, "the other was stopped as well"
    assert torch.equal(found[0].images, enlarged("wavespeed", picture()))
    assert len(vendor.fake.tasks) == 1


def test_who_leaves_takes_nothing_from_who_comes_after(vendor):
    operation = make("novita")
    client, journal = vendor.host.client, vendor.host.client.journal
    task = client.request(operation, None, b"pixels", bytes).task
    lost = []

    def come_and_go():
        for _ in range(60):
            found, ours = journal.claim(task, days=7)
            while not ours and found.state in ("preparing", "submitting"):
                found, ours = journal.claim(task, days=7)
            lost.append(not ours or not journal.begin_submit(task.request))
            journal.end_submit(task.request)
            journal.leave(task.request)

    threads = [threading.Thread(target=come_and_go) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(lost) == 180
    assert not any(lost)
