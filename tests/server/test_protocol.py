"""A client that sends its request head drop by drop is not waited for."""

import contextlib
import socket
import threading
import time

import pytest

uvicorn = pytest.importorskip("uvicorn")

from upscale_bridge.server import protocol  # noqa: E402 (needs uvicorn)


async def hello(scope, receive, send):
    """The smallest ASGI application."""
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
    )
    await send({"type": "http.response.body", "body": b"hi"})


@pytest.fixture
def port(monkeypatch):
    """The port of a server with little patience."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        hello, http=protocol.Protocol, lifespan="off", log_level="error", timeout_keep_alive=5
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(10)


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=15)


def ask(client):
    """Send a request and return the whole answer."""
    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = b""
    while not answer.endswith(b"hi"):
        answer += client.recv(1000)
    return answer


def test_dripping_head_is_cut_off(port):
    with connect(port) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a")
        began = time.monotonic()
        assert client.recv(100) == b""
        assert time.monotonic() - began < 10


def test_silent_connection_is_cut_off(port):
    with connect(port) as client:
        assert client.recv(100) == b""


def test_whole_heads_are_answered_again_and_again(port):
    with connect(port) as client:
        for _ in range(3):
            assert ask(client).startswith(b"HTTP/1.1 200")


def test_second_head_may_not_drip_either(port):
    with connect(port) as client:
        assert ask(client).startswith(b"HTTP/1.1 200")
        client.sendall(b"GET / HTTP/1.1\r\nHo")
        assert client.recv(100) == b""
