"""Sockets: limits of bodies and patience, foreign names, metrics and logs."""

import asyncio
import json
import logging
import time

import pytest
import requests

pytest.importorskip("uvicorn")

from tests.server.listener import request, status
from tests.server.sockless import PHOTIO, V3, WAVESPEED, image, novita, opened, photio, wavespeed
from upscale_bridge.server import bodies, endpoint, replies
from upscale_bridge.vendors.wavespeed import server as wavespeed_server

KEY = {"Authorization": "Bearer sk-secret-of-anna"}
JSON = {**KEY, "Content-Type": "application/json"}
TYPE = "Content-Type: application/json"


@pytest.fixture
def listener(listen):
    return listen(most_body=1 << 20, works=False)


# --- bodies


def test_body_of_the_largest_size_is_read(listener):
    for size, wanted in (((1 << 20), 400), ((1 << 20) + 1, 413)):
        reply = requests.post(listener.url + V3, data=b"x" * size, headers=JSON, timeout=60)
        assert reply.status_code == wanted
    assert reply.json() == {"code": 413, "message": "A request may have at most 1 MB."}


def test_large_body_is_refused_before_it_comes(listener):
    answer = listener.raw(request(f"POST {V3}", TYPE, "Content-Length: 1000000000"))
    assert status(answer) == 413


def test_large_body_in_chunks_is_refused_while_it_comes(listener):
    sent = []

    def chunks():
        for _ in range(20_000):
            sent.append(1)
            yield b"x" * 65536

    try:
        reply = requests.post(listener.url + V3, data=chunks(), headers=JSON, timeout=60)
        assert reply.status_code == 413
    except requests.ConnectionError:
        pass  # the answer may be lost when the client goes on sending
    assert len(sent) < 2000


def test_small_body_in_chunks_is_read(listener):
    body = json.dumps(novita()).encode()
    parts = (body[start : start + 100] for start in range(0, len(body), 100))
    reply = requests.post(listener.url + V3, data=parts, headers=JSON, timeout=60)
    assert reply.status_code == 200


@pytest.mark.parametrize("sent", [b"", b"{"])
def test_body_that_does_not_come_is_given_up(listener, monkeypatch, sent):
    monkeypatch.setattr(bodies, "PIECE_SECONDS", 0.05)
    for head in ("Content-Length: 100", "Transfer-Encoding: chunked"):
        assert (
            status(listener.raw(request(f"POST {V3}", TYPE, head), sent and b"1\r\n{\r\n")) == 408
        )


def test_body_that_drips_is_given_up(listen, monkeypatch):
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.1)
    listener = listen(works=False)

    def drip():
        for _ in range(60):
            yield b" "
            time.sleep(0.01)

    started = time.monotonic()
    try:
        reply = requests.post(listener.url + V3, data=drip(), headers=JSON, timeout=60)
        assert reply.status_code == 408
    except requests.ConnectionError:
        pass
    assert time.monotonic() - started < 60  # of the 300 s for a body


def test_request_that_breaks_off_does_no_harm(listener, server):
    listener.raw(request(f"POST {V3}", TYPE, "Content-Length: 100", body=b"{"), close=True)
    assert requests.get(listener.url + "/healthz", timeout=60).status_code == 200
    assert server.queue.counts()["queued"] == 0


@pytest.mark.parametrize("length", ["x", "-1", "1, 2", "9" * 30])
def test_length_that_is_no_number_is_refused(listener, length):
    answer = listener.raw(request(f"POST {V3}", f"Content-Length: {length}"))
    assert 400 <= status(answer) < 500


@pytest.mark.parametrize(
    "path",
    ["//[", "/%00", "/files/%2e%2e%2fqueue.sqlite3", "/files/..%5cx", "/%ff%fe", "/%3Fx"],
)
def test_odd_paths_are_not_found(listener, path):
    assert status(listener.raw(request("GET " + path))) == 404


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS", "TRACE", "FOO"])
def test_other_methods_are_refused(listener, method):
    assert status(listener.raw(request(f"{method} {V3}"))) in (401, 403, 404, 405)


# --- names


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8190", 200),
        ("localhost:1", 200),
        ("LOCALHOST", 200),
        ("[::1]:8190", 200),
        ("[::1]", 200),
        ("gpu.lan:8190", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("evil.example:127.0.0.1", 400),
        ("evil.example@127.0.0.1", 400),
        ("127.0.0.1@evil.example", 400),
        ("", 400),
    ],
)
def test_foreign_names_are_refused_on_the_loopback(listen, name, wanted):
    listener = listen(allowed_hosts=("gpu.lan",), works=False)
    assert status(listener.raw(request("GET /healthz", host=name))) == wanted


def test_server_on_ipv6_loopback_is_reached(listen):
    listener = listen(host="::1", works=False)
    assert status(listener.raw(request("GET /healthz", host="[::1]:8190"))) == 200
    assert status(listener.raw(request("GET /healthz", host="evil.example"))) == 400


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])
def test_any_name_reaches_a_server_that_demands_keys(listen, host):
    listener = listen(host=host, works=False)
    assert status(listener.raw(request("GET /healthz", host="any.example"))) == 200


def test_addresses_in_answers_are_those_that_the_client_used(listen, server):
    key = f"Authorization: {server.customers.add('anna')}"
    listener = listen(host="0.0.0.0", works=False)
    body = json.dumps(wavespeed()).encode()
    heads = (TYPE, key, f"Content-Length: {len(body)}")
    answer = listener.raw(request(f"POST {WAVESPEED}", *heads, body=body, host="gpu.lan:99"))
    data = json.loads(answer.partition(b"\r\n\r\n")[2])["data"]
    assert data["urls"]["get"].startswith("http://gpu.lan:99/api/v3/predictions/")


# --- answers that wait


def test_waiting_answers_come_when_the_job_is_done(listen):
    listener = listen()
    reply = requests.post(listener.url + PHOTIO, json=photio(), headers=KEY, timeout=60)
    assert (reply.status_code, reply.json()["status_code"]) == (200, 200)
    body = wavespeed(enable_sync_mode=True)
    reply = requests.post(listener.url + WAVESPEED, json=body, headers=KEY, timeout=60)
    (url,) = reply.json()["data"]["outputs"]
    found = requests.get(url, timeout=60)
    assert found.headers["content-type"] == "image/png"
    assert opened(found.content).size == (32, 21)


def test_waiting_has_an_end(listener, monkeypatch):
    monkeypatch.setattr(wavespeed_server, "_SYNC_SECONDS", 0.05)
    monkeypatch.setattr(replies, "_RESULT_SECONDS", 0.05)
    body = wavespeed(enable_sync_mode=True)
    reply = requests.post(listener.url + WAVESPEED, json=body, headers=KEY, timeout=60)
    assert (reply.status_code, reply.json()["data"]["code"]) == (200, 5004)
    reply = requests.post(listener.url + PHOTIO, json=photio(), headers=KEY, timeout=60)
    assert (reply.status_code, reply.json()["status_code"]) == (500, 500)


def test_job_that_is_removed_ends_the_waiting(server, tmp_path):
    wait = server.post(PHOTIO, photio())
    server.queue.remove(wait.job)
    waiting = endpoint.Endpoint(server.app, server.queue, tmp_path, 1000)._wait(wait, "anna")
    assert asyncio.run(waiting).status_code == 404


# --- metrics and logs


def test_metrics_count_jobs_and_answers(listener):
    requests.post(listener.url + V3, json=novita(), headers=KEY, timeout=60)
    requests.get(listener.url + "/" + 50 * "x", timeout=60)
    requests.get(listener.url + "/some/other", timeout=60)
    reply = requests.get(listener.url + "/metrics", timeout=60)
    assert reply.headers["content-type"].startswith("text/plain")
    assert 'upscale_bridge_jobs{state="queued"} 1.0' in reply.text
    assert 'upscale_bridge_answers_total{api="v3",status="200"} 1.0' in reply.text
    assert 'upscale_bridge_answers_total{api="other",status="404"} 2.0' in reply.text
    assert "xxx" not in reply.text


def test_metrics_of_two_servers_are_apart(listen):
    first, second = listen(works=False), listen(works=False)
    requests.get(first.url + "/healthz", timeout=60)
    assert 'api="healthz"' not in requests.get(second.url + "/metrics", timeout=60).text


def test_logs_hold_no_secret(listener, caplog, server):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "upscale_bridge")  # the command, run before, says less
    data = image()
    requests.post(listener.url + V3 + "?token=in-query", json=novita(data), headers=KEY, timeout=60)
    headers = {"X-Photio-Key": "pt-secret-of-ben"}
    requests.get(listener.url + "/v2/progress?task_id=in-query", headers=headers, timeout=60)
    upload = requests.post(listener.url + "/api/v3/media/uploads", json={}, headers=KEY, timeout=60)
    place = upload.json()["data"]["upload"]["url"]
    requests.put(place, data=data, timeout=60)
    text = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("upscale_bridge"))
    assert f'"path": "{V3}"' in text
    for secret in ("secret-of", "in-query", json.dumps(novita(data))[-60:]):
        assert secret not in text
    # The name of a file is all that is needed to fetch it.
    assert place.rpartition("/")[2] not in text
    for record in caplog.records:
        if record.name == "upscale_bridge.server":
            json.loads(record.getMessage())
