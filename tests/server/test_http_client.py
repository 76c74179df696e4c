"""Our own client against our own server: everything arrives, and nothing is done twice."""

import pytest
import torch

pytest.importorskip("uvicorn")

from tests.remote.host import PROFILES, FakeClock, make, picture
from tests.server.listener import Listener
from tests.server.sockless import MODEL, SUBMITS
from tests.vendors import environment
from upscale_bridge import LocalUpscale
from upscale_bridge.errors import AmbiguousSubmitError, AuthError, QuotaError
from upscale_bridge.remote.client import Client
from upscale_bridge.service import Service

SIZE = (20, 12)


@pytest.fixture
def start(server, monkeypatch, ends):
    """Start a listener and return a host whose settings lead to it."""
    server.service.library.find(MODEL)
    open_ones = []

    def start(key="sk-anna-0123456789", **options):
        open_ones.append(Listener(server, **options).__enter__())
        for name, value in environment(open_ones[-1].url, key).items():
            monkeypatch.setenv(name, value)
        host = Service()
        host._client = Client(clock=FakeClock())
        return host

    yield start
    for one in open_ones:
        ends(one)


def run(host, command, seed=0, **changes):
    operation = make(command, **{**PROFILES[command].served.small, **changes})
    return host.run(operation, picture(seed, size=SIZE)).images


def size(command):
    """Return what the server makes of the image's sides."""
    if PROFILES[command].long_edge:
        return (32, round(32 * SIZE[1] / SIZE[0]))
    return (40, 24)


def submits(server):
    return sum(server.queue.counts().values())


@pytest.mark.parametrize("command", SUBMITS)
def test_every_operation_delivers(start, server, command):
    host = start()
    found = run(host, command)
    assert found.shape == (1, *size(command)[::-1], 3)
    assert submits(server) == 1
    assert torch.equal(run(host, command), found)  # it is kept by the client
    assert submits(server) == 1


def test_result_is_the_local_one_bit_for_bit(start, service):
    images = picture(size=SIZE)
    data = (images * 255).round() / 255
    right = service.run(LocalUpscale(model=MODEL, scale_factor=2), data).images
    found = run(start(), "novita")
    assert torch.equal((found * 255).round(), (right * 255).round())


@pytest.mark.parametrize(
    "changes",
    [{"enable_sync_mode": True}, {"enable_base64_output": True}, {"creativity": 1.0}],
    ids=lambda changes: next(iter(changes)),
)
def test_ways_of_wavespeed(start, changes):
    assert run(start(), "wavespeed", **changes).shape == (1, 19, 32, 3)


class Breaks:
    """Lets the first answers to some paths break off after they were made."""

    def __init__(self, app, *paths):
        self._app, self._paths = app, list(paths)

    async def __call__(self, scope, receive, send):
        if scope["path"] not in self._paths:
            await self._app(scope, receive, send)
            return
        self._paths.remove(scope["path"])

        async def swallow(message):
            pass

        await self._app(scope, receive, swallow)
        headers = [(b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})


@pytest.mark.parametrize("command", SUBMITS)
def test_doubt_ends_without_a_second_job(start, server, command):
    path = SUBMITS[command][0]
    host = start(wrap=lambda app: Breaks(app, path))
    with pytest.raises(AmbiguousSubmitError):
        run(host, command)
    assert submits(server) == 1
    assert run(host, command).shape == (1, *size(command)[::-1], 3)
    assert submits(server) == 1


def test_refusals_are_understood(start, server):
    key = server.customers.add("anna")
    wrong = start(key="sk-wrong-0123456789", works=False)
    for command in SUBMITS:
        with pytest.raises(AuthError):
            run(wrong, command)
    server.queue.most = 0
    right = start(key=key, works=False)
    for command in ("novita-v2", "wavespeed"):
        with pytest.raises(QuotaError):
            run(right, command)
    assert submits(server) == 0
