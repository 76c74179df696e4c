"""A started WebUI with the vendors' stand-in, images, and what errors tell."""

import importlib
import logging
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.fakes import faults
from tests.fakes.service import FakeService
from tests.remote.host import PROFILES, FakeClock
from tests.vendors import environment
from upscale_bridge.remote.client import Client
from upscale_bridge.vendors import OPERATIONS

BOTH = pytest.mark.parametrize("installed", ["forge", "reforge"], indirect=True)
KEY = "sk-only-for-these-tests-9876543210"
MODEL = "Bridge: UpscaleBridge-x4"
KINDS = {kind.command: kind for kind in OPERATIONS}
SENDING = tuple(command for command, one in PROFILES.items() if not one.sending)
"""Services that take an image itself, by their shell words."""
MODES = ("RGB", "RGBA", "L", "LA", "P", "P with transparency", "I;16", "CMYK", "1")
JOBS = ("task(abc)", "scripts_txt2img", "Batch 1 out of 1", "")
"""What the WebUI says that it does while it generates."""


def title(command):
    """Return the name of a service's entry."""
    return f"Bridge: {KINDS[command].title}"


def part(name):
    """Return a module of the adapter, as the WebUI of this test has imported it."""
    return importlib.import_module(f"upscale_bridge_webui.{name}")


def photo(width=24, height=16, mode="RGB", seed=0):
    """Return a smooth image."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 4), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    if mode == "P with transparency":
        image = image.convert("RGB").quantize(16)
        image.info["transparency"] = 0
        return image
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    return image.convert(mode)


def array(image):
    """Return an image's pixels as floats in 0..255."""
    return np.asarray(image).astype(np.float64)


def differs(one, other):
    """Return by how much two images of one size and mode differ on average, in 0..255."""
    assert (one.size, one.mode) == (other.size, other.mode)
    return np.abs(array(one) - array(other)).mean()


def rounded(image, scale):
    """Return the size that the WebUI wants; never an empty one."""
    return tuple(max(int((side * scale) // 8 * 8), 8) for side in image.size)


def lanczos(image, scale):
    """Return what the WebUI shows when no model ran."""
    return image.resize(rounded(image, scale), Image.Resampling.LANCZOS)


class Vendor:
    """The stand-in of the vendors; the WebUI's own client speaks to it in time that flies, or by
    `clock`."""

    def __init__(self, monkeypatch, clock=None, **options):
        self.fake = FakeService(key=KEY, **options)
        for name, value in environment(self.fake.base_url, KEY).items():
            monkeypatch.setenv(name, value)
        settings = part("options").chosen_settings
        part("host").service()._client = Client(settings=settings, clock=clock or FakeClock())

    def submits(self):
        return self.fake.count("submit")

    def told(self):
        """Return what the last task was asked for, without its image."""
        body = self.fake.tasks[-1].body
        return body.get("request", body)

    def press(self, webui, button, phase):
        """Let a request of this phase hang for ever, and press a button while it does."""
        stalled = faults.stall()

        def act(x):
            self.pressed = time.monotonic()
            setattr(webui.state, button, True)
            stalled.act(x)

        self.fake.faults[phase].append(replace(stalled, act=act))

    def waited(self):
        """Return for how many seconds the button had been pressed."""
        return time.monotonic() - self.pressed


def errors(caplog):
    """Return what was logged as errors."""
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]


def told_by(error):
    """Return all that any host could show of an error: words, fields, frames with their values."""
    found, trace = [str(error), repr(error), repr(vars(error))], error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if "upscale_bridge" in frame.f_code.co_filename:
            found += [f"{name}={value!r}" for name, value in frame.f_locals.items()]
        trace = trace.tb_next
    return "\n".join(found)
