"""Every fault of a submit: what the user hears, what was paid, and that nothing is lost."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.fakes import faults
from tests.remote.host import (
    ALL,
    EACH,
    KINDS,
    POLLED,
    PROFILES,
    SYNC,
    check_delivered,
    enlarged,
    make,
    named,
    picture,
    rows,
    wait_until,
)
from upscale_bridge.errors import (
    AmbiguousSubmitError,
    AuthError,
    BadReplyError,
    ProviderError,
    QuotaError,
    RetiredError,
    TaskFailedError,
)
from upscale_bridge.remote import submit
from upscale_bridge.remote.run import ResumeTask


@pytest.fixture(autouse=True)
def modest(monkeypatch):
    """Call a megabyte too much."""
    monkeypatch.setattr(submit, "LARGEST_REPLY", 1 << 20)


GOOD = (
    (EACH, faults.close_after()),
    (EACH, faults.stall(0.03)),
    (EACH, faults.stall(0.03, silent=True)),
    (EACH, faults.drip(0.002, 5)),
    (ALL, faults.null_lists()),
    (ALL, faults.string_numbers()),
    (ALL, faults.duplicate_keys("task_id")),
    (ALL, faults.duplicate_keys("code", 7)),
    (ALL, faults.duplicate_keys("status_code", 500)),
    (ALL, faults.duplicate_keys("data")),
    (ALL, faults.unknown_word("resting")),
)


@pytest.mark.parametrize(("command", "fault"), rows(*GOOD))
def test_odd_answers_that_are_right(vendor, command, fault):
    vendor.fake.faults["submit"].append(fault)
    check_delivered(vendor, command)
    assert vendor.submits() == 1


CHECK_KEY, TOP_UP = r"Check the key \(\w+_API_KEY", "Top up the balance"
REFUSED = (
    (ALL, faults.refused("key"), AuthError, CHECK_KEY),
    (EACH, faults.refused("no_key"), AuthError, CHECK_KEY),
    (EACH, faults.refused("forbidden"), AuthError, CHECK_KEY),
    (ALL, faults.refused("balance"), QuotaError, TOP_UP),
    (ALL, faults.refused("body", "scale is odd"), ProviderError, "scale is odd"),
    (EACH, faults.refused("image", "no image"), ProviderError, "no image"),
    (EACH, faults.refused("too_large", "over 2048"), ProviderError, "over 2048"),
    (EACH, faults.refused("moderation", "not decent"), ProviderError, "not decent"),
    (EACH, faults.answer(413), ProviderError, "413"),
    (EACH, faults.answer(422, {}), ProviderError, "422"),
    (EACH, faults.not_found(), ProviderError, r"check \w+_BASE_URL"),
    (EACH, faults.answer(410), ProviderError, r"check \w+_BASE_URL"),
    (EACH, faults.redirect("http://localhost:1/"), ProviderError, r"set \w+_BASE_URL to the final"),
    (EACH, faults.redirect(status=307), ProviderError, r"set \w+_BASE_URL to the final"),
)


@pytest.mark.parametrize(("command", "fault", "kind", "words"), rows(*REFUSED))
def test_refusals(vendor, command, fault, kind, words):
    vendor.fake.faults["submit"].append(fault)
    with pytest.raises(ProviderError, match=words) as caught:
        vendor.run(command)
    assert type(caught.value) is kind
    assert (vendor.fake.tasks, vendor.rows) == ([], [])
    check_delivered(vendor, command)


HALF = tuple(command for command in EACH if not PROFILES[command].id_first)
"""Those whose answer to a submit does not name the task in its first half."""
UNCLEAR = (
    (EACH, faults.reset_before_accept(), 0),
    (EACH, faults.reset_before_accept(read=False), 0),
    (ALL, faults.reset_after_accept(), 1),
    (EACH, faults.drop_answer(), 1),
    (EACH, faults.drop_answer(accept=False), 0),
    (HALF, faults.stall(), 1),
    (EACH, faults.stall(silent=True), 1),
    (EACH, faults.stall(accept=False), 0),
    (EACH, faults.answer(500), 0),
    (EACH, faults.answer(502, "<html>"), 0),
    (EACH, faults.answer(503, {"message": "busy"}, {"Retry-After": "1"}), 0),
    (EACH, faults.answer(504), 0),
    (EACH, faults.answer(408), 0),
    (EACH, faults.answer(303), 0),
    (EACH, faults.answer_after_accept(500, "oops"), 1),
    (EACH, faults.answer(200), 0),
    (EACH, faults.answer(200, b"{"), 0),
    (EACH, faults.answer(200, []), 0),
    (EACH, faults.answer(200, {}), 0),
    (ALL, faults.answer_after_accept(200, {"task_id": None, "data": None, "body": None}), 1),
    (EACH, faults.html_200(), 0),
    (EACH, faults.html_200(accept=True), 1),
    (ALL, faults.refused("server"), 0),
    (HALF, faults.truncated(), 1),
    ((SYNC,), faults.truncated(1), 1),
    (EACH, faults.huge(2), 0),
    (EACH, faults.huge(), 0),
    (EACH, faults.gzip_bomb(2), 0),
    ((SYNC,), faults.failed(), 1),
)


@pytest.mark.parametrize(("command", "fault", "tasks"), rows(*UNCLEAR))
def test_unclear_submits_are_not_repeated(vendor, command, fault, tasks, monkeypatch):
    vendor.fake.faults["submit"].append(fault)
    title = make(command).vendor.title
    with monkeypatch.context() as patch:
        if fault.name == "stall":
            patch.setattr(submit, "_READ_SECONDS", 0.05)
        with pytest.raises(AmbiguousSubmitError, match=f"whether {title} accepted") as caught:
            vendor.run(command)
    # A busy stand-in may take the request only after the client has given it up.
    wait_until(lambda: (len(vendor.fake.tasks), vendor.submits()) == (tasks, 1))
    with pytest.raises(AmbiguousSubmitError, match=re.escape(str(caught.value))):
        vendor.run(command)
    assert vendor.submits() == 1
    # What the sentence advises brings the result.
    name, client = named(caught.value), vendor.host.client
    if tasks and command in POLLED:
        assert "--ticket" in str(caught.value)
        client.attach(name, vendor.fake.tasks[0].id)
        found = vendor.host.resume(ResumeTask(task_id=name))
        assert torch.equal(found.images, enlarged(command, picture()))
        check_delivered(vendor, command)
    else:
        client.journal.forget(client.journal.find(name).request)
        check_delivered(vendor, command, tasks + 1)


@pytest.mark.parametrize("command", EACH)
def test_a_higher_attempt_goes_past_an_unclear_submit(vendor, command):
    vendor.fake.faults["submit"].append(faults.drop_answer())
    with pytest.raises(AmbiguousSubmitError, match="a higher attempt"):
        vendor.run(command)
    found = vendor.run(command, attempt=2).images
    assert torch.equal(found, enlarged(command, picture()))
    with pytest.raises(AmbiguousSubmitError):
        vendor.run(command)
    assert len(vendor.fake.tasks) == 2


def test_without_tasks_there_are_no_ids_to_look_for(vendor):
    vendor.fake.faults["submit"].append(faults.drop_answer())
    with pytest.raises(AmbiguousSubmitError) as caught:
        vendor.run(SYNC)
    assert "--ticket" not in str(caught.value)


@pytest.mark.parametrize("command", POLLED)
def test_a_failed_task_is_made_anew(vendor, command):
    vendor.fake.faults["submit"].append(faults.failed("The model has no luck."))
    with pytest.raises(TaskFailedError, match=r"no luck.* running again submits a new") as caught:
        vendor.run(command)
    assert caught.value.ticket == vendor.fake.tasks[0].id
    assert caught.value.ticket in str(caught.value)
    check_delivered(vendor, command, tasks=2)


SPOILT = (
    (EACH, faults.smaller(), "smaller than the image"),
    (EACH, faults.other_aspect(), "other proportions"),
    (EACH, faults.bomb(), "the result"),
    (EACH, faults.wrong_type("text"), "the result"),
    (EACH, faults.wrong_type("gif"), "the result"),
)


@pytest.mark.parametrize(("command", "fault", "words"), rows(*SPOILT))
def test_spoilt_results_are_kept_and_not_paid_again(vendor, command, fault, words):
    vendor.fake.faults["submit"].append(fault)
    for _ in range(2):
        with pytest.raises(BadReplyError, match=f"{words}.*a higher attempt submits") as caught:
            vendor.run(command)
        assert len(vendor.fake.tasks) == 1
        path = Path(re.search(r"is kept in (.+?);", str(caught.value))[1])
        assert path.stat().st_size == len(vendor.fake.tasks[0].picture()[0])
    found = vendor.run(command, attempt=2).images
    assert torch.equal(found, enlarged(command, picture()))


@pytest.mark.parametrize("command", POLLED)
def test_the_end_of_an_api_is_known_by_its_own_host(vendor, command, monkeypatch):
    kind = KINDS[command]
    monkeypatch.setattr(kind, "vendor", replace(kind.vendor, base_url=vendor.fake.base_url))
    vendor.fake.faults["submit"].append(faults.not_found())
    with pytest.raises(ProviderError) as caught:
        vendor.run(command)
    assert isinstance(caught.value, RetiredError) == bool(kind.retirement)
    if kind.retirement:
        assert kind.retirement in str(caught.value)
        assert kind.vendor.url_variable in str(caught.value)
    check_delivered(vendor, command)
