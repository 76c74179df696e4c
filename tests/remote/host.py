"""A host that speaks to the stand-in of the vendors, and time that passes at once."""

import json
import re
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

from tests.fakes import faults
from tests.vendors import profiles
from upscale_bridge.errors import StoppedError
from upscale_bridge.monitor import Monitor
from upscale_bridge.remote.client import Client
from upscale_bridge.remote.clock import Clock
from upscale_bridge.service import Service
from upscale_bridge.storage.settings import home

KEY = "sk-only-for-tests-0123456789"
WIDTH, HEIGHT = 24, 16
PROFILES = profiles()
KINDS = {command: one.operation for command, one in PROFILES.items()}
ALL = tuple(KINDS)
POLLED = tuple(command for command in ALL if PROFILES[command].words)
ENDED = tuple(c for c, kind in KINDS.items() if kind.retirement and not kind.deprecated)
"""Nobody gives keys for them any more."""

TASK = next(one for one in POLLED if not KINDS[one].uploads)
UPLOADING = next(one for one in POLLED if KINDS[one].uploads)
SYNC = next(one for one in ALL if one not in POLLED)
EACH = (TASK, UPLOADING, SYNC)
"""One of each course that a request takes: what is the lifecycle's own is the same for others."""
TASKS = (TASK, UPLOADING)
OTHERS = tuple(command for command in ALL if command not in EACH)

PASSING = (  # it is enough to ask again
    faults.reset_before_accept(),
    faults.reset_before_accept(read=False),
    faults.reset_after_accept(),
    faults.drop_answer(),
    faults.drop_answer(accept=False),
    faults.close_after(),
    faults.stall(0.03),
    faults.stall(0.03, silent=True),
    faults.drip(0.002, 5),
    faults.answer(408),
    faults.answer(425),
    faults.answer(500, "<html>"),
    faults.answer(502),
    faults.answer(503),
    faults.answer(504),
    faults.refused("server"),
    faults.retry_after(3),
    faults.retry_after_date(3),
    faults.truncated(),
    faults.truncated(1),
)
SILENT = (faults.stall(), faults.stall(silent=True), faults.stall(accept=False))
UNREADABLE = (
    faults.answer(200),
    faults.answer(200, b"{"),
    faults.answer(200, []),
    faults.html_200(),
    faults.huge(2),
    faults.huge(),
    faults.gzip_bomb(2),
)


class FakeClock(Clock):
    """Waits end at once and are remembered; time goes on by their length."""

    def __init__(self):
        self.ahead = 0.0
        self.waits = []
        self._lock = threading.Lock()

    def now(self):
        return time.time() + self.ahead

    def monotonic(self):
        return time.monotonic() + self.ahead

    def wait(self, stop, seconds):
        with self._lock:
            self.ahead += seconds
            self.waits.append(seconds)
        return stop.wait(0.001)  # lets other threads run


class Watch(Monitor):
    """Remembers what it is told, and stops as soon as `when` is true."""

    def __init__(self, when=None):
        self.when = when
        self.lines, self.steps, self.notices, self.stopped = [], [], [], None

    def check(self):
        if self.when is not None and self.when():
            self.stopped = time.monotonic()
            raise StoppedError

    def status(self, text):
        self.lines.append(text)

    def progress(self, done, total):
        self.steps.append((done, total))

    def notice(self, text):
        self.notices.append(text)


class Remote:
    """One stand-in, and a host whose settings and keys lead to it."""

    def __init__(self, fake):
        self.fake = fake
        self.clock = FakeClock()
        self.host = self.another()

    def another(self, **options):
        """Return a second host of the same user; `options` are those of its `Client`."""
        host = Service()
        host._client = Client(**{"clock": self.clock, **options})
        return host

    def run(self, command, images=None, monitor=None, **changes):
        """Run an operation by its shell word, on one image unless told otherwise."""
        images = picture() if images is None else images
        return self.host.run(make(command, **changes), images, monitor)

    @property
    def rows(self):
        """The journal, oldest first."""
        return self.host.client.journal.all()[::-1]

    def submits(self):
        return self.fake.count("submit")


def make(command, **changes):
    """Return an operation by its shell word."""
    return KINDS[command](**{**PROFILES[command].sending, **changes})


def picture(*seeds, channels=3, size=(WIDTH, HEIGHT)):
    """Return smooth images [batch, height, width, channels], another one for every seed."""
    width, height = size
    found = []
    for seed in seeds or (0,):
        coarse = np.random.default_rng(seed).random((4, 4, channels))
        layers = [
            Image.fromarray(np.uint8(255 * coarse[..., index])).resize((width, height), 3)
            for index in range(channels)
        ]
        found.append(np.stack([np.asarray(layer) for layer in layers], axis=-1) / 255)
    return torch.from_numpy(np.stack(found)).float()


def enlarged(command, images):
    """Return what the stand-in makes of images, as the host must deliver it."""
    width, height = images.shape[2], images.shape[1]
    edge = PROFILES[command].long_edge
    factor = max(edge / max(width, height), 1) if edge else 2
    size = round(width * factor), round(height * factor)
    arrays = (images.numpy() * 255).round().astype(np.uint8)
    found = [
        np.asarray(Image.fromarray(array).resize(size, Image.Resampling.BICUBIC))
        for array in arrays
    ]
    return torch.from_numpy(np.stack(found)).float() / 255


def states(command, queued=0, running=0):
    """Return what the polls of a task tell, one after the other."""
    words = PROFILES[command].words
    return [words.queued] * queued + [words.running] * running + [words.done]


def configure(**values):
    """Write the user's settings."""
    home().mkdir(parents=True, exist_ok=True)
    (home() / "settings.json").write_text(json.dumps(values), "utf-8")


def named(error):
    """Return the request that an error's advice names."""
    return re.search(r"tasks (?:resume|forget) ([0-9a-f]{12})", str(error))[1]


def check_delivered(remote, command, tasks=1):
    """Run the same request twice: its result is right, was paid once, and is kept."""
    assert torch.equal(remote.run(command).images, enlarged(command, picture()))
    assert len(remote.fake.tasks) == tasks
    before = len(remote.fake.requests)
    assert torch.equal(remote.run(command).images, enlarged(command, picture()))
    assert len(remote.fake.requests) == before


def rows(*entries):
    """Return one case per command of each (commands, fault, *expected)."""
    return [
        pytest.param(command, *entry, id=f"{command}-{index}-{entry[0].name}")
        for index, (commands, *entry) in enumerate(entries)
        for command in commands
    ]


def wait_until(condition, seconds=60.0):
    """Wait for something that another thread does."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.002)
