"""A folder is looked through again when something in it has changed, and only then."""

import os
import time
from pathlib import Path

import pytest

from upscale_bridge.local import scan as scan_module
from upscale_bridge.local.library import Library
from upscale_bridge.local.scan import scan_folder

LONG_AGO = 1e9


def settle(folder):
    """Let all folders look as if nothing had happened for long."""
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            os.utime(path, (LONG_AGO, LONG_AGO))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "models" / "deep").mkdir(parents=True)
    for name in ("a.pth", "deep/b.pth"):
        (tmp_path / "models" / name).touch()
    settle(tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def looked(monkeypatch):
    """Folders that were listed."""
    found, listed = [], scan_module._listed
    monkeypatch.setattr(scan_module, "_listed", lambda path: found.append(path) or listed(path))
    return found


def names(library):
    return [entry.name for entry in library.entries() if entry.origin == "found"]


def test_what_has_not_changed_is_not_looked_through_again(folder, looked):
    library = Library(lambda: [folder])
    assert names(library) == ["a", "deep/b"]
    assert folder in looked
    assert folder / "deep" in looked
    looked.clear()
    assert names(library) == ["a", "deep/b"]
    assert library.find("b") == folder / "deep" / "b.pth"
    assert not [path for path in looked if path.is_relative_to(folder)]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda folder: (folder / "c.pth").touch(), ["a", "c", "deep/b"]),
        (lambda folder: (folder / "deep" / "c.pth").touch(), ["a", "deep/b", "deep/c"]),
        (lambda folder: (folder / "a.pth").unlink(), ["deep/b"]),
        (lambda folder: (folder / "deep").rename(folder / "other"), ["a", "other/b"]),
        (lambda folder: (folder / "deep" / "b.pth").rename(folder / "b.pth"), ["a", "b"]),
    ],
    ids=["a file", "a file below", "a file is gone", "a folder", "moved"],
)
def test_what_changes_is_seen_at_once(folder, change, wanted):
    library = Library(lambda: [folder])
    assert names(library) == ["a", "deep/b"]
    change(folder)
    assert names(library) == wanted


def test_a_folder_that_comes_later_is_seen(tmp_path):
    later = tmp_path / "later"
    library = Library(lambda: [later])
    assert names(library) == []
    later.mkdir()
    (later / "a.pth").touch()
    assert names(library) == ["a"]


def test_two_changes_within_a_tick_of_the_clock_are_seen(folder):
    """The second one leaves the folder's time as it is."""
    library = Library(lambda: [folder])
    now = time.time()
    os.utime(folder, (now, now))
    assert names(library) == ["a", "deep/b"]
    (folder / "c.pth").touch()
    os.utime(folder, (now, now))
    assert names(library) == ["a", "c", "deep/b"]


def test_a_link_that_leads_elsewhere_is_followed_anew(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "z.pth").touch()
    os.utime(other, (LONG_AGO, LONG_AGO))
    link = folder / "link"
    try:
        link.symlink_to(folder / "deep", target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no symbolic links")
    library = Library(lambda: [folder])
    assert names(library) == ["a", "deep/b"]
    link.unlink()
    link.symlink_to(other, target_is_directory=True)
    assert names(library) == ["a", "deep/b", "link/z"]


def test_a_scan_tells_paths_with_slashes(folder):
    found = scan_folder(folder)
    assert {name: path.name for name, path in found.files.items()} == {
        "a.pth": "a.pth",
        "deep/b.pth": "b.pth",
    }
    assert found.holds()
    assert not scan_folder(Path(folder / "nowhere")).files
