"""Limits hold for parallel requests, and one key does not use up what all share."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from tests.server.sockless import (
    BASE,
    SUBMITS,
    V3,
    WAVESPEED,
    Server,
    check,
    image,
    job,
    novita,
    refusal,
    ticket,
    wavespeed,
)
from upscale_bridge.errors import SettingsError
from upscale_bridge.server import uploads
from upscale_bridge.server.api_clients import ApiClient
from upscale_bridge.server.queue import QueueFullError
from upscale_bridge.server.sqlite_queue import SqliteQueue
from upscale_bridge.server.webhooks import Secrets

TICKETS, FORMS = "/api/v3/media/uploads", "/api/v3/media/upload/binary"
FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc\r\n--x--'


def limited(server, name="anna", **limits):
    """Return a key with limits."""
    key = server.customers.add(name)
    known = json.loads(server.customers.path.read_text("utf-8"))
    known[name] |= limits
    server.customers.path.write_text(json.dumps(known), "utf-8")
    return key


def at_once(count, do):
    """Do the same in many threads that begin together, and return all results."""
    barrier = threading.Barrier(count)

    def one(_):
        barrier.wait()
        return do()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


# --- submits and uploads


@pytest.mark.parametrize("limit", ["per_minute", "per_day"])
def test_parallel_submits_do_not_slip_through_a_limit(server, limit):
    key = limited(server, **{limit: 2})
    replies = at_once(20, lambda: server.post(V3, novita(), key=key))
    assert sorted(reply.status for reply in replies) == [200] * 2 + [429] * 18
    assert server.queue.counts()["queued"] == 2
    assert len(list((server.customers.path.parent / "files").iterdir())) == 2


def test_parallel_submits_of_two_processes_do_not_either(server, tmp_path):
    queues = [SqliteQueue(tmp_path / "server", 1000, server.clock) for _ in range(4)]

    def submit(queue):
        try:
            queue.submit(job(), ((60.0, 3),))
        except QueueFullError:
            return 0
        return 1

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(submit, queues * 5)) == 3


def test_parallel_uploads_count_for_the_limits(server):
    key = limited(server, per_minute=2)
    kind = "multipart/form-data; boundary=x"
    replies = at_once(10, lambda: server.post(FORMS, FORM, key=key, content_type=kind))
    assert sorted(reply.status for reply in replies) == [200] * 2 + [429] * 8
    assert server.post(V3, novita(), key=key).status == 200  # submits are counted by themselves


def test_parallel_submits_do_not_overfill_the_disk(tmp_path, service):
    server = Server(tmp_path, service, most_bytes=100_000)
    replies = at_once(20, lambda: server.post(V3, novita()))
    accepted = [reply for reply in replies if reply.status == 200]
    assert 0 < len(accepted) < 20
    assert server.work() == len(accepted)
    assert server.queue.counts()["failed"] == 0
    assert server.files.size() <= 100_000


def test_one_key_does_not_fill_the_disk(tmp_path, service):
    server = Server(tmp_path, service, most_bytes=1_000_000)
    keys = [server.customers.add(name) for name in ("anna", "ben")]
    kind = "multipart/form-data; boundary=x"
    body = FORM.replace(b"abc", bytes(90_000))
    while server.post(FORMS, body, key=keys[0], content_type=kind).status == 200:
        pass
    assert server.files.size() <= 500_000
    assert server.post(V3, novita(), key=keys[1]).status == 200
    assert "share" in check("novita", 429, server.post(V3, novita(image(50, 50)), key=keys[0]))


def test_one_key_does_not_fill_the_queue(tmp_path, service):
    server = Server(tmp_path, service, most=10)
    keys = [server.customers.add(name) for name in ("anna", "ben")]
    assert [server.post(V3, novita(), key=keys[0]).status for _ in range(6)] == [200] * 5 + [429]
    assert server.post(V3, novita(), key=keys[1]).status == 200


def test_whoever_is_alone_may_use_it_all(tmp_path, service):
    server = Server(tmp_path, service, most=4)
    key = server.customers.add("anna")
    assert [server.post(V3, novita(), key=key).status for _ in range(5)] == [200] * 4 + [429]


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        ({"waiting": 1}, 200),
        ({"disk_mb": 1}, 200),
        ({"input_megapixels": 1}, 200),
        ({"result_megapixels": 1}, 200),
    ],
    ids=str,
)
def test_key_has_limits_of_its_own(server, limits, status):
    key = limited(server, **limits)
    assert server.post(V3, novita(), key=key).status == status
    name = next(iter(limits))
    big = image(700, 500, "L") if name == "disk_mb" else image(1100, 1000, "L")
    big = image(600, 600, "L") if name == "result_megapixels" else big
    reply = server.post(V3, novita(big, 2 if name != "disk_mb" else 4), key=key)
    assert reply.status == (400 if "pixels" in name else 429)
    assert refusal(reply)[2].endswith(".")


@pytest.mark.parametrize("value", ["abc", -1, True, [], "nan", "inf", 1e400, {"a": 1}])
def test_limit_that_is_no_number_is_not_no_limit(server, value):
    key = limited(server, per_minute=value)
    with pytest.raises(SettingsError, match="per_minute of anna must be a number"):
        server.customers.who(key)
    status, _, message = refusal(server.post(V3, novita(), key=key))
    assert status == 503
    assert "anna" not in message


def test_promises_of_one_key_do_not_push_out_those_of_another(server, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_EACH", 3)
    monkeypatch.setattr(uploads, "MOST_PROMISED", 4)
    anna, ben = (server.customers.add(name) for name in ("anna", "ben"))
    url = server.post(TICKETS, {}, key=ben).json()["data"]["upload"]["url"]
    for _ in range(20):
        server.post(TICKETS, {}, key=anna)
    assert server.call("PUT", url.removeprefix(BASE), b"x", key="").status == 200


# --- webhooks


BAD_HOOKS = [
    "http://[",
    "http://[::1",
    "http://host:99999999/",
    "http://host:x/",
    "http://",
    "https:///path",
    "ftp://host/",
    "javascript:alert(1)",
    "//host/path",
    "http://a b/",
    "http://host/\\@other",
    "http://host/\n",
    "http://host/\ud800",
    "http://" + "a" * 3000,
    "\0",
]


@pytest.mark.parametrize("url", BAD_HOOKS, ids=lambda url: ascii(url)[:30])
def test_webhook_that_is_no_address_is_refused_at_the_submit(server, url):
    body = novita() | {"extra": {"webhook": {"url": url}}}
    assert refusal(server.post(V3, body))[0] == 400
    assert server.queue.counts()["queued"] == 0
    if url.isascii():
        query = "?webhook=" + quote(url)
        assert refusal(server.post(WAVESPEED + query, wavespeed()))[0] == 400


@pytest.mark.parametrize("url", [None, "", {}, [], 5, {"url": None}, {"url": ""}])
def test_webhook_that_is_not_there_is_none(server, url):
    reply = server.post(V3, novita() | {"extra": {"webhook": url}})
    assert server.queue.get(ticket(reply)).webhook == ""


def test_all_first_askers_get_the_same_secret(tmp_path):
    keepers = [Secrets(tmp_path / "a" / "secret") for _ in range(3)]
    found = at_once(60, lambda: keepers[hash(threading.get_ident()) % 3].of("anna"))
    assert len(set(found)) == 1
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["secret"]


# --- texts that are none


@pytest.mark.parametrize("command", SUBMITS)
@pytest.mark.parametrize("text", [b'"\\ud800"', b'"\xed\xa0\x80"'])
def test_surrogate_is_refused(server, command, text):
    path, body = SUBMITS[command]
    data = json.dumps(body() | {"prompt": "@"}).encode().replace(b'"@"', text)
    check(command, 400, server.post(path, data))


def test_share_of_one_among_others():
    one = ApiClient("anna", alone=False)
    assert (one.share(1000), one.share(1), one.share(1000, 700)) == (500, 1, 700)
    assert (ApiClient("anna").share(1000), ApiClient("anna").share(1000, 700)) == (1000, 700)
