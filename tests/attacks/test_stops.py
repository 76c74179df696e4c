"""Whatever a host answers, and however slowly: an answer has an end, and so has a stop."""

import contextlib
import logging
import os
import signal
import threading
import time
import tracemalloc

import pytest

from tests.fakes import faults
from tests.raw_server import RawServer
from tests.remote.conftest import ends, remote, vendor  # noqa: F401 (fixtures)
from tests.remote.host import ALL, KEY, Watch, picture, wait_until
from upscale_bridge.cli.terminal import Terminal, interruptible
from upscale_bridge.contract.http import Call
from upscale_bridge.errors import (
    AmbiguousSubmitError,
    BadReplyError,
    StoppedError,
    TransportError,
    UpscaleError,
)
from upscale_bridge.network import watch as watching
from upscale_bridge.network.transport import Transport, fetch_public
from upscale_bridge.remote import pool
from upscale_bridge.storage.keys import Secret

SUBMIT = Call("POST", "/v3/async/upscale", b"an image" * 100)
MEGABYTE = 1 << 20
AT_ONCE = 10.0
"""Seconds, on a machine that is busy with other things; any other end takes 15 or more."""
HEAD = "HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + "Transfer-Encoding: chunked\r\n\r\n"


def dripping(text, endless="x", pause=0.01):
    """Send `text` and then `endless` again and again."""

    def talk(server, connection, head):
        take(server, connection, head)
        connection.sendall(text.encode())
        while True:
            connection.sendall(endless.encode())
            time.sleep(pause)

    return talk


def take(server, connection, head):
    """Take the request's body; it is all handed over then."""
    left = len(SUBMIT.body) if head.startswith(b"POST") else 0
    while left > 0:
        left -= len(connection.recv(left))
    server.sent = 1


def silent(server, connection, head):
    """Take what comes and say nothing."""
    take(server, connection, head)
    connection.recv(1)


class Time:
    """A clock of which each look takes `step` seconds."""

    def __init__(self, step=0.0):
        self.step, self.now = step, 1000.0

    def __call__(self):
        self.now += self.step
        return self.now


def line_to(url, clock=time.monotonic):
    return Transport(url, "Authorization", "Bearer ", Secret(KEY), clock=clock)


def heard():
    raise StoppedError


def go_on():
    """Do not stop."""


SHAPES = {
    "headers": (HEAD + "A: ", "x"),
    "more headers": (HEAD, "A: b\r\n"),
    "100-continue": ("", "HTTP/1.1 100 Continue\r\n\r\n"),
    "a status line": ("HTTP/1.1 200 ", "x"),
    "a body": (HEAD + "Content-Length: 999999\r\n\r\n", "x"),
    "a body without a length": (HEAD + "\r\n", "x"),
    "chunks": (CHUNKED, "1\r\nx\r\n"),
    "an extension of a chunk": (CHUNKED + "5;", "a=b;"),
    "trailers": (CHUNKED + "0\r\n", "A: b\r\n"),
}


# --- a stop


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_stop_leaves_a_paid_answer_fifteen_seconds(shape):
    clock = Time()
    with RawServer(dripping(*shape)) as server:
        begun = []

        def stop():
            if server.sent:
                begun.append(clock.now)
                clock.step = 1.0
                raise StoppedError

        with pytest.raises(TransportError, match="15 s after the stop") as caught:
            line_to(server.url, clock).send(
                SUBMIT, once=True, stop=stop, limit=MEGABYTE, read_seconds=300.0
            )
        assert caught.value.sent
        assert len(begun) == 1, "heard once, and not asked again"
        assert 15 < clock.now - begun[0] < 25


def test_stop_leaves_a_silent_paid_call_fifteen_seconds():
    clock = Time(step=6.0)
    with RawServer(silent) as server:
        stop = heard_once_sent(server)
        began = time.monotonic()
        with pytest.raises(TransportError, match="15 s after the stop") as caught:
            line_to(server.url, clock).send(
                SUBMIT, once=True, stop=stop, limit=MEGABYTE, read_seconds=300.0
            )
        assert caught.value.sent
        assert time.monotonic() - began < 100  # and not the 300 s of a paid call


def heard_once_sent(server):
    def stop():
        if server.sent:
            raise StoppedError

    return stop


def test_answer_that_comes_after_the_stop_is_not_lost():
    def talk(server, connection, head):
        take(server, connection, head)
        time.sleep(0.3)
        connection.sendall(f"{HEAD}Content-Length: 2\r\n\r\n{{}}".encode())

    with RawServer(talk) as server:
        reply = line_to(server.url).send(
            SUBMIT, once=True, stop=heard_once_sent(server), limit=MEGABYTE
        )
        assert reply.body == b"{}"


@pytest.mark.parametrize("shape", [*SHAPES.values(), ("", "")], ids=[*SHAPES, "silence"])
def test_stop_ends_a_free_call_at_once(shape, tmp_path):
    for action in (
        lambda line, stop: line.send(Call("GET", "/a"), stop=stop, limit=MEGABYTE),
        lambda line, stop: line.fetch(
            line.base_url, tmp_path / "a", stop=stop, progress=print, limit=MEGABYTE
        ),
    ):
        with RawServer(dripping(*shape)) as server:
            began = time.monotonic()
            with pytest.raises(StoppedError):
                action(line_to(server.url), heard_once_sent(server))
            assert time.monotonic() - began < AT_ONCE


# --- slowness


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_one_byte_in_ten_seconds_is_too_slow(shape, once):
    clock = Time(step=10.0)
    with RawServer(dripping(*shape, pause=0.001)) as server:
        with pytest.raises(TransportError, match="too slowly") as caught:
            line_to(server.url, clock).send(
                SUBMIT, once=once, stop=go_on, limit=MEGABYTE, read_seconds=300.0
            )
        assert caught.value.sent


def test_slow_but_steady_answer_is_read():
    body = b"x" * 30_000
    clock = Time()

    def talk(server, connection, head):
        connection.sendall(f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode())
        for at in range(0, len(body), 5000):
            clock.now += 0.9  # 5 kB in a second are enough
            connection.sendall(body[at : at + 5000])
            time.sleep(0.01)

    with RawServer(talk) as server:
        reply = line_to(server.url, clock).send(
            SUBMIT, once=True, stop=go_on, limit=MEGABYTE, read_seconds=1.0
        )
        assert reply.body == body


# --- too much


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_floods_have_an_end_and_little_memory(shape, tmp_path):
    start, piece = shape

    def talk(server, connection, head):
        connection.sendall(start.encode())
        block = (piece * 70_000).encode()
        while True:
            connection.sendall(block)

    for action in (
        lambda line: line.send(SUBMIT, once=True, stop=go_on, limit=10_000),
        lambda line: line.fetch(
            line.base_url, tmp_path / "a", stop=go_on, progress=print, limit=10_000
        ),
        lambda line: fetch_public(line.base_url, 10_000, 5.0, lambda address: True),
    ):
        with RawServer(talk) as server:
            tracemalloc.start()
            try:
                with contextlib.suppress(TransportError, BadReplyError):
                    action(line_to(server.url))
                assert tracemalloc.get_traced_memory()[1] < 4 * MEGABYTE
            finally:
                tracemalloc.stop()


# --- the whole way


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(watching, "_GRACE_SECONDS", 0.2)


@pytest.mark.parametrize("command", ALL)
def test_dripping_submit_is_left_in_doubt_after_a_stop(vendor, command, impatient, caplog):  # noqa: F811
    vendor.fake.faults["submit"].append(faults.drip(pause=0.05, pieces=2000))
    with pytest.raises(StoppedError):
        vendor.run(command, monitor=Watch(lambda: vendor.fake.tasks))
    wait_until(lambda: vendor.rows[0].state == "ambiguous")
    assert "after the stop" in vendor.rows[0].reason
    wait_until(lambda: caplog.records)
    (said,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert "Nobody knows whether" in said
    assert "\n" not in said
    with pytest.raises(AmbiguousSubmitError):
        vendor.run(command)
    assert vendor.submits() == 1


@pytest.mark.parametrize("again", [False, True])
def test_end_of_the_program_does_not_wait_for_ever(vendor, monkeypatch, caplog, again):  # noqa: F811
    """Whatever holds up the thread, also what listens to no stop."""
    gate = threading.Event()

    def submitting():
        return vendor.rows[0].state == "submitting"

    def send(*_, **__):
        gate.wait()
        raise TransportError("It ended at last.", sent=True)

    monkeypatch.setattr(Transport, "send", send)
    with pytest.raises(StoppedError):
        vendor.run("novita", monitor=Watch(lambda: vendor.rows and submitting()))
    if again:  # the user loses patience

        def join(thread, timeout):
            raise KeyboardInterrupt

        monkeypatch.setattr(threading.Thread, "join", join)
    else:
        monkeypatch.setattr(pool, "_LAST_SECONDS", 0.2)
    began = time.monotonic()
    vendor.host.client.pool.close()
    assert time.monotonic() - began < AT_ONCE
    assert vendor.rows[0].state == "ambiguous"
    assert "The program ended before the answer came. Nobody knows" in caplog.text
    gate.set()


def test_end_of_the_program_waits_for_nothing_else(remote):  # noqa: F811
    slow = remote(states=["TASK_STATUS_PROCESSING"] * 500)
    with pytest.raises(StoppedError):
        slow.run("novita", picture(0, 1), Watch(lambda: slow.fake.count("poll")))
    began = time.monotonic()
    slow.host.client.pool.close()
    assert time.monotonic() - began < AT_ONCE


# --- signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_once_and_kill_then(number):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    shown = Terminal(1, quiet=True)
    with interruptible(shown):
        os.kill(os.getpid(), number)
        with pytest.raises(StoppedError):
            shown.check()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert issubclass(StoppedError, UpscaleError)
