"""A batch takes hardly longer than one image, and a request hardly longer than its service."""

import time

import pytest
import torch

from tests.remote.kit import configure, enlarged, picture
from upscale_bridge.remote.clock import Clock

SECONDS = 1.0
SLOTS = 16
TRIES = 3  # a busy machine may spoil one


@pytest.fixture
def timed(remote):
    """Run images through a real clock and return how long it took."""
    configure(concurrency=SLOTS)
    slow = remote(seconds=SECONDS)
    slow.host = slow.another(clock=Clock())
    slow.run("novita", picture(0))  # imports what the first request needs

    def run(seeds):
        images = picture(*seeds)
        started = time.monotonic()
        found = slow.run("novita", images).images
        seconds = time.monotonic() - started
        assert torch.equal(found, enlarged("novita", images))
        return seconds

    run.fake = slow.fake
    return run


def test_sixteen_images_take_as_long_as_one(timed):
    ratios, singles = [], []
    for attempt in range(1, TRIES + 1):
        one = timed([100 * attempt])
        singles.append(one)
        all_of_them = timed(range(100 * attempt + 1, 100 * attempt + 1 + SLOTS))
        ratios.append(all_of_them / one)
        if ratios[-1] <= 1.15:
            break
    assert min(ratios) <= 1.15
    assert min(singles) < SECONDS + 1.0  # looks at a task become rarer
    assert timed.fake.most_unfinished == SLOTS
