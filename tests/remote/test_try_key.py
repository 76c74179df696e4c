"""A key is tested by a free call where the vendor has one."""

from dataclasses import replace

import pytest

from tests.remote.host import KEY
from upscale_bridge.contract.http import Reply
from upscale_bridge.errors import AuthError, MissingKeyError, TransportError
from upscale_bridge.remote.client import Client
from upscale_bridge.vendors import VENDORS

NAMES = {provider.name: provider for provider in VENDORS}


class Line:
    """A line to the vendor itself, which tests must not call."""

    def __init__(self, base_url, answer):
        self.base_url, self.answer, self.calls = base_url, answer, []

    def send(self, call, *, stop, limit):
        self.calls.append(call)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def tried(monkeypatch):
    """Return a function that tests a key against an answer: (what is said, the calls)."""

    def run(name, answer):
        provider = NAMES[name]
        monkeypatch.delenv(provider.url_variable, raising=False)
        line = Line(provider.base_url, answer)
        client = Client()
        monkeypatch.setattr(client.hosts, "transport", lambda _: line)
        return client.hosts.try_key(provider), [(call.method, call.url) for call in line.calls]

    return run


@pytest.mark.parametrize(
    ("name", "path"), [("novita", "/v3/user"), ("wavespeed", "/api/v3/balance")]
)
def test_an_accepted_key(tried, name, path):
    said, calls = tried(name, Reply(200, b"{}", {}))
    assert said == f"{NAMES[name].title} accepts it."
    assert calls == [("GET", path)]


@pytest.mark.parametrize("name", ["novita", "wavespeed"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key(tried, name, status):
    with pytest.raises(AuthError, match="Check the key"):
        tried(name, Reply(status, b"{}", {}))


def test_no_network(tried):
    with pytest.raises(TransportError):
        tried("novita", TransportError("Cannot reach it.", sent=False))


def test_a_vendor_without_free_calls_is_not_asked(tried):
    said, calls = tried("photio", Reply(500, b"", {}))
    assert "no free call" in said
    assert calls == []


def test_another_host_is_not_asked(monkeypatch):
    monkeypatch.setenv("NOVITA_API_KEY", KEY)
    monkeypatch.setenv("NOVITA_BASE_URL", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 is not asked" in Client().hosts.try_key(NAMES["novita"])


def test_without_a_key(monkeypatch):
    monkeypatch.delenv("WAVESPEED_API_KEY", raising=False)
    monkeypatch.delenv("WAVESPEED_BASE_URL", raising=False)
    monkeypatch.setattr("upscale_bridge.remote.hosts.check_base_url", lambda url, *_: url)
    with pytest.raises(MissingKeyError):
        Client().hosts.try_key(replace(NAMES["wavespeed"]))
