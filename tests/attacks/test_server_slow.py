"""Peers that send nothing, read nothing or just stay; bodies larger than what there is room for."""

import contextlib
import json
import socket
import threading
import time

import pytest
import requests

pytest.importorskip("uvicorn")

from tests.remote.host import wait_until
from tests.server.listener import request, status
from tests.server.sockless import V3, WAVESPEED, image, novita, ticket, wavespeed
from upscale_bridge.server import bodies, endpoint, protocol

JSON = "Content-Type: application/json"
KEY = {"Authorization": "Bearer sk-anna"}
AUTH = "Authorization: Bearer sk-anna"


def connect(listener, window=None):
    """Return a connection, with a small window if wanted."""
    connection = socket.socket()
    if window:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    connection.settimeout(10)
    connection.connect(("127.0.0.1", listener.port))
    return connection


def is_closed(connection):
    """Tell whether the server ends the connection within a few seconds."""
    try:
        while connection.recv(1 << 20):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


# --- readers that do not read


@pytest.fixture
def large_file(server):
    """The path of a file that fits into no buffer."""
    name = server.files.new_name("image/png")
    server.files.take(name, bytes(20 << 20), "anna")
    return f"/files/{name}"


def test_reader_that_reads_nothing_is_cut_off(listen, large_file, monkeypatch):
    monkeypatch.setattr(protocol, "WRITE_SECONDS", 0.3)
    listener = listen(works=False)
    with connect(listener, 4096) as connection:
        connection.sendall(request(f"GET {large_file}"))
        wait_until(lambda: not listener.connections())


def test_reader_that_reads_is_not(listen, large_file, monkeypatch):
    monkeypatch.setattr(protocol, "WRITE_SECONDS", 0.5)
    listener = listen(works=False)
    found = 0
    with connect(listener) as connection:
        connection.sendall(request(f"GET {large_file}"))
        began = time.monotonic()
        while piece := connection.recv(1 << 18):
            found += len(piece)
            time.sleep(0.02)
    assert found > 20 << 20
    assert time.monotonic() - began > 2 * 0.5


def test_files_are_not_held_in_memory_for_their_readers(listen, large_file):
    import tracemalloc

    listener = listen(works=False)
    with contextlib.ExitStack() as stack:
        tracemalloc.start()
        try:
            for _ in range(20):
                connection = stack.enter_context(connect(listener, 4096))
                connection.sendall(request(f"GET {large_file}"))
                connection.recv(1000)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 20 << 20  # less than one of the files


def test_answers_with_whole_images_in_them_lie_on_the_disk(listen, monkeypatch):
    monkeypatch.setattr(bodies, "IN_MEMORY", 1000)
    listener = listen()
    body = wavespeed(image(64, 48), enable_base64_output=True)
    reply = requests.post(listener.url + WAVESPEED, json=body, headers=KEY, timeout=60)
    url = reply.json()["data"]["urls"]["get"]
    wait_until(lambda: requests.get(url, headers=KEY, timeout=60).json()["data"]["outputs"])
    reply = requests.get(url, headers=KEY, timeout=60)
    assert len(reply.content) > 1000
    assert int(reply.headers["content-length"]) == len(reply.content)
    assert requests.head(url, headers=KEY, timeout=60).content == b""
    wait_until(lambda: not listener.held_bytes())


def test_lookers_at_heads_get_no_body(listen, large_file):
    reply = requests.head(listen(works=False).url + large_file, timeout=60)
    assert (reply.status_code, reply.headers["content-length"]) == (200, str(20 << 20))


# --- connections in which nothing happens


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Y: "])
def test_idle_connections_make_room_for_others(listen, monkeypatch, sent):
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 20)
    listener = listen(works=False)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(listener)) for _ in range(20)]
        for connection in held:
            connection.sendall(sent)
        for _ in range(10):
            assert requests.get(listener.url + "/healthz", timeout=60).status_code == 200
        assert is_closed(held[0])  # who has been idle longest goes first


def test_kept_connections_make_room_for_others(listen, monkeypatch):
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 5)
    listener = listen(works=False)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            session = stack.enter_context(requests.Session())
            assert session.get(listener.url + "/healthz", timeout=60).status_code == 200
        assert len(listener.connections()) <= 6


def test_busy_connections_are_not_ended_for_others(listen, server, monkeypatch):
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 2)
    listener = listen(works=False)
    body = json.dumps(novita()).encode()
    head = request(f"POST {V3}", JSON, AUTH, f"Content-Length: {len(body)}")
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(listener)) for _ in range(2)]
        for connection in held:
            connection.sendall(head + body[:1])
        wait_until(lambda: sum(one.cycle is not None for one in listener.connections()) == 2)
        assert status(listener.raw(request("GET /healthz"))) == 503
        for connection in held:
            connection.sendall(body[1:])
            assert status(connection.recv(10_000)) == 200
    assert server.queue.counts()["queued"] == 2


# --- bodies


def test_all_bodies_together_are_bounded(listen, monkeypatch):
    monkeypatch.setattr(endpoint, "_BODIES", 4)
    listener = listen(most_body=100_000, works=False)  # 400 kB for all, half of it for one key
    heads = (JSON, "Content-Length: 90000")
    with contextlib.ExitStack() as stack:
        for key, wanted in (("anna", 170_000), ("ben", 350_000)):
            for _ in range(2):
                connection = stack.enter_context(connect(listener))
                auth = f"Authorization: Bearer sk-{key}"
                connection.sendall(request(f"POST {V3}", auth, *heads, body=b"x" * 89_999))
            wait_until(lambda wanted=wanted: listener.held_bytes() > wanted)
            answer = listener.raw(request(f"POST {V3}", auth, *heads, body=b"x" * 89_999))
            assert status(answer) == 429
            assert b"retry-after" in answer
    wait_until(lambda: not listener.held_bytes())
    assert requests.post(listener.url + V3, json=novita(), headers=KEY, timeout=60).ok


def test_large_body_lies_on_the_disk_and_arrives_whole(listen, server, monkeypatch):
    monkeypatch.setattr(bodies, "IN_MEMORY", 1000)
    listener = listen(works=False)
    data = image(100, 80)
    reply = requests.post(listener.url + V3, json=novita(data), headers=KEY, timeout=60)
    job = server.queue.get(reply.json()["task_id"])
    assert server.files.read(job.source) == data
    folder = server.customers.path.parent / "incoming"
    assert folder.is_dir()
    assert list(folder.iterdir()) == []


def test_disk_that_cannot_take_a_body_is_told(listen, monkeypatch):
    monkeypatch.setattr(bodies, "IN_MEMORY", 1000)

    def full(**_):
        raise OSError(28, "No space left on device")

    listener = listen(works=False)
    monkeypatch.setattr(bodies.tempfile, "TemporaryFile", full)
    reply = requests.post(listener.url + V3, json=novita(image(100, 80)), headers=KEY, timeout=60)
    assert (reply.status_code, reply.json()["message"]) == (507, "The server's disk is full.")


def test_slow_addresses_of_one_customer_leave_places_for_others(server):
    """Fetching what lies at an address takes a thread."""
    release, begun = threading.Event(), []

    def fetch(url):
        begun.append(url)
        release.wait(10)
        return image()

    server.app._submits._fetch = fetch
    body = wavespeed() | {"image": "https://tarpit.example/a.png"}
    threads = [
        threading.Thread(target=server.post, args=(WAVESPEED, body), kwargs={"key": "sk-anna"})
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(begun) == 2)
    assert server.post(WAVESPEED, body).status == 429
    release.set()
    assert ticket(server.post(WAVESPEED, body, key="sk-ben"))
    for thread in threads:
        thread.join()
    assert ticket(server.post(WAVESPEED, body))
