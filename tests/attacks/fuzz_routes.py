"""Calls and answers at random: right ones with something wrong in them.

python -m tests.attacks.fuzz_routes       # all cases, about ten seconds
"""

import base64
import copy
import http.client
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.parse import quote

from tests.server.sockless import BASE, HERE, SUBMITS, Server, image
from upscale_bridge.contract.http import Call, Reply
from upscale_bridge.contract.server import ServedTask
from upscale_bridge.contract.tasks import Done, Output
from upscale_bridge.errors import ProviderError
from upscale_bridge.server.admission import Admission
from upscale_bridge.service import Service
from upscale_bridge.vendors import SERVERS, server_for

CASES = 6000
"""Of each kind; the tests run a share of them."""

ODD = (
    *(None, True, False, 0, -1, 1e308, float("inf"), float("nan"), 10**30, "", "0", "nan", "4k"),
    *("\0", "\ud800", "é", "a" * 5000, "http://[", "data:", "data:image/png;base64,AAAA", "../.."),
    *([], [[]], [None], {}, {"url": None}, {"": {"": []}}, "1e999", "TASK_STATUS_SUCCEED", "png"),
)
BODIES = (b"", b"{", b"[]", b"null", b"\xff\xfe", b'"\xed\xa0\x80"', b"[" * 9000, b"9" * 5000)
PATHS = (
    *(path for path, _ in SUBMITS.values()),
    *("/v3/async/task-result?task_id={}", "/v2/progress?task_id={}", "/api/v3/predictions/{}"),
    *("/api/v3/predictions/{}/result", "/api/v2/predictions/{}", "/api/v3/predictions/delete"),
    *("/api/v3/media/uploads", "/api/v3/media/upload/binary", "/api/v3/webhook/secret"),
    *("/files/{}", "/uploads/{}", "/status", "/", "/healthz", "/v1/{}", "/api/{}", "/{}", "//["),
)
OTHER_METHODS = ("DELETE", "PATCH", "OPTIONS", "HEAD")
HEADERS = {
    "content-type": ("application/json", "application/json; charset=utf-8", "text/plain", "\xff"),
    "authorization": ("Bearer a", "a", "Bearer ", "", "\xff" * 300),
    "x-photio-key": ("", "a"),
    "idempotency-key": ("", "one", "two", "x" * 1000, "\xff"),
    "origin": ("null", "https://evil.example", "http://127.0.0.1:8190", ""),
    "sec-fetch-site": ("cross-site", "same-origin", "none"),
    "x-forwarded-for": ("1.2.3.4",),
    "host": ("127.0.0.1:8190", "localhost", "evil.example", "", "[::1]:8190", "["),
}


def bend(chance, value):
    """Return JSON with one to three of its parts gone, replaced or added."""
    value = copy.deepcopy(value)
    for _ in range(chance.randrange(1, 4)):
        part = value
        while isinstance(part, dict) and part:
            inner = [item for item in part.values() if isinstance(item, dict) and item]
            if not inner or chance.random() < 0.5:
                break
            part = chance.choice(inner)
        if not isinstance(part, dict):
            return copy.deepcopy(chance.choice(ODD))
        name = chance.choice([*part, "webhook", "extra", "image", "data", "outputs", "\ud800"])
        if chance.random() < 0.2:
            part.pop(name, None)
        else:
            part[name] = copy.deepcopy(chance.choice(ODD))
    return value


def written(chance, value):
    """Return JSON as bytes, now and then cut off or no JSON at all."""
    if chance.random() < 0.1:
        return chance.choice(BODIES)
    data = json.dumps(value).encode()
    return data[: chance.randrange(len(data) + 1)] if chance.random() < 0.1 else data


def call(chance, picture):
    """Return a call that means something, or nearly."""
    path = chance.choice(PATHS)
    part = "".join(chance.choices("abcXYZ019-_.~/%?&=#+ \0é", k=chance.randrange(30)))
    bodies = dict(SUBMITS.values())
    body = bodies.get(path, lambda _: {"ids": ["a"], "size": 5, "content_type": "image/png"})
    headers = {"host": "127.0.0.1:8190", "content-type": "application/json"}
    for name in chance.sample(sorted(HEADERS), chance.randrange(4)):
        headers[name] = chance.choice(HEADERS[name])
    method = chance.choice(("GET", "POST", "POST", "POST", "PUT", *OTHER_METHODS))
    data = written(chance, bend(chance, body(picture)))
    return Call(method, path.replace("{}", part), data, headers)


def send(port, sent, seconds=60):
    """Send a call to a listener and return status, headers and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        target = quote(sent.url, safe="/?&=%#.~+:[]@")
        headers = {name: value for name, value in sent.headers.items() if name != "host"}
        connection.request(sent.method, target, sent.body, headers)
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        connection.close()


def try_call(app, sent):
    """Handle a call as the listener does; return the status."""
    head = Call(sent.method, sent.url, b"", sent.headers)
    found = app.admit(head, HERE, 1 << 20)
    if isinstance(found, Admission):
        if len(sent.body) > found.most:
            return 413
        found = app.handle(sent, found.customer, BASE)
    status = getattr(found, "status", 200)
    assert 200 <= status < 500, sent
    return status


def run_calls(cases, seed=0):
    """Try calls at a server; return how often each status was answered."""
    chance, counts, picture = random.Random(f"calls {seed}"), Counter(), image(4, 4)
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        server = Server(Path(folder), Service(folders=list), most=cases)
        for number in range(cases):
            sent = call(chance, picture)
            try:
                counts[try_call(server.app, sent)] += 1
            except Exception as error:
                raise AssertionError(f"case {number}: {sent.url!r} {sent.body!r}") from error
    return counts


def run_answers(cases, seed=0):
    """Let the wires read answers at random; return how often what came of them."""
    chance, counts = random.Random(f"answers {seed}"), Counter()
    right = []
    for operation in (kind for one in SERVERS for kind in one.operations):
        wire, output = operation.wire, Output(url="https://host.example/a.png?sign=1")
        server, task = server_for(operation.__name__), ServedTask("abc", {}, BASE)
        if operation.has_tasks():
            right.append((wire.read_submit, server.write_submit(task)))
            right.append((wire.read_poll, server.write_status(task, Done((output,)))))
        else:
            data = Output(data=base64.b64decode("iVBORw0KGgo="))
            right.append((wire.read_submit, server.write_result(data)))
    for number in range(cases):
        read, reply = chance.choice(right)
        body = written(chance, bend(chance, json.loads(reply.body)))
        bent = Reply(chance.choice((200, 200, 200, 201, 400, 404, 429, 500, 503)), body)
        try:
            found = type(read(bent)).__name__
        except ProviderError as error:
            assert str(error)
            found = type(error).__name__
        except Exception as error:
            raise AssertionError(f"case {number}: {bent.status} {body!r}") from error
        counts[found] += 1
    return counts


if __name__ == "__main__":
    for run in (run_calls, run_answers):
        start = time.perf_counter()
        counts = run(CASES)
        seconds = time.perf_counter() - start
        sys.stdout.write(f"{run.__name__}: {dict(counts)} in {seconds:.0f} s\n")
