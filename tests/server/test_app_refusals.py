"""Refusals, each in the vendor's own envelope, and what must not be found."""

import json

import pytest

from tests.server.sockless import (
    POLLS,
    SERVED,
    SUBMITS,
    Server,
    check,
    image,
    refusal,
)
from upscale_bridge.vendors import server_for


def submit(server, command, **more):
    path, body = SUBMITS[command]
    return server.post(path, body(), **more)


def server_of(command):
    return server_for(SERVED[command].operation.__name__)


def limit(server, **limits):
    """Give anna a key with these limits."""
    key = server.customers.add("anna")
    known = json.loads(server.customers.path.read_text("utf-8"))
    known["anna"] |= limits
    server.customers.path.write_text(json.dumps(known), "utf-8")
    return key


# --- keys


@pytest.mark.parametrize("key", ["", "wrong"])
@pytest.mark.parametrize("command", SUBMITS)
def test_wrong_key(server, command, key):
    server.customers.add("anna")
    check(command, 401, submit(server, command, key=key))
    if command in POLLS:
        check(command, 401, server.get(POLLS[command].format("x"), key=key))
    assert server.files.size() == 0


@pytest.mark.parametrize("command", SUBMITS)
def test_broken_keys_file_is_no_way_in(server, command):
    server.customers.path.parent.mkdir(exist_ok=True)
    server.customers.path.write_text("{", "utf-8")
    message = check(command, 503, submit(server, command))
    assert str(server.customers.path.parent) not in message, "a stranger learns of the disk"


# --- tasks that are not one's own


@pytest.mark.parametrize("command", POLLS)
def test_task_of_another_customer_is_unknown(server, command):
    submit(server, command, key="sk-ben")
    (ticket,) = [server.queue.take().id]
    url = POLLS[command].format(ticket)
    check(command, 404, server.get(url, key="sk-anna"))
    assert server.get(url, key="sk-ben").status == 200
    server.post("/api/v3/predictions/delete", {"ids": [ticket]}, key="sk-anna")
    assert server.queue.get(ticket)


@pytest.mark.parametrize("command", SUBMITS)
def test_task_of_another_api_is_unknown(server, command):
    submit(server, command)
    ticket = server.queue.take().id
    for other, url in POLLS.items():
        if server_of(command) is not server_of(other):
            check(other, 404, server.get(url.format(ticket)))


@pytest.mark.parametrize("command", POLLS)
@pytest.mark.parametrize("ticket", ["", "x", "..", "%00", "%FF", "x" * 5000, "' OR 1=1 --", "é"])
def test_unknown_task(server, command, ticket):
    submit(server, command)
    check(command, 404, server.get(POLLS[command].format(ticket)))


@pytest.mark.parametrize(
    "name",
    ["", "x", "../queue.sqlite3", "..%2Fqueue.sqlite3", "%00", "A" * 22 + ".png", "//[", "a\0"],
)
def test_guessed_file_is_not_there(server, name):
    reply = server.get("/files/" + name, key="")
    assert (reply.status, reply.json()["code"]) == (404, 404)
    assert reply.headers["content-type"] == "application/json"  # novita-py takes any 200 for it


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "/v4/x"),
        ("POST", "/healthz"),
        ("PUT", "/files/x"),
        ("GET", "//["),
        ("GET", "//x]/v3/"),
        ("GET", "?"),
        ("GET", "/v3/async/upscale"),
        ("POST", "/v2/progress"),
        ("POST", "/v1/inference/remix"),
        ("POST", "/api/v3/openai/gpt"),
        ("PUT", "/api/v3/predictions/delete"),
    ],
)
def test_address_that_is_not_there(server, method, url):
    reply = server.call(method, url, {})
    status, code, message = refusal(reply)
    assert status == 404 or (status, code) == (200, 3)
    assert message


# --- too many, twice


@pytest.mark.parametrize("command", SUBMITS)
def test_full_queue(tmp_path, service, command, small_presets):
    server = Server(tmp_path, service, most=1)
    submit(server, "novita", key="sk-ben")
    size = server.files.size()
    reply = submit(server, command)
    check(command, 429, reply)
    assert int(reply.headers["retry-after"]) > 0
    assert server.files.size() == size, "the refused image stays for ever"


@pytest.mark.parametrize("command", SUBMITS)
def test_limits_of_a_key_are_for_submits_only(server, command):
    key = limit(server, per_minute=2, per_day=3)
    submit(server, command, key=key)
    submit(server, command, key=key)
    check(command, 429, submit(server, command, key=key))
    if command in POLLS:
        ticket = server.queue.take().id
        assert server.get(POLLS[command].format(ticket), key=key).status == 200
    server.clock.time += 61
    submit(server, command, key=key)
    server.clock.time += 61
    assert "86400 s" in check(command, 429, submit(server, command, key=key))


@pytest.mark.parametrize("command", SUBMITS)
def test_key_of_another_request(server, command):
    path, body = SUBMITS[command]
    server.post(path, body(), idempotency_key="k")
    size = server.files.size()
    check(command, 409, server.post(path, body(image(seed=1)), idempotency_key="k"))
    check(command, 409, server.post(path, {**body(), "more": 1}, idempotency_key="k"))
    assert server.files.size() == size, "the refused image stays for ever"
