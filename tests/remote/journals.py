"""A journal of tasks whose time only tests move, and what brings a task into a state."""

from dataclasses import replace

import pytest

from upscale_bridge.remote.journal import Journal, Task

ONE = Task("a1b2c3d4e5", "novita", "https://api.novita.ai", "NovitaUpscale", "{}", 20, 10)
TWO = replace(ONE, request="a1b2c3ffff")


class Clock:
    """A time that only tests move."""

    time = 1_700_000_000.0

    def now(self):
        return self.time

    def monotonic(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def journal(tmp_path, clock):
    return Journal(tmp_path, clock)


def running(journal, task=ONE, ticket="t-1"):
    assert journal.claim(task, 7)[1]
    assert journal.begin_submit(task.request)
    journal.accept(task.request, ticket)


def finished(journal, task=ONE, ticket="t-1", name="a.png"):
    running(journal, task, ticket)
    (journal.results / name).write_bytes(b"a picture")
    journal.finish(task.request, name)
