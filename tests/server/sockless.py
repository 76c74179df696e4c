"""A server without sockets, whose jobs the test itself does."""

import base64
import io
import json
import math
import threading
from dataclasses import replace

import numpy as np
from PIL import Image

from tests.vendors import profiles
from upscale_bridge.contract.http import Call, Reply
from upscale_bridge.remote.clock import Clock
from upscale_bridge.server import worker
from upscale_bridge.server.admission import Admission, Sender
from upscale_bridge.server.api_clients import ApiClients
from upscale_bridge.server.app import App
from upscale_bridge.server.bounds import Bounds
from upscale_bridge.server.files import FolderFiles
from upscale_bridge.server.queue import Job
from upscale_bridge.server.replies import Stored, Wait
from upscale_bridge.server.sqlite_queue import SqliteQueue

BASE = "http://server.test:8190"
MODEL = "UpscaleBridge-x4"
ONE = Job("", "anna", "NovitaUpscale", "{}", "a.png", 3600.0)


HERE = Sender()


class TestClock(Clock):
    """A time that only tests move."""

    __test__ = False
    time = 1_700_000_000.0

    def now(self):
        return self.time

    def monotonic(self):
        return self.time


def pixels(width=12, height=8, mode="RGB", seed=0):
    """Return smooth uint8 pixels of an image."""
    channels = len(mode)
    coarse = np.random.default_rng(seed).random((3, 3, channels))
    layers = [
        Image.fromarray(np.uint8(255 * coarse[..., index])).resize((width, height), 3)
        for index in range(channels)
    ]
    found = np.stack([np.asarray(layer) for layer in layers], axis=-1)
    return found[..., 0] if channels == 1 else found


def image(width=12, height=8, mode="RGB", seed=0, format="png"):
    """Return an encoded image."""
    buffer = io.BytesIO()
    Image.fromarray(pixels(width, height, mode, seed)).save(buffer, format)
    return buffer.getvalue()


def text(data):
    return base64.b64encode(data).decode()


def uri(data):
    return "data:image/png;base64," + text(data)


def opened(data):
    found = Image.open(io.BytesIO(data))
    found.load()
    return found


class Server:
    """An `App` in a folder of its own, and one worker that works when it is told to."""

    def __init__(self, folder, service, most=1000, most_bytes=1 << 30, **options):
        self.service, self.clock = service, TestClock()
        self.queue = SqliteQueue(folder, most, self.clock)
        self.files = FolderFiles(folder / "files", most_bytes, self.clock)
        self.customers = ApiClients(folder / "keys.json")
        self.alive = True
        workers = lambda: self.alive  # noqa: E731
        self.app = App(service, self.queue, self.files, self.customers, workers, **options)

    def call(self, method, url, body=None, key="sk-anna", sender=HERE, **headers):
        """Send a call as the listener does; `body` may be bytes, else it is JSON."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if key:
            headers = {"authorization": f"Bearer {key}", **headers}
        if method == "POST":
            headers = {"content-type": "application/json", **headers}
        headers = {"host": "127.0.0.1:8190", **headers}
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        call = Call(method, url, b"", headers)
        found = self.app.admit(call, sender, 64 << 20)
        if isinstance(found, Admission):
            assert len(body or b"") <= found.most
            call = replace(call, body=body or b"")
            found = self.app.handle(call, found.customer, BASE)
        if isinstance(found, Stored):
            with found.file:
                return Reply(200, found.file.read(), found.headers)
        if isinstance(found, Wait) and not found.seconds:
            return found.done(self.queue.get(found.job))
        return found

    def get(self, url, **more):
        return self.call("GET", url, **more)

    def post(self, url, body, **more):
        return self.call("POST", url, body, **more)

    def work(self, most=math.inf):
        """Do all jobs, or so many of them; return how many there were."""
        count = 0
        while count < most and (job := self.queue.take()) is not None:
            worker.do(self.service, self.queue, self.files, job, threading.Event(), Bounds())
            count += 1
        return count

    def end(self, wait, late=False):
        """Return what a waiting client gets once the jobs are done, or the time is over."""
        assert isinstance(wait, Wait)
        if not late:
            self.work()
        return (wait.late if late else wait.done)(self.queue.get(wait.job))

    def file(self, url):
        """Return the file at an address of this server."""
        assert url.startswith(BASE + "/files/")
        return self.get(url.removeprefix(BASE), key="")


def novita(data=None, factor=2, model="4x-UltraSharp", **extra):
    request = {"model_name": model, "scale_factor": factor}
    return {"extra": extra, "request": {**request, "image_base64": text(data or image())}}


def v2(data=None, **fields):
    return {"image": text(data or image()), "upscaler_1": MODEL, "upscaling_resize": 2, **fields}


def wavespeed(data=None, **fields):
    small = {"target_resolution": "2k", "output_format": "png"}
    return {"image": uri(data or image()), **small, **fields}


def photio(data=None, **fields):
    return {"image": text(data or image()), **fields}


V3, TO_2K = "/v3/async/upscale", "/v3/async/image-upscaler"
V2, PHOTIO = "/v2/upscale", "/v1/inference/upscale"
WAVESPEED = "/api/v3/wavespeed-ai/image-upscaler"


def _body(profile):
    def body(data=None):
        source = profile.source(text(data or image()))
        operation = profile.operation(**profile.served.small)
        return json.loads(profile.operation.wire.submit(operation, source).body)

    return body


def _path(profile):
    return profile.operation.wire.submit(profile.operation(), profile.source()).url


SERVED = {command: one for command, one in profiles().items() if one.served}
SUBMITS = {command: (_path(one), _body(one)) for command, one in SERVED.items()}
"""Path and body of a quick submit; the body is made of a picture."""


def refusal(reply, *names):
    """Return (HTTP status, the code inside, the message) of any vendor's refusal.

    `names` lead to the code and the message, where they are known.
    """
    assert isinstance(reply, Reply), reply
    body = reply.json()
    code, *words = names or (
        next((name for name in ("reason", "status_code") if name in body), "code"),
        next(name for name in ("message", "msg", "body") if body.get(name)),
    )
    message = body
    for name in words:
        message = message[name]
    return reply.status, body.get(code), message


def job(customer="anna", **changes):
    return replace(ONE, customer=customer, **changes)


POLLS = {
    command: one.operation.wire.poll("TICKET").url.replace("TICKET", "{}")
    for command, one in SERVED.items()
    if one.words
}


def refused(command, reply):
    """Return what `refusal` does, of the operation's own vendor."""
    profile = SERVED[command]
    return refusal(reply, profile.served.code, *profile.error_words)


def check(command, status, reply):
    found = refused(command, reply)
    assert found[:2] == SERVED[command].served.refusals[status]
    assert found[2].endswith(".")
    return found[2]


def ticket(reply):
    """Return the task's id from an answer that all official clients accept."""
    assert isinstance(reply, Reply)
    assert reply.status in {one.served.accepted for one in SERVED.values()}, reply.body
    assert reply.headers["content-type"] == "application/json"
    for path in dict.fromkeys(SERVED[command].operation.wire.ticket_path for command in POLLS):
        found = reply.json()
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        if found:
            return found
    raise AssertionError(reply.body)
