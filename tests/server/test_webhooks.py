"""Customers are told of the end at the address that their submit named."""

import base64
import hashlib
import hmac
import json
import threading
from types import SimpleNamespace

import pytest
import torch

from tests.remote.host import wait_until
from upscale_bridge.contract import presets
from upscale_bridge.contract.http import Call, post
from upscale_bridge.errors import BadReplyError, SettingsError, TransportError
from upscale_bridge.images import codecs
from upscale_bridge.network.transport import post_public
from upscale_bridge.remote.clock import Clock
from upscale_bridge.server import webhooks, worker
from upscale_bridge.server.api_clients import ApiClient, ApiClients
from upscale_bridge.server.app import App
from upscale_bridge.server.bounds import Bounds
from upscale_bridge.server.files import FolderFiles
from upscale_bridge.server.replies import Replies
from upscale_bridge.server.sqlite_queue import SqliteQueue
from upscale_bridge.server.webhooks import Secrets, Webhooks
from upscale_bridge.service import Service

HOOK = "https://customer.example/told?token=1"
BASE = "http://127.0.0.1:8190"
ANYONE = ApiClient("anyone")


class LaterClock(Clock):
    """A clock that can be set on."""

    ahead = 0.0

    def now(self):
        return super().now() + self.ahead

    def monotonic(self):
        return super().monotonic() + self.ahead


@pytest.fixture
def server(tmp_path):
    """An app, its queue, and what its webhooks were sent."""
    clock, sent, answers = LaterClock(), [], []
    queue = SqliteQueue(tmp_path / "server", clock=clock)
    files = FolderFiles(tmp_path / "server" / "files", 1 << 30)
    keys = Secrets(tmp_path / "server" / "secret")
    service = Service(lambda: [tmp_path])
    app = App(service, queue, files, ApiClients(tmp_path / "none"), lambda: True, keys)

    def send(url, body, headers):
        sent.append(SimpleNamespace(url=url, body=body, headers=headers))
        answer = answers.pop(0) if answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer

    def work():
        while (job := queue.take()) is not None:
            worker.do(service, queue, files, job, threading.Event(), Bounds())

    return SimpleNamespace(
        app=app,
        queue=queue,
        clock=clock,
        sent=sent,
        answers=answers,
        keys=keys,
        work=work,
        hooks=Webhooks(queue, Replies(files).event, send, keys, clock),
    )


def picture():
    """Return a small PNG as base64."""
    return base64.b64encode(codecs.encode(torch.rand(6, 8, 3)).data).decode()


def submit(server, webhook=HOOK):
    """Submit to the WaveSpeed API, which has the shipped model, and return the ticket."""
    body = {"image": "data:image/png;base64," + picture(), "target_resolution": "2k"}
    query = f"?webhook={webhook.replace('?', '%3F')}" if webhook else ""
    call = post("/api/v3/wavespeed-ai/image-upscaler" + query, body)
    return server.app.handle(call, ANYONE, BASE).json()["data"]["id"]


@pytest.fixture(autouse=True)
def small_presets(monkeypatch):
    monkeypatch.setitem(presets.PRESET_EDGES, "2k", 16)


def test_end_is_told_as_wavespeed_documents_it(server):
    ticket = submit(server)
    server.hooks.tell_all()
    assert server.sent == []  # not done yet
    server.work()
    server.hooks.tell_all()
    (told,) = server.sent
    event = json.loads(told.body)
    assert told.url == HOOK
    assert (event["id"], event["status"], event["error"]) == (ticket, "completed", "")
    assert event["outputs"][0].startswith(BASE + "/files/")
    assert event["urls"]["get"] == f"{BASE}/api/v3/predictions/{ticket}/result"


def test_signature_is_the_documented_one(server):
    """https://wavespeed.ai/docs/verify-webhooks: HMAC-SHA256 over id.timestamp.body."""
    ask = Call("GET", "/api/v3/webhook/secret", headers={"authorization": ""})
    secret = server.app.handle(ask, ANYONE, BASE).json()["data"]["secret"]
    submit(server)
    server.work()
    server.hooks.tell_all()
    (told,) = server.sent
    version, signature = told.headers["webhook-signature"].split(",")
    content = f"{told.headers['webhook-id']}.{told.headers['webhook-timestamp']}.".encode()
    key = secret.removeprefix("whsec_").encode()
    assert version == "v3"
    assert signature == hmac.new(key, content + told.body, hashlib.sha256).hexdigest()


def test_secrets_differ_between_customers_and_stay(server, tmp_path):
    again = Secrets(tmp_path / "server" / "secret")
    assert server.keys.of("anna") == again.of("anna") != again.of("bert")
    assert (tmp_path / "server" / "secret").stat().st_mode & 0o777 == 0o600


def test_novita_is_told_in_its_own_envelope(server, monkeypatch):
    body = {
        "extra": {"webhook": {"url": HOOK}},
        "request": {
            "model_name": "4x-UltraSharp",
            "scale_factor": 2,
            "image_base64": picture(),
        },
    }
    monkeypatch.setattr(
        "upscale_bridge.server.processing.check",
        lambda *_, **__: {"4x-UltraSharp": "4x-UltraSharp"},
    )
    ticket = server.app.handle(post("/v3/async/upscale", body), ANYONE, BASE).json()["task_id"]
    server.work()  # fails: the model is not here
    server.hooks.tell_all()
    event = json.loads(server.sent[0].body)
    assert event["event_type"] == "ASYNC_TASK_RESULT"
    assert event["payload"]["task"]["task_id"] == ticket
    assert event["payload"]["task"]["status"] == "TASK_STATUS_FAILED"
    assert "4x-UltraSharp" in event["payload"]["task"]["reason"]


@pytest.mark.parametrize(("refusals", "told"), [(0, 1), (100, 10)], ids=["arrived", "given up"])
def test_it_is_told_until_it_arrived_or_is_given_up(server, refusals, told):
    server.answers += [500] * refusals
    submit(server)
    server.work()
    for _ in range(30):
        server.hooks.tell_all()
        server.clock.ahead += 10_000
    assert len(server.sent) == told


def test_what_does_not_arrive_is_told_again_more_and_more_rarely(server):
    server.answers += [500, TransportError("no", sent=True), BadReplyError("no"), 302, 200]
    submit(server)
    server.work()
    times = []
    for _ in range(200):
        before = len(server.sent)
        server.hooks.tell_all()
        if len(server.sent) > before:
            times.append(server.clock.ahead)
        server.clock.ahead += 1
    assert len(times) == 5
    pauses = [after - before for before, after in zip(times, times[1:], strict=False)]
    assert pauses == sorted(pauses)
    assert pauses[0] >= 5


def test_database_that_is_away_is_a_line_in_the_log_and_told_later(server, monkeypatch, caplog):
    monkeypatch.setattr(webhooks, "_LOOK_SECONDS", 0.01)
    untold, away = server.queue.untold, iter(range(3))

    def look(each):
        if next(away, None) is not None:
            raise SettingsError("The database cannot be used.")
        return untold(each)

    monkeypatch.setattr(server.queue, "untold", look)
    submit(server)
    server.work()
    with server.hooks:
        wait_until(lambda: server.sent)
    told = [record for record in caplog.records if record.name == webhooks.log.name]
    assert [record.getMessage() for record in told] == [
        "Webhooks wait: The database cannot be used."
    ] * 3
    assert not any(record.exc_info for record in told)


def test_without_an_address_nobody_is_told(server):
    submit(server, webhook="")
    server.work()
    server.hooks.tell_all()
    assert server.sent == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "file:///etc/passwd", "http://[::1]:9/"])
def test_only_public_addresses_are_told(url):
    with pytest.raises((TransportError, BadReplyError)):
        post_public(url, b"{}", {})
