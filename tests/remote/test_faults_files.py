"""Every fault of uploads and downloads: nothing is paid again, nothing is lost."""

import contextlib
import errno
import re
from pathlib import Path

import pytest
import torch

from tests.fakes import faults
from tests.remote.host import (
    PASSING,
    SILENT,
    SYNC,
    TASK,
    TASKS,
    UNREADABLE,
    UPLOADING,
    check_delivered,
    enlarged,
    picture,
    rows,
)
from upscale_bridge.contract.operation import RemoteOperation
from upscale_bridge.errors import (
    AmbiguousSubmitError,
    AuthError,
    BadReplyError,
    ProviderError,
    TaskError,
    TaskFailedError,
    TransportError,
    UpscaleError,
)
from upscale_bridge.network.transport import Transport
from upscale_bridge.remote import context, follow
from upscale_bridge.storage.settings import home

FEW = (faults.drop_answer(), faults.answer(503), faults.truncated(), faults.stall())


@pytest.fixture(autouse=True)
def modest(monkeypatch):
    """Call a megabyte too much."""
    monkeypatch.setattr(context, "LARGEST_REPLY", 1 << 20)
    monkeypatch.setattr(RemoteOperation, "largest_result", 1 << 20)


# --- uploads


@pytest.mark.parametrize(
    ("phase", "fault"),
    rows(
        *((("put",), fault) for fault in (*PASSING, *SILENT)),
        *((("ticket", "legacy"), fault) for fault in FEW),
    ),
)
def test_uploads_are_repeated(vendor, phase, fault, monkeypatch):
    if fault.name == "stall":
        monkeypatch.setattr(context, "_READ_SECONDS", 0.05)
    if phase == "legacy":
        vendor.fake.faults["ticket"].append(faults.not_found())
    vendor.fake.faults[phase].append(fault)
    check_delivered(vendor, UPLOADING)
    assert vendor.fake.tasks[0].source == "upload"


@pytest.mark.parametrize("phase", ["ticket", "put", "legacy"])
@pytest.mark.parametrize(
    "fault",
    [faults.answer(503), faults.drop_answer(accept=False), faults.refused("body")],
    ids=lambda fault: fault.name,
)
def test_uploads_that_never_succeed(vendor, phase, fault):
    if phase == "legacy":
        vendor.fake.faults["ticket"].append(faults.not_found())
    vendor.fake.faults[phase].extend([fault] * 4)
    with pytest.raises((ProviderError, TransportError)):
        vendor.run(UPLOADING)
    assert (vendor.fake.tasks, vendor.rows, vendor.submits()) == ([], [], 0)
    vendor.fake.faults[phase].clear()
    check_delivered(vendor, UPLOADING)


@pytest.mark.parametrize("phase", ["ticket", "legacy"])
@pytest.mark.parametrize("fault", UNREADABLE, ids=lambda fault: fault.name)
def test_unreadable_answers_to_uploads(vendor, phase, fault):
    if phase == "legacy":
        vendor.fake.faults["ticket"].append(faults.not_found())
    vendor.fake.faults[phase].append(fault)
    with contextlib.suppress(BadReplyError):
        vendor.run(UPLOADING)
    check_delivered(vendor, UPLOADING)


def test_an_upload_place_whose_time_is_over_is_asked_anew(vendor):
    vendor.fake.faults["put"].append(faults.expired())
    check_delivered(vendor, UPLOADING)
    assert [vendor.fake.count(phase) for phase in ("ticket", "put")] == [2, 2]
    vendor.fake.faults["put"].extend([faults.expired()] * 2)
    with pytest.raises(AuthError, match="403"):
        vendor.run(UPLOADING, picture(1))


@pytest.mark.parametrize("status", [404, 405])
def test_hosts_without_uploads_get_the_image_itself(vendor, status):
    vendor.fake.faults["ticket"].append(faults.answer(status))
    vendor.fake.faults["legacy"].append(faults.answer(status))
    check_delivered(vendor, UPLOADING)
    assert vendor.fake.tasks[0].source == "data_uri"


def test_a_failed_task_does_not_keep_its_upload(vendor):
    vendor.fake.faults["poll"].append(faults.failed("The media address cannot be reached."))
    with pytest.raises(TaskFailedError):
        vendor.run(UPLOADING)
    vendor.fake.uploads.clear()
    check_delivered(vendor, UPLOADING, tasks=2)


# --- downloads


def parts():
    """Return what incomplete downloads have left behind."""
    return list((home() / "results").glob("*.part"))


@pytest.mark.parametrize(
    ("command", "fault"),
    rows(
        *(((TASK,), fault) for fault in (*PASSING, *SILENT)),
        *(((UPLOADING,), fault) for fault in FEW),
        (TASKS, faults.redirect()),
        (TASKS, faults.answer(200)),
        (TASKS, faults.html_200()),
        (TASKS, faults.wrong_type("text")),
        (TASKS, faults.wrong_type("gif")),
        (TASKS, faults.wrong_type("html")),
        (TASKS, faults.bomb()),
    ),
)
def test_downloads_are_repeated(vendor, command, fault, monkeypatch):
    if fault.name == "stall":
        monkeypatch.setitem(Transport.fetch.__kwdefaults__, "read_seconds", 0.05)
    vendor.fake.faults["download"].extend([fault, fault])
    check_delivered(vendor, command)
    assert parts() == []


@pytest.mark.parametrize("fault", [faults.expired(), faults.not_found(), faults.answer(410)])
def test_an_address_whose_time_is_over_is_asked_anew_once(vendor, fault):
    vendor.fake.faults["download"].append(fault)
    check_delivered(vendor, TASK)
    assert [vendor.fake.count(phase) for phase in ("poll", "download")] == [2, 2]


NEVER = (
    (faults.expired(), TaskError),
    (faults.not_found(), TaskError),
    (faults.answer(418), TaskError),
    (faults.answer(503), TaskError),
    (faults.truncated(), TaskError),
    (faults.drop_answer(), TaskError),
    (faults.redirect(), TaskError),
    (faults.huge(2), (TaskError, BadReplyError)),
    (faults.huge(), (TaskError, BadReplyError)),
    (faults.gzip_bomb(2), (TaskError, BadReplyError)),
)


@pytest.mark.parametrize(("fault", "kinds"), NEVER)
def test_downloads_that_never_succeed(vendor, fault, kinds):
    vendor.fake.faults["download"].extend([fault] * 40)
    with pytest.raises(kinds) as caught:
        vendor.run(TASK)
    (task,) = vendor.fake.tasks
    assert f"tasks resume {task.id}" in str(caught.value)
    assert vendor.fake.count("download") < 30
    assert parts() == []
    assert vendor.fake.base_url not in str(caught.value)
    assert "X-Amz" not in str(caught.value)
    vendor.fake.faults["download"].clear()
    check_delivered(vendor, TASK)


@pytest.mark.parametrize("fault", [faults.html_200(), faults.bomb(), faults.wrong_type("gif")])
def test_broken_files_are_kept_and_asked_for_by_the_next_run(vendor, fault):
    vendor.fake.faults["download"].extend([fault] * 3)
    with pytest.raises(BadReplyError) as caught:
        vendor.run(TASK)
    assert Path(re.search(r"is kept in (.+?);", str(caught.value))[1]).stat().st_size > 0
    assert parts() == []
    check_delivered(vendor, TASK)


@pytest.mark.parametrize("fault", [faults.smaller(), faults.other_aspect()])
def test_results_of_something_else_are_kept(vendor, fault):
    vendor.fake.faults["download"].append(fault)
    before = None
    for _ in range(2):
        with pytest.raises(BadReplyError) as caught:
            vendor.run(TASK)
        path = Path(re.search(r"is kept in (.+?);", str(caught.value))[1])
        assert path.read_bytes().startswith(b"\x89PNG")
        assert before in (None, len(vendor.fake.requests))
        before = len(vendor.fake.requests)


def test_a_full_disk_loses_nothing(vendor, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("upscale_bridge.network.transport.os.fsync", full)
        with pytest.raises(UpscaleError, match="No space left"):
            vendor.run(TASK)
    check_delivered(vendor, TASK)


def test_a_full_disk_when_the_answer_is_the_result(vendor, monkeypatch):
    """It is handed over, though it cannot be kept; the next run does not pay for it again."""

    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(follow, "write", full)
        result = vendor.run(SYNC)
    assert torch.equal(result.images, enlarged(SYNC, picture()))
    with pytest.raises(AmbiguousSubmitError, match=r"delivered but not kept.*No space left"):
        vendor.run(SYNC)
    assert len(vendor.fake.tasks) == 1
