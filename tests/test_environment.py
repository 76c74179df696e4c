"""The two commands on machines where they cannot work."""

import importlib.util
import sys
from collections import namedtuple
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def environment(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("environment", ROOT / "dev" / "environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "requirements.txt").write_text("nothing\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "ENVIRONMENT", tmp_path / ".venv")
    return module


def test_old_python_is_told_what_it_needs(environment, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 8, 1))
    with pytest.raises(SystemExit, match=r"Python 3\.8 is too old; .* 3\.10 or newer"):
        environment.prepare("requirements.txt")


def test_full_disk_is_told_how_much_is_needed(environment, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda _: usage(1, 1, 2**20))
    with pytest.raises(SystemExit, match=r"2 GiB are needed .* Free some space"):
        environment.prepare("requirements.txt")


def test_disk_that_fills_up_during_the_installation_is_told(environment, monkeypatch):
    failed = namedtuple("done", "returncode stderr")(1, "OSError: No space left on device")
    monkeypatch.setattr(environment.subprocess, "run", lambda *_, **__: failed)
    monkeypatch.setattr(environment, "_make_environment", lambda: None)
    with pytest.raises(SystemExit, match=r"is full\. Free 8 GiB"):
        environment.prepare("requirements.txt")


def test_second_run_installs_nothing(environment, monkeypatch):
    done = namedtuple("done", "returncode stderr")(0, "")
    calls = []
    monkeypatch.setattr(environment, "_make_environment", environment.ENVIRONMENT.mkdir)
    monkeypatch.setattr(
        environment.subprocess, "run", lambda command, **_: calls.append(command) or done
    )
    environment.prepare("requirements.txt")
    environment.prepare("requirements.txt")
    assert len(calls) == 1
