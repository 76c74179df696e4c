"""Files under names that nobody can guess."""

import os
import re
import shutil
import stat
import threading

import pytest

from tests.server.sockless import TestClock, job
from upscale_bridge.errors import SettingsError
from upscale_bridge.server import worker
from upscale_bridge.server.files import FolderFiles
from upscale_bridge.server.ledger import NoRoomError
from upscale_bridge.server.sqlite_queue import SqliteQueue


@pytest.fixture
def clock():
    return TestClock()


@pytest.fixture
def files(tmp_path, clock):
    return FolderFiles(tmp_path / "files", 1000, clock)


def write(files, name, data, customer="anna"):
    """Store a file as the server does for a job."""
    files.accept(name, data, customer, room="room of " + name, size=len(data))
    files.release("room of " + name)


def reserve(files, room, size, customer, share=None):
    """Set room aside as the server does for a job whose image takes none."""
    files.accept(files.new_name(""), b"", customer, share, room=room, size=size)


def listed(tmp_path):
    return sorted(path.name for path in (tmp_path / "files").iterdir())


@pytest.mark.parametrize(
    ("mime", "suffix"),
    [
        *(
            ("image/png", "png"),
            ("image/jpeg", "jpg"),
            ("image/webp", "webp"),
            ("text/html", "bin"),
        ),
        *((odd, "bin") for odd in ("", "../../x", "image/png/../x", "IMAGE/PNG\0")),
    ],
)
def test_names_are_random_and_tell_known_types(files, mime, suffix):
    names = {files.new_name(mime) for _ in range(100)}
    assert len(names) == 100
    assert all(re.fullmatch(rf"[A-Za-z0-9_-]{{22}}\.{suffix}", name) for name in names)


def test_file_is_written_read_and_removed(files, tmp_path):
    name = files.new_name("image/png")
    assert files.read(name) is None
    write(files, name, b"one")
    assert files.read(name) == b"one"
    assert listed(tmp_path) == [name]
    files.remove(name)
    files.remove(name)
    assert files.read(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../secret.png",
        "..%2fsecret.png",
        "/etc/passwd",
        "a/" + 20 * "x" + ".png",
        "../" + 19 * "x" + ".png",
        22 * "x",
        22 * "x" + ".exe",
        22 * "x" + ".png/",
        22 * "x" + ".png\n",
        22 * "x" + ".png\0",
        21 * "x" + "é.png",
        ".." + 20 * "\\" + ".png",
    ],
)
def test_names_that_are_paths_lead_nowhere(files, tmp_path, name):
    write(files, files.new_name(""), b"x")
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    (tmp_path / (19 * "x" + ".png")).write_bytes(b"secret")
    assert files.read(name) is None
    files.remove(name)
    assert secret.exists()
    assert (tmp_path / (19 * "x" + ".png")).exists()


def test_quota_is_never_exceeded(files):
    names = [files.new_name("") for _ in range(3)]
    write(files, names[0], 600 * b"x")
    with pytest.raises(NoRoomError, match="used up"):
        reserve(files, "room", 401, "ben")
    with pytest.raises(NoRoomError, match="used up"):
        files.take(names[1], 401 * b"x", "ben")
    assert files.read(names[1]) is None
    write(files, names[1], 400 * b"x")
    assert files.size() == 1000
    files.remove(names[0])
    write(files, names[2], 600 * b"x")


def test_room_is_taken_until_it_is_filled_or_given_back(files):
    reserve(files, "one", 900, "anna")
    with pytest.raises(NoRoomError):
        reserve(files, "two", 101, "ben")
    files.write(files.new_name(""), 300 * b"x", room="one")
    assert files.size() == 300
    with pytest.raises(NoRoomError):
        reserve(files, "two", 101, "ben")
    files.release("one")
    reserve(files, "two", 700, "ben")


def test_first_file_takes_its_place_in_the_room_at_once(files):
    files.accept(files.new_name(""), 300 * b"x", "anna", room="one", size=900)
    assert files.size() == 300
    with pytest.raises(NoRoomError):
        reserve(files, "two", 101, "ben")
    files.write(files.new_name(""), 400 * b"x", room="one")
    assert files.size() == 700
    files.release("one")
    reserve(files, "two", 300, "ben")


def test_room_whose_first_file_cannot_be_stored_is_given_back(files, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    name = files.new_name("")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(SettingsError, match="No space left"):
            files.accept(name, b"x", "anna", room="one", size=1000)
    assert (files.read(name), files.size(), listed(tmp_path)) == (None, 0, [])
    reserve(files, "two", 1000, "ben")


def test_customer_has_a_share_of_the_disk(files):
    files.take(files.new_name(""), 400 * b"x", "anna", 500)
    with pytest.raises(NoRoomError, match="share"):
        reserve(files, "room", 101, "anna", 500)
    with pytest.raises(NoRoomError, match="share"):
        files.take(files.new_name(""), 200 * b"x", "anna", 500)
    reserve(files, "room", 100, "anna", 500)
    files.take(files.new_name(""), 500 * b"x", "ben", 500)


def test_uploads_are_counted_even_when_they_are_gone(files, clock):
    two_a_minute = ((60.0, 2),)
    names = [files.new_name("") for _ in range(2)]
    for name in names:
        files.take(name, b"x", "anna", None, two_a_minute)
    for name in names:
        files.remove(name)
    with pytest.raises(NoRoomError, match="2 files in 60 s"):
        files.take(files.new_name(""), b"x", "anna", None, two_a_minute)
    files.take(files.new_name(""), b"x", "ben", None, two_a_minute)
    clock.time += 61
    files.take(files.new_name(""), b"x", "anna", None, two_a_minute)


def test_disk_that_is_full_is_seen_before_anything_is_accepted(files, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(900, 600, 300))
    reserve(files, "one", 200, "anna")
    with pytest.raises(NoRoomError):  # of the 300 that are free 200 are spoken for
        reserve(files, "two", 101, "ben")
    reserve(files, "two", 100, "ben")


def test_what_lies_there_is_taken_up_at_the_start(files, tmp_path):
    names = [files.new_name("") for _ in range(2)]
    write(files, names[0], 10 * b"x")
    (tmp_path / "files" / names[0]).unlink()
    (tmp_path / "files" / names[1]).write_bytes(30 * b"x")
    (tmp_path / "files" / f".{names[1]}.part").write_bytes(b"x")
    files.settle()
    assert files.size() == 30
    assert listed(tmp_path) == [names[1]]


def test_file_is_stored_whole_or_not_at_all(files, tmp_path, monkeypatch):
    name = files.new_name("")
    write(files, name, b"before")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SettingsError, match="No space left"):
        files.write(name, b"after", room="")
    assert files.read(name) == b"before"
    assert listed(tmp_path) == [name]


def test_readers_never_see_a_part(files):
    name, bodies = files.new_name(""), {300 * b"a", 200 * b"b"}
    write(files, name, 300 * b"a")
    done, seen = threading.Event(), set()

    def read():
        while not done.is_set():
            seen.add(files.read(name))

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(20):
        for body in bodies:
            files.write(name, body, room="")
    done.set()
    thread.join()
    assert seen <= bodies


def test_threads_and_processes_write_and_remove_at_once(tmp_path):
    """A listener stores an image while a worker stores a result or sweeps."""
    errors = []

    def work(files):
        for _ in range(60):
            name = files.new_name("")
            try:
                write(files, name, b"x")
                files.sweep(3600, lambda name: False)
                files.remove(name)
            except OSError as error:
                errors.append(error)

    owners = [FolderFiles(tmp_path / "files", 1 << 20) for _ in range(4)]
    threads = [threading.Thread(target=work, args=(files,)) for files in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert owners[0].size() == 0


def test_sweep_removes_what_is_older(files, tmp_path, clock):
    old, new = files.new_name(""), files.new_name("")
    write(files, old, b"x")
    clock.time += 100
    write(files, new, b"x")
    files.sweep(50, lambda name: False)
    assert listed(tmp_path) == [new]


def test_nothing_is_swept_before_anything_was_written(files):
    files.sweep(0, lambda name: False)
    assert files.size() == 0


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_folder_is_for_its_owner_only(files, tmp_path):
    write(files, files.new_name(""), b"x")
    assert stat.S_IMODE((tmp_path / "files").stat().st_mode) == 0o700


# --- the worker's sweep


def test_expired_jobs_go_with_their_files(files, tmp_path, clock):
    queue = SqliteQueue(tmp_path, clock=clock)
    names = [files.new_name("") for _ in range(4)]
    for name in names:
        write(files, name, b"x")
    old = queue.submit(job(source=names[0], lifetime=-1.0))
    new = queue.submit(job(source=names[2], lifetime=100.0))
    queue.finish(queue.take(), names[1])
    queue.finish(queue.take(), names[3])
    worker.sweep(queue, files)
    assert queue.get(old.id) is None
    assert queue.get(new.id)
    assert listed(tmp_path) == sorted(names[2:])


def test_uploads_that_nobody_used_are_swept_too(files, tmp_path, clock):
    """Their promise is seven days; nothing else ever removes them."""
    files.take(files.new_name("image/png"), b"x", "anna")
    clock.time += 30 * 86_400
    worker.sweep(SqliteQueue(tmp_path, clock=clock), files)
    assert listed(tmp_path) == []


def test_rooms_of_jobs_that_are_over_or_never_came_are_given_back(files, tmp_path, clock):
    queue = SqliteQueue(tmp_path, clock=clock)
    ended, waiting = (queue.submit(job(customer=name)) for name in ("anna", "ben"))
    for room in (ended.id, waiting.id, "of a submit that broke off"):
        reserve(files, room, 300, "anna")
    queue.fail(queue.take(), "why")
    worker.sweep(queue, files)
    with pytest.raises(NoRoomError):  # a submit may still be on its way to its job
        reserve(files, "more", 700, "anna")
    clock.time += 3600
    worker.sweep(queue, files)
    reserve(files, "more", 700, "anna")
    with pytest.raises(NoRoomError):
        reserve(files, "yet more", 1, "anna")
