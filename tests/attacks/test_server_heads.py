"""Who has no key gets nothing read, stored or done; heads that two programs read in two ways."""

import json
import socket
import threading
import time

import pytest

pytest.importorskip("uvicorn")

from tests.server.listener import request, status
from tests.server.sockless import (
    SUBMITS,
    V3,
    WAVESPEED,
    Sender,
    novita,
    refusal,
    refused,
    wavespeed,
)
from upscale_bridge.server import slots
from upscale_bridge.vendors import server_at

JSON = "Content-Type: application/json"
FORM = "/api/v3/media/upload/binary"
TICKETS = "/api/v3/media/uploads"


@pytest.fixture
def key(server):
    return server.customers.add("anna")


@pytest.fixture
def listener(listen, key):
    return listen(works=False)


def auth(key):
    return f"Authorization: Bearer {key}"


# --- the key comes before the body


@pytest.mark.parametrize("path", [V3, WAVESPEED, FORM, TICKETS, "/v1/inference/upscale"])
@pytest.mark.parametrize("length", ["Content-Length: 60000000", "Transfer-Encoding: chunked"])
def test_without_a_key_no_body_is_waited_for(listener, path, length):
    began = time.monotonic()
    assert status(listener.raw(request(f"POST {path}", JSON, length))) in (401, 403)
    assert time.monotonic() - began < 20  # a body is waited for for 30 s


def test_promised_address_is_the_only_one_for_a_put(listener):
    answer = listener.raw(request("PUT /uploads/x.png", "Content-Length: 60000000"))
    assert status(answer) == 403
    assert status(listener.raw(request("PUT /files/x.png", "Content-Length: 60000000"))) == 404


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/", "/files/x", "/nothing"])
def test_body_where_none_belongs_is_not_read(listener, path):
    began = time.monotonic()
    assert status(listener.raw(request(f"GET {path}", "Content-Length: 60000000"))) < 500
    assert time.monotonic() - began < 20  # a body is waited for for 30 s


def test_nobody_is_asked_to_go_on_before_the_key_is_seen(listener, key):
    """Expect: 100-continue."""
    heads = (JSON, "Expect: 100-continue", "Content-Length: 5")
    assert status(listener.raw(request(f"POST {V3}", *heads))) == 403
    answer = listener.raw(request(f"POST {V3}", auth(key), *heads), b"{bad}")
    assert status(answer) == 100
    assert b"HTTP/1.1 400" in answer


def test_upload_may_have_the_size_that_was_promised(listener, server, key):
    promise = server.post(TICKETS, {"size": 10}, key=key).json()["data"]
    path = promise["upload"]["url"].partition("8190")[2]
    assert status(listener.raw(request(f"PUT {path}", "Content-Length: 11"))) == 413
    assert status(listener.raw(request(f"PUT {path}", "Content-Length: 10", body=b"x" * 10))) == 200


def test_calls_without_an_image_are_small(listener, key):
    for path in (TICKETS, "/api/v3/predictions/delete"):
        heads = (JSON, auth(key), "Content-Length: 1000000")
        assert status(listener.raw(request(f"POST {path}", *heads))) == 413


# --- one request is one request


@pytest.mark.parametrize("coding", ["chunked", "Chunked", "chunked "])
@pytest.mark.parametrize("path", [V3, "/healthz"])
def test_length_and_chunks_together_are_refused(listener, key, coding, path):
    smuggled = request("GET /metrics")
    heads = (JSON, auth(key), "Content-Length: 4", f"Transfer-Encoding: {coding}")
    answer = listener.raw(request(f"POST {path}", *heads, body=b"0\r\n\r\n" + smuggled))
    assert status(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize(
    "heads",
    [
        ("Content-Length: 2", "Content-Length: 3"),
        ("Content-Length: +2",),
        ("Content-Length: 2\t3",),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: identity",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Host: evil.example",),
        ("X\0: y",),
        ("X : y",),
        (" folded: y",),
    ],
    ids=lambda heads: ascii(heads[0]),
)
def test_heads_with_two_meanings_are_refused(listener, key, heads):
    answer = listener.raw(request(f"POST {V3}", JSON, auth(key), *heads))
    assert 400 <= status(answer) <= 501
    assert answer.count(b"HTTP/1.1 ") == 1


# --- a server without keys is for programs on this machine


PROXIES = {
    "a forwarded header": {"forwarded": "for=1.2.3.4"},
    "nginx": {"x-forwarded-for": "1.2.3.4"},
    "nginx by another name": {"x-real-ip": "1.2.3.4"},
    "https alone": {"x-forwarded-proto": "https"},
    "Caddy": {"x-forwarded-host": "upscale.example.com", "via": "2.0 Caddy"},
    "Cloudflare": {"cf-connecting-ip": "1.2.3.4"},
    "Tailscale": {"tailscale-user-login": "a@b.example"},
    "another name": {"host": "upscale.example.com"},
    "a page": {"origin": "https://evil.example"},
}


@pytest.mark.parametrize("headers", PROXIES.values(), ids=PROXIES)
@pytest.mark.parametrize("command", SUBMITS)
def test_who_comes_through_a_proxy_needs_a_key(server, command, headers):
    path, body = SUBMITS[command]
    found = refused(command, server.post(path, body(), key="", **headers))
    api = server_at(path)
    assert found[:2] in [refused(command, api.write_error(code, "No."))[:2] for code in (401, 403)]
    assert server.queue.counts()["queued"] == 0
    assert found[2]


def test_nginx_that_adds_no_header_is_known_by_its_version(server):
    for sender in (Sender(version="1.0"), Sender(peer="192.168.1.9")):
        assert refusal(server.post(WAVESPEED, wavespeed(), sender=sender))[0] == 401
        assert server.get("/status", sender=sender).status == 401
    assert server.post(WAVESPEED, wavespeed()).status == 200


def test_a_name_besides_the_own_demands_keys_from_the_start(tmp_path):
    from upscale_bridge.errors import SettingsError
    from upscale_bridge.server.http import Options, serve

    options = Options(tmp_path, tmp_path / "keys.json", allowed_hosts=("upscale.example.com",))
    with pytest.raises(SettingsError, match=r"upscale\.example\.com others could use"):
        serve(options)


@pytest.mark.parametrize("scheme", ["javascript", "ftp", "HTTPS", "x" * 1000])
def test_scheme_in_answers_is_http_or_https(listener, key, scheme):
    body = json.dumps(wavespeed()).encode()
    heads = (JSON, auth(key), f"X-Forwarded-Proto: {scheme}", f"Content-Length: {len(body)}")
    answer = listener.raw(request(f"POST {WAVESPEED}", *heads, body=body))
    found = json.loads(answer.partition(b"\r\n\r\n")[2])["data"]["urls"]["get"]
    assert found.startswith(("http://127.0.0.1/", "https://127.0.0.1/"))


# --- pages of other sites


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example", "content-type": "text/plain"},
        {"origin": "https://evil.example", "content-type": "application/json"},
        {"origin": "null", "content-type": "text/plain"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://127.0.0.1:3000"},
        {"referer": "https://evil.example/page"},
    ],
    ids=str,
)
@pytest.mark.parametrize("with_key", [False, True])
def test_page_of_another_site_submits_nothing(server, headers, with_key):
    key = server.customers.add("anna") if with_key else ""
    for path, body in SUBMITS.values():
        reply = server.post(path, body(), key=key, **headers)
        assert reply.status in (200, 403)
        assert reply.status == 403 or reply.json()["code"] != 0
    assert server.queue.counts()["queued"] == 0


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/plain; x=application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "application/jsonp",
    ],
)
def test_json_is_demanded_as_such(server, kind):
    reply = server.post(V3, novita(), content_type=kind)
    assert reply.status == 415
    assert "Content-Type: application/json" in reply.json()["message"]
    assert server.post(V3, novita(), content_type="application/json; charset=utf-8").status == 200


# --- one key does not hold all places


def test_one_key_has_a_share_of_the_calls_and_bodies(listen, server, key, monkeypatch):
    from upscale_bridge.server import endpoint

    monkeypatch.setattr(endpoint, "_CALLS_EACH", 2)
    other = server.customers.add("ben")
    listener = listen(works=False)
    heads = (JSON, "Content-Length: 100")
    held = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(2)]
    try:
        for connection in held:
            connection.sendall(request(f"POST {V3}", auth(key), *heads, body=b"{"))
        until = time.monotonic() + 20
        while listener.held_calls() < 2:
            assert time.monotonic() < until
            time.sleep(0.01)
        answer = listener.raw(request("GET /status", auth(key)))
        assert status(answer) == 429
        assert b"retry-after" in answer
        assert status(listener.raw(request("GET /status", auth(other)))) == 200
    finally:
        for connection in held:
            connection.close()


def test_slots_are_shared_and_come_back():
    shared = slots.Slots(most=5, each=3)
    assert [shared.take("anna") for _ in range(4)] == [True, True, True, False]
    assert [shared.take("ben") for _ in range(3)] == [True, True, False]
    shared.give("anna")
    assert shared.take("ben")
    assert not shared.take("anna")
    shared.give("ben", 3)
    assert shared.take("cora", 3)
    assert shared._taken == {"anna": 2, "cora": 3}


def test_slots_are_counted_right_by_many_threads():
    shared, taken = slots.Slots(most=50, each=50), []

    def take():
        taken.extend(shared.take("anna") for _ in range(20))

    threads = [threading.Thread(target=take) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken.count(True) == 50
