"""Addresses that customers name for their webhooks may be slow, broken or hostile."""

import logging
import threading
import time

import pytest

from tests.remote.host import wait_until
from tests.server.sockless import TestClock, job
from upscale_bridge.server import webhooks
from upscale_bridge.server.sqlite_queue import SqliteQueue
from upscale_bridge.server.webhooks import Secrets, Webhooks


class Hooks:
    """A queue of ended jobs, and what their webhooks were sent."""

    def __init__(self, folder):
        self.clock, self.sent = TestClock(), []
        self.queue = SqliteQueue(folder, clock=self.clock)
        self.release = threading.Event()
        self.waiting = threading.Semaphore(0)
        self.hooks = Webhooks(
            self.queue, lambda job: {"id": job.id}, self.post, Secrets(folder / "s"), self.clock
        )

    def post(self, url, body, headers):
        self.sent.append(url)
        if "tarpit" in url:
            self.waiting.release()
            self.release.wait(20)
        if "raises" in url:
            raise ValueError("Invalid IPv6 URL")
        return 200

    def ended(self, customer, url, count=1):
        """Store jobs that have ended."""
        for _ in range(count):
            self.queue.submit(job(customer, webhook=url))
            self.queue.fail(self.queue.take(), "why")


@pytest.fixture
def hooks(tmp_path):
    found = Hooks(tmp_path)
    yield found
    found.release.set()


def test_tarpits_of_one_customer_do_not_delay_the_events_of_another(hooks, monkeypatch):
    monkeypatch.setattr(webhooks, "_LOOK_SECONDS", 0.01)
    hooks.ended("anna", "https://tarpit.example/", 40)
    with hooks.hooks:
        for _ in range(2):
            assert hooks.waiting.acquire(timeout=5)
        hooks.ended("ben", "https://ben.example/", 10)
        wait_until(lambda: hooks.sent.count("https://ben.example/") == 10)
        assert hooks.sent.count("https://tarpit.example/") == 2
        hooks.release.set()
        wait_until(lambda: hooks.sent.count("https://tarpit.example/") == 40)


def test_no_event_is_sent_twice_while_it_is_on_its_way(hooks, monkeypatch):
    monkeypatch.setattr(webhooks, "_LOOK_SECONDS", 0.01)
    hooks.ended("anna", "https://tarpit.example/")
    with hooks.hooks:
        assert hooks.waiting.acquire(timeout=5)
        assert not hooks.waiting.acquire(timeout=0.2)
        hooks.release.set()
        wait_until(lambda: not hooks.queue.untold(2))
    assert len(hooks.sent) == 1


def test_address_that_breaks_the_client_does_not_end_the_thread(hooks, monkeypatch, caplog):
    """Older versions stored addresses that were never looked at."""
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(webhooks, "_LOOK_SECONDS", 0.01)
    hooks.ended("anna", "http://raises[")
    with hooks.hooks:
        wait_until(lambda: hooks.sent == ["http://raises["])
        hooks.ended("ben", "https://ben.example/")
        wait_until(lambda: "https://ben.example/" in hooks.sent)
        assert hooks.hooks._thread.is_alive()
    assert "ValueError" in caplog.text


def test_queue_that_fails_for_a_while_does_not_end_the_thread(hooks, monkeypatch):
    monkeypatch.setattr(webhooks, "_LOOK_SECONDS", 0.01)
    broken = threading.Event()
    broken.set()
    real = hooks.queue.untold

    def untold(each):
        if broken.is_set():
            raise OSError("the disk is gone")
        return real(each)

    monkeypatch.setattr(hooks.queue, "untold", untold)
    hooks.ended("anna", "https://anna.example/")
    with hooks.hooks:
        time.sleep(0.05)
        broken.clear()
        wait_until(lambda: hooks.sent == ["https://anna.example/"])


def test_customers_take_turns_when_there_are_more_than_places(hooks):
    for number in range(30):
        hooks.ended(f"customer-{number}", f"https://{number}.example/")
    while hooks.queue.untold(2):
        hooks.hooks.tell_all()
    assert len(set(hooks.sent)) == len(hooks.sent) == 30
