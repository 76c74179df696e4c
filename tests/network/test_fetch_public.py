"""Fetching what a stranger names: public addresses only, whatever a name leads to."""

import pytest

from tests.fakes import faults
from tests.fakes.service import FakeService
from upscale_bridge.errors import BadReplyError, TransportError
from upscale_bridge.network.transport import fetch_public


@pytest.fixture
def service():
    with FakeService() as fake:
        yield fake


def get(url, **changes):
    options = {"limit": 1000, "seconds": 5.0, "allowed": lambda address: True}
    return fetch_public(url, **{**options, **changes})


def test_body_is_returned(service):
    service.faults["health"].append(faults.answer(200, b"a picture"))
    assert get(f"{service.base_url}/healthz") == b"a picture"


def test_nothing_is_sent_to_this_machine(service):
    with pytest.raises(TransportError, match="Cannot reach"):
        fetch_public(f"{service.base_url}/healthz", 1000, 5.0)
    assert service.requests == []


def test_redirects_have_an_end(service):
    service.faults["health"].extend([faults.redirect()] * 5)
    with pytest.raises(BadReplyError, match="more than 3 times"):
        get(f"{service.base_url}/healthz")
    assert len(service.requests) == 4


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:,a", "", "//a"])
def test_other_schemes_are_refused(url):
    with pytest.raises(BadReplyError, match="Only http"):
        get(url)


def test_large_and_missing_files_are_refused(service):
    service.faults["health"].extend([faults.answer(200, b"x" * 1001), faults.answer(404)])
    with pytest.raises(BadReplyError, match="MB"):
        get(f"{service.base_url}/healthz")
    with pytest.raises(BadReplyError, match="HTTP 404"):
        get(f"{service.base_url}/healthz")
