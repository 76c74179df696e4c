"""Keys, Idempotency-Key, health, and what else other programs rely on."""

import base64
import json
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from tests.server.sockless import (
    MODEL,
    SUBMITS,
    V2,
    V3,
    Server,
    check,
    image,
    novita,
    opened,
    text,
    ticket,
    v2,
)
from upscale_bridge.contract.http import Reply
from upscale_bridge.images.codecs import encode
from upscale_bridge.server import processing
from upscale_bridge.vendors import NovitaUpscale

RESULT, PROGRESS = "/v3/async/task-result?task_id=", "/v2/progress?task_id="
PREDICTIONS = "/api/v3/predictions/"


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


def test_result_is_what_the_local_engine_makes(server, service, tmp_path):
    from upscale_bridge import LocalUpscale
    from upscale_bridge.images.codecs import decode, to_uint8

    name = ticket(server.post(V3, novita(factor=4)))
    server.work()
    url = server.get(RESULT + name).json()["images"][0]["image_url"]
    pixels = decode(image()).pixels
    right = service.run(LocalUpscale(model=MODEL, scale_factor=4), pixels[None]).images[0]
    assert np.array_equal(np.asarray(opened(server.file(url).body)), to_uint8(right))


@pytest.mark.parametrize("format", ["jpeg", "webp", "bmp", "tiff"])
def test_any_still_image_is_taken(server, format):
    name = ticket(server.post(V3, novita(image(format=format))))
    server.work()
    assert server.get(RESULT + name).json()["task"]["status"] == "TASK_STATUS_SUCCEED"


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


def test_task_that_was_accepted_finds_its_room_whoever_fills_the_disk(tmp_path, service):
    server = Server(tmp_path, service, most_bytes=500_000)
    name = ticket(server.post(V3, novita()))
    while server.post(V3, novita(), key="sk-ben").status == 200:
        pass
    assert server.work() > 1
    assert server.get(RESULT + name).json()["task"]["status"] == "TASK_STATUS_SUCCEED"
    assert server.queue.counts()["failed"] == 0


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("format", ["png", "webp", "jpeg"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 4000), (4000, 1), (300, 200)])
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
