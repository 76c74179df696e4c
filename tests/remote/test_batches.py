"""Batches: order, partial results, bounds, progress."""

import json
import threading

import pytest
import torch

from tests.fakes import faults
from tests.remote.host import (
    EACH,
    KEY,
    POLLED,
    TASKS,
    Watch,
    configure,
    enlarged,
    picture,
    states,
    wait_until,
)
from upscale_bridge.errors import (
    AmbiguousSubmitError,
    AuthError,
    ProviderError,
    QuotaError,
    StoppedError,
    TaskFailedError,
    UpscaleError,
)
from upscale_bridge.remote.clock import Clock

EIGHT = tuple(range(8))


@pytest.mark.parametrize("command", EACH)
def test_order_is_kept(vendor, command):
    images = picture(*EIGHT)
    vendor.fake.faults["submit"].append(faults.stall(0.1, silent=True))
    vendor.fake.faults["download"].append(faults.stall(0.1, silent=True))
    result = vendor.run(command, images)
    assert torch.equal(result.images, enlarged(command, images))
    assert len(vendor.fake.tasks) == len(result.info["tasks"]) == 8


@pytest.mark.parametrize("command", EACH)
def test_all_images_of_a_batch_are_under_way_at_the_same_time(vendor, command):
    """How much time that saves is in `benchmarks/remote.py`."""
    slots = 16
    configure(concurrency=slots)
    together = threading.Barrier(slots)

    def act(x):
        together.wait(20)  # breaks, which the stand-in reports, when some image waits for another
        x.send(x.behave())

    vendor.fake.faults["submit"].extend([faults.Fault("together", act)] * slots)
    images = picture(*range(slots))
    assert torch.equal(vendor.run(command, images).images, enlarged(command, images))
    assert vendor.submits() == len(vendor.fake.tasks) == slots


def test_only_new_images_of_a_batch_cost(vendor):
    vendor.run("novita", picture(1, 3))
    images = picture(0, 1, 2, 3)
    result = vendor.run("novita", images)
    assert torch.equal(result.images, enlarged("novita", images))
    assert [task["how"] for task in result.info["tasks"]] == ["new", "reused", "new", "reused"]
    assert len(vendor.fake.tasks) == 4


@pytest.mark.parametrize("command", TASKS)
@pytest.mark.parametrize(
    ("phase", "fault", "kind", "more"),
    [
        ("submit", faults.refused("body"), ProviderError, 1),
        ("submit", faults.failed(), TaskFailedError, 1),
        ("poll", faults.refused("body"), ProviderError, 0),
        ("download", faults.smaller(), ProviderError, None),
    ],
)
def test_one_failure_keeps_the_others(vendor, command, phase, fault, kind, more):
    configure(concurrency=1)
    images = picture(*range(5))
    before = faults.close_after()  # nothing wrong with it
    vendor.fake.faults[phase].extend([before, before, fault])
    with pytest.raises(kind, match=r"^Image 3 of 5: .* The other 4 results are kept") as caught:
        vendor.run(command, images)
    assert "Image 3, " not in str(caught.value)
    tasks = len(vendor.fake.tasks)
    if more is None:
        with pytest.raises(kind, match=r"^Image 3 of 5"):
            vendor.run(command, images)
    else:
        assert torch.equal(vendor.run(command, images).images, enlarged(command, images))
    assert len(vendor.fake.tasks) == tasks + (more or 0)


def test_a_doubt_about_one_keeps_the_others(vendor):
    configure(concurrency=1)
    vendor.fake.faults["submit"].append(faults.drop_answer())
    for _ in range(2):
        with pytest.raises(AmbiguousSubmitError, match=r"^Image 1 of 4: .* other 3 results"):
            vendor.run("novita", picture(0, 1, 2, 3))
    assert len(vendor.fake.tasks) == 4


@pytest.mark.parametrize("command", EACH)
@pytest.mark.parametrize(
    ("fault", "kind"),
    [(faults.refused("key"), AuthError), (faults.refused("balance"), QuotaError)],
)
def test_what_would_meet_all_others_stops_them(vendor, command, fault, kind):
    configure(concurrency=2)
    vendor.fake.faults["submit"].extend([fault] * 8)
    with pytest.raises(kind, match=r"^Image 1, 2, 3, 4, 5, 6, 7, 8 of 8: "):
        vendor.run(command, picture(*EIGHT))
    assert vendor.submits() <= 2
    assert (vendor.fake.tasks, vendor.rows) == ([], [])


@pytest.mark.parametrize("when", ["error", "run locally"])
def test_what_was_paid_is_delivered_though_the_balance_ends(remote, monkeypatch, when):
    asked = []

    def stand_in(equivalent, operation, images, monitor, error):
        asked.append(images)
        raise error

    monkeypatch.setattr("upscale_bridge.equivalent.Equivalent.stand_in", stand_in)
    slow = remote(states=states("novita", running=5))
    slow.fake.faults["poll"].extend([faults.stall(0.1)] * 2)  # the third comes meanwhile
    fine = faults.close_after()
    slow.fake.faults["submit"].extend([fine, fine, faults.refused("balance")])
    with pytest.raises(QuotaError):
        slow.run("novita", picture(0, 1, 2), when_unavailable=when)
    assert all(images.shape[0] == 1 for images in asked)
    assert sum(row.state == "done" for row in slow.rows) == 2
    assert len(slow.fake.tasks) == 2
    images = picture(0, 1, 2)
    assert torch.equal(slow.run("novita", images).images, enlarged("novita", images))
    assert len(slow.fake.tasks) == 3


@pytest.mark.parametrize("slots", [1, 2, 5])
@pytest.mark.parametrize("batches", [1, 2])
def test_the_bound_holds_for_all_batches_together(remote, slots, batches):
    configure(concurrency=slots)
    slow = remote(seconds=0.05)
    slow.host = slow.another(clock=Clock())
    threads = [
        threading.Thread(target=slow.run, args=("photio", picture(*range(start, start + 6))))
        for start in (0, 10)[:batches]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(slow.fake.tasks) == 6 * batches
    assert slow.fake.most_unfinished <= slots


def test_a_stopped_batch_goes_on_where_it_was(remote):
    configure(concurrency=2)
    slow = remote(states=states("novita", running=3))
    gate = threading.Event()
    slow.fake.faults["download"].extend([faults.close_after(), *[faults.stall(gate)] * 2])
    with pytest.raises(StoppedError):
        slow.run("novita", picture(*EIGHT), Watch(lambda: slow.fake.count("download") > 2))
    gate.set()
    wait_until(lambda: all(row.state not in ("preparing", "submitting") for row in slow.rows))
    images = picture(*EIGHT)
    assert torch.equal(slow.run("novita", images).images, enlarged("novita", images))
    assert len(slow.fake.tasks) == 8


@pytest.mark.parametrize("command", EACH)
@pytest.mark.parametrize("count", [1, 4])
def test_progress_grows_and_reaches_its_end(remote, command, count):
    busy = remote(states=states(command, queued=2, running=6)) if command in POLLED else remote()
    busy.fake.faults["download"].append(faults.drip(0.002))
    watch = Watch()
    busy.run(command, picture(*range(count)), watch)
    assert {total for _, total in watch.steps} == {count}
    assert watch.steps[-1] == (count, count)
    assert all(0 <= done <= count for done, _ in watch.steps)
    highest = 0.0
    for done, _ in watch.steps:
        assert done >= highest - 0.02 * count
        highest = max(highest, done)
    assert watch.lines[-1] == ("done" if count == 1 else "4 done")


@pytest.mark.parametrize("command", EACH)
def test_info_is_plain_and_holds_no_secrets(vendor, command):
    result = vendor.run(command, picture(0, 1))
    text = json.dumps(result.info) + result.summary
    assert KEY not in text
    assert "X-Amz" not in text
    assert vendor.fake.base_url not in text
    assert all(task["how"] == "new" for task in result.info["tasks"])
    if command in POLLED:
        ids = {task["id"] for task in result.info["tasks"]}
        assert ids == {task.id for task in vendor.fake.tasks}
    assert result.info["input_size"] == (24, 16)
    assert result.info["size"] == tuple(result.images.shape[2:0:-1])


@pytest.mark.parametrize("phase", ["submit", "poll", "download"])
def test_errors_hold_no_secrets(vendor, phase):
    fault = faults.answer(400, {"message": f"bad key {KEY}", "reason": KEY})
    vendor.fake.faults[phase].extend([fault] * 6)
    with pytest.raises(UpscaleError) as caught:
        vendor.run("novita")
    assert KEY not in repr(caught.value)
    assert "X-Amz" not in str(caught.value)


def test_the_key_is_in_no_file(vendor, own_home):
    vendor.run("novita")
    vendor.fake.faults["submit"].append(faults.drop_answer())
    with pytest.raises(AmbiguousSubmitError):
        vendor.run("novita", picture(1))
    files = [path for path in own_home.rglob("*") if path.is_file()]
    assert files
    assert not any(KEY.encode() in path.read_bytes() for path in files)
