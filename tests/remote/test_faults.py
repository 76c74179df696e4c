"""Every fault of a submit: what the user hears, what was paid, and that nothing is lost."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.fakes import faults
from tests.remote.kit import (
    ALL,
    KINDS,
    POLLED,
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
    (ALL, faults.close_after()),
    (ALL, faults.stall(0.03)),
    (ALL, faults.stall(0.03, silent=True)),
    (ALL, faults.drip(0.002, 5)),
    (ALL, faults.null_lists()),
    (ALL, faults.string_numbers()),
    (ALL, faults.duplicate_keys("task_id")),
    (("novita-v2", "wavespeed"), faults.duplicate_keys("code", 7)),
    (("novita-v2", "wavespeed"), faults.duplicate_keys("data")),
    (("wavespeed",), faults.unknown_word("resting")),
    (("photio",), faults.duplicate_keys("status_code", 500)),
)


@pytest.mark.parametrize(("command", "fault"), rows(*GOOD))
def test_odd_answers_that_are_right(vendor, command, fault):
    vendor.fake.faults["submit"].append(fault)
    check_delivered(vendor, command)
    assert vendor.submits() == 1


CHECK_KEY, TOP_UP = r"Check the key \(\w+_API_KEY", "Top up the balance"
REFUSED = (
    (ALL, faults.refused("key"), AuthError, CHECK_KEY),
    (ALL, faults.refused("no_key"), AuthError, CHECK_KEY),
    (ALL, faults.refused("forbidden"), AuthError, CHECK_KEY),
    (ALL, faults.refused("balance"), QuotaError, TOP_UP),
    (ALL, faults.refused("body", "scale is odd"), ProviderError, "scale is odd"),
    (ALL, faults.refused("image", "no image"), ProviderError, "no image"),
    (ALL, faults.refused("too_large", "over 2048"), ProviderError, "over 2048"),
    (ALL, faults.refused("moderation", "not decent"), ProviderError, "not decent"),
    (ALL, faults.answer(413), ProviderError, "413"),
    (ALL, faults.answer(422, {}), ProviderError, "422"),
    (ALL, faults.not_found(), ProviderError, r"check \w+_BASE_URL"),
    (ALL, faults.answer(410), ProviderError, r"check \w+_BASE_URL"),
    (ALL, faults.redirect("http://localhost:1/"), ProviderError, r"set \w+_BASE_URL to the final"),
    (ALL, faults.redirect(status=307), ProviderError, r"set \w+_BASE_URL to the final"),
    (("novita-v2",), faults.answer(200, {"code": 8, "msg": "bad sampler"}), ProviderError, "bad s"),
    (("novita-v2",), faults.answer(200, {"code": 10, "msg": "range"}), ProviderError, "range"),
    (("photio",), faults.answer(200, {"status_code": 401, "body": "no"}), AuthError, CHECK_KEY),
    (("photio",), faults.answer(200, {"status_code": 402}), QuotaError, TOP_UP),
    (("photio",), faults.answer(200, {"status_code": "422", "body": "odd"}), ProviderError, "odd"),
    (("photio",), faults.answer(200, {"status_code": 429}), QuotaError, "Wait a while"),
    (("wavespeed",), faults.answer(200, {"code": 401, "message": "no"}), AuthError, CHECK_KEY),
    (("wavespeed",), faults.answer(200, {"code": 402}), QuotaError, TOP_UP),
    (("wavespeed",), faults.answer(200, {"code": 400, "message": "odd"}), ProviderError, "odd"),
)


@pytest.mark.parametrize(("command", "fault", "kind", "words"), rows(*REFUSED))
def test_refusals(vendor, command, fault, kind, words):
    vendor.fake.faults["submit"].append(fault)
    with pytest.raises(ProviderError, match=words) as caught:
        vendor.run(command)
    assert type(caught.value) is kind
    assert (vendor.fake.tasks, vendor.rows) == ([], [])
    check_delivered(vendor, command)


HALF = tuple(command for command in ALL if command != "wavespeed")
"""Those whose answer to a submit does not name the task in its first half."""
UNCLEAR = (
    (ALL, faults.reset_before_accept(), 0),
    (ALL, faults.reset_before_accept(read=False), 0),
    (ALL, faults.reset_after_accept(), 1),
    (ALL, faults.drop_answer(), 1),
    (ALL, faults.drop_answer(accept=False), 0),
    (HALF, faults.stall(), 1),
    (ALL, faults.stall(silent=True), 1),
    (ALL, faults.stall(accept=False), 0),
    (ALL, faults.answer(500), 0),
    (ALL, faults.answer(502, "<html>"), 0),
    (ALL, faults.answer(503, {"message": "busy"}, {"Retry-After": "1"}), 0),
    (ALL, faults.answer(504), 0),
    (ALL, faults.answer(408), 0),
    (ALL, faults.answer(303), 0),
    (ALL, faults.answer_after_accept(500, "oops"), 1),
    (ALL, faults.answer(200), 0),
    (ALL, faults.answer(200, b"{"), 0),
    (ALL, faults.answer(200, []), 0),
    (ALL, faults.answer(200, {}), 0),
    (ALL, faults.answer_after_accept(200, {"task_id": None, "data": None, "body": None}), 1),
    (ALL, faults.html_200(), 0),
    (ALL, faults.html_200(accept=True), 1),
    (ALL, faults.refused("server"), 0),
    (HALF, faults.truncated(), 1),
    (("photio",), faults.truncated(1), 1),
    (ALL, faults.huge(2), 0),
    (ALL, faults.huge(), 0),
    (ALL, faults.gzip_bomb(2), 0),
    (("novita-v2",), faults.answer(200, {"code": -1, "msg": "internal"}), 0),
    (("novita-v2",), faults.answer(200, {"code": 9, "msg": "time-out"}), 0),
    (("photio",), faults.answer(200, {"status_code": 500, "body": "oops"}), 0),
    (("photio",), faults.failed(), 1),
    (("wavespeed",), faults.answer(200, {"code": 500, "message": "oops"}), 0),
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


@pytest.mark.parametrize("command", ALL)
def test_a_higher_attempt_goes_past_an_unclear_submit(vendor, command):
    vendor.fake.faults["submit"].append(faults.drop_answer())
    with pytest.raises(AmbiguousSubmitError, match="a higher attempt"):
        vendor.run(command)
    found = vendor.run(command, attempt=2).images
    assert torch.equal(found, enlarged(command, picture()))
    with pytest.raises(AmbiguousSubmitError):
        vendor.run(command)
    assert len(vendor.fake.tasks) == 2


def test_photio_has_no_ids_to_look_for(vendor):
    vendor.fake.faults["submit"].append(faults.drop_answer())
    with pytest.raises(AmbiguousSubmitError) as caught:
        vendor.run("photio")
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
    (ALL, faults.smaller(), "smaller than the image"),
    (ALL, faults.other_aspect(), "other proportions"),
    (ALL, faults.bomb(), "the result"),
    (ALL, faults.wrong_type("text"), "the result"),
    (ALL, faults.wrong_type("gif"), "the result"),
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
    assert isinstance(caught.value, RetiredError) == (command != "wavespeed")
    if command != "wavespeed":
        assert kind.retirement in str(caught.value)
        assert "NOVITA_BASE_URL" in str(caught.value)
    check_delivered(vendor, command)
