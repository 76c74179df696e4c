"""Keys, Idempotency-Key, health, and what else other programs rely on."""

import base64
import json
from io import BytesIO

import pytest
import torch
from PIL import Image

from tests.server.sockless import (
    SUBMITS,
    V2,
    V3,
    Server,
    check,
    image,
    novita,
    text,
    ticket,
    v2,
)
from upscale_bridge.contract.http import Reply
from upscale_bridge.images.codecs import encode
from upscale_bridge.server import processing
from upscale_bridge.vendors import NovitaUpscale


@pytest.mark.parametrize("header", ["Bearer {}", "{}", "Bearer  {} "])
def test_key_may_come_bare(server, header):
    key = server.customers.add("anna")
    reply = server.post(V3, novita(), key="", authorization=header.format(key))
    assert server.queue.get(ticket(reply)).customer == "anna"


@pytest.mark.parametrize("command", SUBMITS)
def test_same_key_and_body_is_one_task(server, command):
    path, body = SUBMITS[command]
    one, two = (server.post(path, body(), idempotency_key="k") for _ in range(2))
    assert (
        len(set(map(ticket if isinstance(one, Reply) else (lambda wait: wait.job), (one, two))))
        == 1
    )
    assert server.queue.counts()["queued"] == 1
    size = server.files.size()
    assert size == len(image())
    assert server.work() == 1


def test_repeated_submit_is_no_further_one(server):
    """Who asks again because the connection broke must get the ticket, whatever the limit."""
    key = server.customers.add("anna")
    known = json.loads(server.customers.path.read_text("utf-8"))
    known["anna"]["per_minute"] = 1
    server.customers.path.write_text(json.dumps(known), "utf-8")
    one, two = (server.post(V3, novita(), key=key, idempotency_key="k") for _ in range(2))
    assert ticket(one) == ticket(two)


def test_healthz_promises_one_task_per_key_and_needs_none(server):
    server.customers.add("anna")
    body = server.get("/healthz", key="").json()
    assert body["service"] == "upscale-bridge"
    assert body["idempotent_submits"] is True


def test_readyz_tells_whether_anyone_works(server):
    server.post(V3, novita())
    reply = server.get("/readyz", key="")
    assert (reply.status, reply.json()["ready"], reply.json()["queued"]) == (200, True, 1)
    server.alive = False
    reply = server.get("/readyz", key="")
    assert (reply.status, reply.json()["ready"]) == (503, False)


def test_line_breaks_in_base64_are_taken(server):
    buffer = BytesIO()
    Image.new("RGB", (9, 9)).save(buffer, "png")
    body = v2() | {"image": base64.encodebytes(buffer.getvalue()).decode()}
    assert ticket(server.post(V2, body))
    assert text(b"x")


@pytest.mark.parametrize("command", SUBMITS)
def test_submit_whose_result_would_find_no_room_is_refused(tmp_path, service, command):
    server = Server(tmp_path, service, most_bytes=len(image()) + 10)
    path, body = SUBMITS[command]
    assert "disk is used up" in check(command, 429, server.post(path, body()))
    assert server.files.size() == 0
    assert server.queue.counts()["queued"] == 0


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("format", ["png", "webp", "jpeg"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 900), (900, 1), (90, 60)])
def test_result_is_never_larger_than_the_room_for_it(mode, format, width, height):
    """Noise cannot be packed."""
    kind = NovitaUpscale(model_name="4x-UltraSharp", scale_factor=2)
    wide, high = kind.target(width, height)
    noise = torch.rand(high, wide, len(mode))
    if format == "jpeg":
        noise = noise[..., :3]
    for quality in (95, 100):
        made = len(encode(noise, format, quality=quality).data)
        assert made <= processing.largest_result(kind, width, height)
