"""A WebUI of its own for every test; no other test can import the adapter with it."""

import contextlib
import functools
import sys

import pytest
import torch

from tests.vendors import environment
from tests.webui.host import WebUI
from tests.webui.started import Vendor
from upscale_bridge.local import loader


def forget():
    """Let the next import of the adapter be a new one."""
    for name in [name for name in sys.modules if name.split(".")[0] == "upscale_bridge_webui"]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def loaded():
    """Load each model once for all tests."""
    return functools.lru_cache(loader.load_model)


@pytest.fixture
def installed(request, monkeypatch, tmp_path, loaded):
    """A WebUI (Forge, or what the parameter says) with the extension, not started yet."""
    made = WebUI(getattr(request, "param", "forge"), tmp_path / "webui")
    setattr(made.devices, made.device, torch.device("cpu"))
    for name, module in made.modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("upscale_bridge.local.loader.load_model", loaded)
    for name in environment("", ""):
        monkeypatch.delenv(name, raising=False)
    forget()
    yield made
    forget()


@pytest.fixture
def webui(installed):
    """The same WebUI, started."""
    return installed.start()


@pytest.fixture
def vendor(webui, monkeypatch):
    """Start a stand-in of the vendors with `options`."""
    with contextlib.ExitStack() as stack:

        def start(**options):
            made = Vendor(monkeypatch, **options)
            stack.enter_context(made.fake)
            return made

        yield start
