"""Modules that are run when something of them is first used."""

import importlib
import inspect
import sys
import threading

import pytest

from upscale_bridge.local.lazy_modules import run_when_used

PACKAGE = {
    "__init__.py": "from lazies import one, two",
    "one.py": "import lazies.two\nfrom .two import of_two\nof_one = of_two + 1",
    "two.py": "import time\ntime.sleep(0.05)\nfrom . import one\nof_two = 1",
    "bad.py": "raise ValueError('not today')",
}


@pytest.fixture
def lazies(tmp_path, monkeypatch):
    """A package that imports two modules of its own, which import each other."""
    (tmp_path / "lazies").mkdir()
    for name, text in PACKAGE.items():
        (tmp_path / "lazies" / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.meta_path)
    with run_when_used(["lazies.one", "lazies.two", "lazies.bad"]):
        yield importlib.import_module("lazies")
    assert sys.meta_path == before
    for name in [name for name in sys.modules if name.split(".")[0] == "lazies"]:
        del sys.modules[name]


def test_they_run_when_a_name_of_theirs_is_asked_for(lazies):
    inspect.getmodule(inspect.currentframe())  # asks all modules where they come from
    assert not hasattr(lazies.one, "__wrapped__")
    assert "of_one" not in vars(lazies.one)
    assert lazies.one.of_one == 2
    assert lazies.two.of_two == 1
    with pytest.raises(AttributeError, match=r"lazies\.one has no of_three"):
        lazies.one.of_three  # noqa: B018


def test_they_run_once_for_all_threads(lazies):
    found = []
    threads = [threading.Thread(target=lambda: found.append(lazies.two.of_two)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 4


def test_what_fails_says_so_each_time(lazies):
    bad = importlib.import_module("lazies.bad")
    for _ in range(2):
        with pytest.raises(ValueError, match="not today"):
            bad.anything  # noqa: B018
