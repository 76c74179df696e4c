"""A submit whose answer was lost is looked for in the service's own list of tasks."""

from dataclasses import replace

import pytest
import torch

from tests.fakes import faults
from tests.remote.host import KEY, Watch, check_delivered, enlarged, picture
from upscale_bridge.errors import AmbiguousSubmitError, StoppedError


@pytest.fixture(autouse=True)
def history(vendor):
    vendor.fake.history = True


LOST = faults.reset_after_accept()
NEVER = faults.stall(accept=False)
URL = {"image_url": "https://example.com/a.png"}


@pytest.mark.parametrize("hidden", [0, 1])
def test_what_the_list_has_is_followed_without_a_question(vendor, hidden):
    vendor.fake.faults["submit"].append(LOST)
    vendor.fake.hidden_looks = hidden
    assert torch.equal(vendor.run("wavespeed").images, enlarged("wavespeed", picture()))
    assert vendor.fake.count("history") == hidden + 1
    assert (60.0 in vendor.clock.waits) == bool(hidden)
    check_delivered(vendor, "wavespeed")


def test_what_the_list_does_not_have_is_submitted_by_the_next_run(vendor):
    vendor.fake.faults["submit"].append(faults.reset_before_accept())
    with pytest.raises(AmbiguousSubmitError, match=r"was not accepted\. Run again") as caught:
        vendor.run("wavespeed")
    assert "upscale-bridge tasks forget" in str(caught.value)
    assert (vendor.submits(), vendor.fake.count("history")) == (1, 2)
    assert vendor.rows[0].absent == 1
    check_delivered(vendor, "wavespeed")
    assert (vendor.submits(), vendor.fake.count("history")) == (2, 3)


def test_a_list_that_lags_for_long_is_looked_at_once_more(vendor):
    vendor.fake.faults["submit"].append(LOST)
    vendor.fake.hidden_looks = 2
    with pytest.raises(AmbiguousSubmitError, match="was not accepted"):
        vendor.run("wavespeed")
    check_delivered(vendor, "wavespeed")
    assert vendor.submits() == 1


@pytest.mark.parametrize(
    "fault",
    [faults.not_found(), faults.answer(200, []), faults.answer(500), faults.refused("key")],
    ids=lambda fault: fault.name,
)
def test_a_list_that_cannot_be_read_proves_nothing(vendor, fault):
    vendor.fake.faults["submit"].append(faults.reset_before_accept())
    vendor.fake.faults["history"].extend([fault] * 4)
    with pytest.raises(AmbiguousSubmitError, match="Nobody knows"):
        vendor.run("wavespeed")
    assert vendor.rows[0].absent == 0
    vendor.fake.faults["history"].clear()
    with pytest.raises(AmbiguousSubmitError, match="was not accepted"):
        vendor.run("wavespeed")
    assert vendor.submits() == 1


def test_the_list_of_another_key_proves_nothing(vendor, monkeypatch):
    vendor.fake.faults["submit"].append(faults.reset_before_accept())
    vendor.fake.hidden_looks = 10
    vendor.fake.faults["history"].extend([faults.answer(500)] * 4)
    with pytest.raises(AmbiguousSubmitError):
        vendor.run("wavespeed")
    vendor.fake.key = "sk-another-key-0123456789"
    monkeypatch.setenv("WAVESPEED_API_KEY", vendor.fake.key)
    asked = vendor.fake.count("history")
    with pytest.raises(AmbiguousSubmitError, match="Nobody knows"):
        vendor.run("wavespeed")
    assert vendor.fake.count("history") == asked
    assert KEY not in str(vendor.rows)


def test_a_task_of_an_earlier_attempt_is_not_taken_for_the_lost_one(vendor):
    vendor.run("wavespeed", **URL)
    vendor.fake.faults["submit"].append(faults.reset_before_accept())
    with pytest.raises(AmbiguousSubmitError, match="was not accepted"):
        vendor.run("wavespeed", attempt=2, **URL)
    vendor.run("wavespeed", attempt=2, **URL)
    assert len({row.ticket for row in vendor.rows}) == len(vendor.fake.tasks) == 2


def test_other_parameters_are_another_task(vendor):
    vendor.run("wavespeed", creativity=0.5, **URL)
    vendor.host.client.journal.forget(vendor.rows[0].request)
    vendor.fake.faults["submit"].append(faults.reset_before_accept())
    with pytest.raises(AmbiguousSubmitError, match="was not accepted"):
        vendor.run("wavespeed", **URL)


def test_tasks_behind_many_others_are_found(vendor, monkeypatch):
    vendor.fake.faults["submit"].append(LOST)
    vendor.fake.hidden_looks = 1
    wait = vendor.clock.wait

    def busy(stop, seconds):
        if seconds == 60:
            others = [replace(vendor.fake.tasks[0], id=f"other {n}", url="") for n in range(150)]
            vendor.fake.tasks.extend(others)
        return wait(stop, seconds)

    monkeypatch.setattr(vendor.clock, "wait", busy)
    vendor.run("wavespeed")
    assert vendor.rows[0].ticket == vendor.fake.tasks[0].id
    assert vendor.fake.count("history") == 3


def test_task_whose_image_is_named_otherwise_proves_nothing(vendor, monkeypatch):
    """Was it ours? Nobody can tell, so nothing is paid again; an older one was not."""
    vendor.run("wavespeed", **URL)
    other = vendor.fake.tasks[0]
    other.url = "https://cdn.example.net/copy-of-something.png"
    vendor.host.client.journal.forget(vendor.rows[0].request)
    vendor.fake.faults["submit"].append(faults.reset_before_accept())
    with pytest.raises(AmbiguousSubmitError, match="Nobody knows"):
        vendor.run("wavespeed", **URL)
    other.created -= 3600
    with pytest.raises(AmbiguousSubmitError, match="was not accepted"):
        vendor.run("wavespeed", **URL)


@pytest.mark.parametrize("days", [40, 2, -2, -40])
@pytest.mark.parametrize("accepted", [True, False])
def test_clock_that_was_wrong_at_the_submit_pays_nothing_twice(vendor, monkeypatch, days, accepted):
    right = vendor.clock.now
    monkeypatch.setattr(vendor.clock, "now", lambda: right() + days * 86_400)
    vendor.fake.faults["submit"].append(LOST if accepted else faults.reset_before_accept())
    vendor.fake.faults["history"].extend([faults.answer(500)] * 4)
    with pytest.raises(AmbiguousSubmitError, match="Nobody knows"):
        vendor.run("wavespeed")
    monkeypatch.setattr(vendor.clock, "now", right)
    if accepted:
        check_delivered(vendor, "wavespeed")
    else:
        with pytest.raises(AmbiguousSubmitError, match="Nobody knows"):
            vendor.run("wavespeed")
    assert vendor.submits() == 1


def test_stop_ends_the_looking_and_the_next_run_goes_on(vendor):
    vendor.fake.faults["submit"].append(LOST)
    vendor.fake.faults["history"].append(faults.stall(silent=True))
    watch = Watch(when=lambda: vendor.rows and vendor.rows[0].state == "ambiguous")
    with pytest.raises(StoppedError):
        vendor.run("wavespeed", monitor=watch)
    check_delivered(vendor, "wavespeed")
    assert vendor.submits() == 1


def test_resume_looks_as_well(vendor):
    vendor.fake.faults["submit"].append(LOST)
    vendor.fake.faults["history"].extend([faults.answer(500)] * 4)
    with pytest.raises(AmbiguousSubmitError):
        vendor.run("wavespeed")
    request = vendor.rows[0].request
    outcome = vendor.host.client.resume(request, lambda task: bytes, Watch())
    assert outcome.task.ticket == vendor.fake.tasks[0].id
    assert vendor.submits() == 1


def test_services_without_a_list_are_not_asked(vendor):
    vendor.fake.faults["submit"].append(LOST)
    with pytest.raises(AmbiguousSubmitError, match="Nobody knows"):
        vendor.run("novita")
    assert vendor.fake.count("history") == 0
