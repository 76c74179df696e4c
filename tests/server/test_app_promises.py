"""Keys, Idempotency-Key, health, and what else other programs rely on."""

import base64
import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tests.server.kit import (
    MODEL,
    SUBMITS,
    V2,
    V3,
    Server,
    image,
    novita,
    opened,
    text,
    ticket,
    v2,
)
from upscale_bridge.remote.wire import Reply

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
    from upscale_bridge.codecs import decode, to_uint8

    name = ticket(server.post(V3, novita(factor=4)))
    server.work()
    url = server.get(RESULT + name).json()["images"][0]["image_url"]
    pixels = decode(image()).pixels
    right = service.run(LocalUpscale(model=MODEL, scale_factor=4), pixels[None]).images[0]
    assert np.array_equal(np.asarray(opened(server.file(url).body)), to_uint8(right))


@pytest.mark.parametrize("format", ["jpeg", "webp", "bmp", "tiff", "gif"])
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


def test_disk_quota_in_the_worker_is_a_failure_with_its_reason(tmp_path, service):
    server = Server(tmp_path, service, most_bytes=len(image()) + 10)
    name = ticket(server.post(V3, novita()))
    server.work()
    assert "quota" in server.get(RESULT + name).json()["task"]["reason"]
