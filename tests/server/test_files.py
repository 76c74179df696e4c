"""Files under names that nobody can guess."""

import os
import re
import stat
import threading
import time

import pytest

from tests.server.kit import job
from upscale_bridge.errors import SettingsError
from upscale_bridge.server import worker
from upscale_bridge.server.files import Files
from upscale_bridge.server.sqlite_queue import SqliteQueue


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path / "files", 1000)


def listed(tmp_path):
    return sorted(path.name for path in (tmp_path / "files").iterdir())


@pytest.mark.parametrize(
    ("mime", "suffix"),
    [("image/png", "png"), ("image/jpeg", "jpg"), ("image/webp", "webp"), ("text/html", "bin")],
)
def test_names_are_random_and_tell_the_type(files, mime, suffix):
    names = {files.new_name(mime) for _ in range(100)}
    assert len(names) == 100
    assert all(re.fullmatch(rf"[A-Za-z0-9_-]{{22}}\.{suffix}", name) for name in names)


@pytest.mark.parametrize("mime", ["", "../../x", "image/png/../x", "IMAGE/PNG\0"])
def test_unknown_types_do_not_get_into_names(files, mime):
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}\.bin", files.new_name(mime))


def test_file_is_written_read_and_removed(files, tmp_path):
    name = files.new_name("image/png")
    assert files.read(name) is None
    files.write(name, b"one")
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
    files.write(files.new_name(""), b"x")
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    (tmp_path / (19 * "x" + ".png")).write_bytes(b"secret")
    assert files.read(name) is None
    files.remove(name)
    assert secret.exists()
    assert (tmp_path / (19 * "x" + ".png")).exists()


def test_quota_is_never_exceeded(files):
    names = [files.new_name("") for _ in range(3)]
    files.write(names[0], 600 * b"x")
    with pytest.raises(SettingsError, match="quota"):
        files.write(names[1], 401 * b"x")
    assert files.read(names[1]) is None
    files.write(names[1], 400 * b"x")
    assert files.size() == 1000
    files.remove(names[0])
    files.write(names[2], 600 * b"x")


def test_file_is_stored_whole_or_not_at_all(files, tmp_path, monkeypatch):
    name = files.new_name("")
    files.write(name, b"before")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SettingsError, match="No space left"):
        files.write(name, b"after")
    assert files.read(name) == b"before"
    assert listed(tmp_path) == [name]


def test_readers_never_see_a_part(files):
    name, bodies = files.new_name(""), {300 * b"a", 200 * b"b"}
    files.write(name, 300 * b"a")
    done, seen = threading.Event(), set()

    def read():
        while not done.is_set():
            seen.add(files.read(name))

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(20):
        for body in bodies:
            files.write(name, body)
    done.set()
    thread.join()
    assert seen <= bodies


def test_threads_and_processes_write_and_remove_at_once(tmp_path):
    """A listener stores an image while a worker stores a result or sweeps."""
    errors = []

    def write(files):
        for _ in range(60):
            name = files.new_name("")
            try:
                files.write(name, b"x")
                files.sweep(0)
                files.remove(name)
            except OSError as error:
                errors.append(error)

    owners = [Files(tmp_path / "files", 1 << 20) for _ in range(4)]
    threads = [threading.Thread(target=write, args=(files,)) for files in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert owners[0].size() == 0


def test_size_does_not_mind_a_file_that_vanishes(files, tmp_path, monkeypatch):
    files.write(files.new_name(""), b"xyz")
    gone = tmp_path / "files" / "gone"
    listing = files._listing
    monkeypatch.setattr(files, "_listing", lambda: [*listing(), gone])
    assert files.size() == 3
    files.sweep(0)


def test_sweep_removes_what_is_older(files, tmp_path):
    old, new = files.new_name(""), files.new_name("")
    for name in (old, new):
        files.write(name, b"x")
    os.utime(tmp_path / "files" / old, (50, 50))
    files.sweep(100)
    assert listed(tmp_path) == [new]


def test_nothing_is_swept_before_anything_was_written(files):
    files.sweep(time.time())
    assert files.size() == 0


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_folder_is_for_its_owner_only(files, tmp_path):
    files.write(files.new_name(""), b"x")
    assert stat.S_IMODE((tmp_path / "files").stat().st_mode) == 0o700


# --- the worker's sweep


def test_expired_jobs_go_with_their_files(files, tmp_path):
    queue = SqliteQueue(tmp_path)
    names = [files.new_name("") for _ in range(4)]
    for name in names:
        files.write(name, b"x")
    old = queue.submit(job(source=names[0], lifetime=-1.0))
    new = queue.submit(job(source=names[2], lifetime=100.0))
    queue.finish(queue.take(), names[1])
    queue.finish(queue.take(), names[3])
    worker.sweep(queue, files)
    assert queue.get(old.id) is None
    assert queue.get(new.id)
    assert listed(tmp_path) == sorted(names[2:])


def test_uploads_that_nobody_used_are_swept_too(files, tmp_path):
    """Their promise is seven days; nothing else ever removes them."""
    name = files.new_name("image/png")
    files.write(name, b"x")
    month_ago = time.time() - 30 * 86_400
    os.utime(tmp_path / "files" / name, (month_ago, month_ago))
    worker.sweep(SqliteQueue(tmp_path), files)
    assert listed(tmp_path) == []
