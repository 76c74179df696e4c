"""Kept results that a disk lost or spoilt: fetched again while the service has them, free.

Only when it says that they are gone does the user hear so, and only a run after that pays.
"""

import io
import os
import sqlite3
import stat
from contextlib import closing

import pytest
import torch
from PIL import Image

from tests.fakes import faults
from tests.remote.host import POLLED, enlarged, picture
from upscale_bridge.errors import (
    AmbiguousSubmitError,
    BadReplyError,
    SettingsError,
    TaskError,
    TaskLostError,
)
from upscale_bridge.remote import follow, results
from upscale_bridge.remote.run import ResumeTask
from upscale_bridge.storage.settings import home

DAY = 86_400.0


def only_file():
    (path,) = (home() / "results").iterdir()
    return path


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


LOSSES = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "one byte short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "bit in the head": lambda path: flip(path, 1),
    "bit in the pixels": lambda path: flip(path, -20),
    "bit at the end": lambda path: flip(path, -1),
    "another picture": lambda path: path.write_bytes(OTHER),
    "web page": lambda path: path.write_bytes(b"<html>"),
}
OTHER = b""


@pytest.fixture(autouse=True)
def other_picture():
    buffer = io.BytesIO()
    Image.new("RGB", (48, 32), "red").save(buffer, "png")
    global OTHER
    OTHER = buffer.getvalue()


@pytest.mark.parametrize(
    ("command", "loss"),
    [(POLLED[number % len(POLLED)], loss) for number, loss in enumerate(LOSSES)],
)
def test_lost_file_is_fetched_again_free(vendor, command, loss):
    vendor.run(command)
    LOSSES[loss](only_file())
    found = vendor.run(command)
    assert torch.equal(found.images, enlarged(command, picture()))
    assert found.info["tasks"][0]["how"] == "resumed"
    assert len(vendor.fake.tasks) == vendor.submits() == 1
    before = len(vendor.fake.requests)
    assert torch.equal(vendor.run(command).images, enlarged(command, picture()))
    assert len(vendor.fake.requests) == before


def test_all_lost_files_of_a_batch_are_fetched_again(vendor):
    images = picture(*range(5))
    vendor.run("novita", images)
    for number, path in enumerate(sorted((home() / "results").iterdir())):
        if number % 2:
            path.unlink()
    assert torch.equal(vendor.run("novita", images).images, enlarged("novita", images))
    assert len(vendor.fake.tasks) == 5
    assert vendor.fake.count("download") == 7


def test_lost_base64_result_is_fetched_again(vendor):
    changes = {"enable_base64_output": True, "enable_sync_mode": True}
    vendor.run("wavespeed", **changes)
    only_file().write_bytes(b"")
    found = vendor.run("wavespeed", **changes)
    assert torch.equal(found.images, enlarged("wavespeed", picture()))
    assert len(vendor.fake.tasks) == 1


def test_resuming_fetches_a_lost_file_as_well(vendor):
    vendor.run("novita")
    only_file().unlink()
    found = vendor.host.resume(ResumeTask(task_id=vendor.fake.tasks[0].id))
    assert torch.equal(found.images, enlarged("novita", picture()))
    assert len(vendor.fake.tasks) == 1


@pytest.mark.parametrize("loss", ["gone", "empty", "bit in the pixels"])
def test_file_of_a_row_without_a_digest_is_checked_by_decoding(vendor, loss):
    """Rows of version 1 have none."""
    vendor.run("novita")
    with closing(sqlite3.connect(home() / "journal.sqlite3")) as connection, connection:
        connection.execute("UPDATE tasks SET digest = ''")
    LOSSES[loss](only_file())
    assert torch.equal(vendor.run("novita").images, enlarged("novita", picture()))
    assert len(vendor.fake.tasks) == 1


def test_unreachable_service_loses_nothing(vendor):
    vendor.run("novita")
    only_file().unlink()
    vendor.fake.faults["download"].extend([faults.reset_before_accept()] * 20)
    for _ in range(2):
        with pytest.raises(TaskError, match="Nothing is lost yet"):
            vendor.run("novita")
    vendor.fake.faults["download"].clear()
    assert torch.equal(vendor.run("novita").images, enlarged("novita", picture()))
    assert len(vendor.fake.tasks) == 1


def test_young_task_that_the_service_denies_is_not_paid_again(vendor):
    vendor.run("novita")
    path = only_file()
    path.unlink()
    for _ in range(2):
        vendor.fake.faults["poll"].extend([faults.not_found()] * 3)
        with pytest.raises(TaskLostError, match=r"kept file .* is gone\. .* gives it up") as caught:
            vendor.run("novita")
        assert str(path) in str(caught.value)
    assert torch.equal(vendor.run("novita").images, enlarged("novita", picture()))
    assert len(vendor.fake.tasks) == 1


GONE = {
    "unknown": ("poll", faults.not_found(), "does not know it any more"),
    "expired": ("download", faults.expired(), "does not have its result any more"),
    "nameless": ("poll", faults.null_lists(), "does not name its result any more"),
}


@pytest.mark.parametrize("way", GONE)
def test_result_that_is_gone_everywhere_is_said_before_it_is_paid_again(vendor, way):
    phase, fault, words = GONE[way]
    vendor.run("novita")
    only_file().unlink()
    vendor.clock.ahead += DAY
    vendor.fake.faults[phase].extend([fault] * 20)
    with pytest.raises(TaskLostError, match=rf"is gone.*{words}.*costs again"):
        vendor.run("novita")
    assert len(vendor.fake.tasks) == 1
    assert vendor.rows[0].state == "expired"
    vendor.fake.faults[phase].clear()
    assert torch.equal(vendor.run("novita").images, enlarged("novita", picture()))
    assert len(vendor.fake.tasks) == 2


def test_task_that_was_given_up_can_still_be_resumed_free(vendor):
    """The service may have lied, or its disk came back."""
    vendor.run("novita")
    only_file().unlink()
    vendor.clock.ahead += DAY
    vendor.fake.faults["poll"].extend([faults.not_found()] * 3)
    with pytest.raises(TaskLostError):
        vendor.run("novita")
    found = vendor.host.resume(ResumeTask(task_id=vendor.fake.tasks[0].id))
    assert torch.equal(found.images, enlarged("novita", picture()))
    assert len(vendor.fake.tasks) == 1


def test_young_task_without_a_readable_result_is_not_given_up(vendor):
    vendor.fake.faults["poll"].extend([faults.null_lists()] * follow._EMPTY_ANSWERS)
    with pytest.raises(TaskError, match="name no result that can be read"):
        vendor.run("novita")
    assert torch.equal(vendor.run("novita").images, enlarged("novita", picture()))
    assert len(vendor.fake.tasks) == 1


@pytest.mark.parametrize("loss", ["gone", "empty", "bit in the pixels"])
def test_result_of_an_api_without_ids_is_said_before_it_is_paid_again(vendor, loss):
    vendor.run("photio")
    LOSSES[loss](only_file())
    word = "gone" if loss == "gone" else "damaged"
    with pytest.raises(TaskLostError, match=rf"is {word}\. There is no task id .* costs again"):
        vendor.run("photio")
    assert len(vendor.fake.tasks) == 1
    assert torch.equal(vendor.run("photio").images, enlarged("photio", picture()))
    assert len(vendor.fake.tasks) == 2


def test_damaged_file_is_not_deleted_before_a_whole_one_is_here(vendor):
    vendor.run("novita")
    path = only_file()
    flip(path, -1)
    damaged = path.read_bytes()
    vendor.fake.faults["download"].extend([faults.reset_before_accept()] * 20)
    with pytest.raises(TaskError):
        vendor.run("novita")
    assert path.read_bytes() == damaged


def test_folder_that_cannot_be_read_is_not_a_lost_result(vendor):
    vendor.run("novita")
    path = only_file()
    data = path.read_bytes()
    path.unlink()
    path.mkdir()
    with pytest.raises(SettingsError, match="Cannot read"):
        vendor.run("novita")
    path.rmdir()
    path.write_bytes(data)
    assert torch.equal(vendor.run("novita").images, enlarged("novita", picture()))
    assert (vendor.fake.count("poll"), len(vendor.fake.tasks)) == (1, 1)


def test_result_that_is_not_what_was_asked_for_is_not_fetched_again(vendor):
    """It is as it was delivered; fetching it again would bring the same."""
    vendor.fake.faults["submit"].append(faults.smaller())
    for _ in range(2):
        with pytest.raises(BadReplyError, match="is kept in"):
            vendor.run("novita")
    assert vendor.fake.count("download") == 1


@pytest.mark.skipif(os.name != "posix", reason="folders are synced on POSIX")
@pytest.mark.parametrize(
    ("command", "base64"), [("novita", False), ("photio", True), ("wavespeed", True)]
)
def test_file_and_folder_are_on_the_disk_before_the_row_says_so(
    vendor, monkeypatch, command, base64
):
    done, order = os.fsync, []

    def fsync(handle):
        order.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        done(handle)

    journal = vendor.host.client.journal
    finish = journal.finish
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(journal, "finish", lambda *given: (order.append("row"), finish(*given)))
    changes = {"enable_base64_output": True} if base64 and command == "wavespeed" else {}
    vendor.run(command, **changes)
    assert order == ["file", "folder", "row"]


def test_lost_row_of_another_program_is_not_undone(vendor):
    """Two programs find the loss; the slower one must not undo what the faster one fetched."""
    vendor.run("novita")
    journal, row = vendor.host.client.journal, vendor.rows[0]
    only_file().unlink()
    vendor.run("novita")
    journal.miss(row, "stale", again=True)
    assert vendor.rows[0].state == "done"


def test_digest_is_that_of_the_file(tmp_path):
    part = tmp_path / "a.b.c.part"
    results.write(part, b"\x89PNG" + bytes(3_000_000))
    path, digest = results.settle(part, "a")
    assert path == tmp_path / "a.png"
    assert results.is_whole(path, digest)
    assert not results.is_whole(path, digest[::-1])
    assert results.is_whole(path, "")
    assert not results.is_whole(tmp_path / "none", "")


def test_file_of_another_format_takes_the_place_of_a_damaged_one(vendor):
    vendor.run("wavespeed", output_format="png")
    path = only_file()
    flip(path, -1)
    jpeg = io.BytesIO()
    Image.open(io.BytesIO(vendor.fake.tasks[0].picture()[0])).save(jpeg, "jpeg")
    vendor.fake.tasks[0].alter = lambda task, data: (jpeg.getvalue(), "image/jpeg")
    vendor.run("wavespeed", output_format="png")
    assert only_file() == path.with_suffix(".jpg")


# --- programs that end between the file and its row


class EndOfProgramError(BaseException):
    """Stands for whatever ends a thread."""


@pytest.mark.parametrize("command", ["photio", "novita"])
def test_result_whose_program_ended_before_it_was_noted_is_found(vendor, monkeypatch, command):
    """The only copy of an answer without an id lies in the folder of results then."""
    journal = vendor.host.client.journal

    def finish(*given):
        raise EndOfProgramError

    with monkeypatch.context() as patch:
        patch.setattr(journal, "finish", finish)
        with pytest.raises(EndOfProgramError):
            vendor.run(command)
    assert only_file().suffix == ".png"
    assert torch.equal(vendor.run(command).images, enlarged(command, picture()))
    assert len(vendor.fake.tasks) == 1


def test_file_of_an_earlier_task_is_not_taken_for_the_result_of_a_new_one(vendor):
    vendor.run("photio")
    path = only_file()
    path.write_bytes(OTHER)
    with pytest.raises(TaskLostError):
        vendor.run("photio")
    vendor.fake.faults["submit"].append(faults.reset_after_accept())
    for _ in range(2):
        with pytest.raises(AmbiguousSubmitError):
            vendor.run("photio")
    assert only_file().name == path.with_suffix(".rejected").name
    assert only_file().read_bytes() == OTHER
