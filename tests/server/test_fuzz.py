"""No request, however strange, is answered by a failure of the server, or not at all."""

import json

import pytest
from hypothesis import HealthCheck, given, settings

from tests.server import fuzz
from tests.server.listener import Listener
from upscale_bridge.server.http import METHODS

RELAXED = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def port(server, ends):
    listener = Listener(server).__enter__()
    yield listener.port
    ends(listener)


def check(port, request):
    status, headers, body = fuzz.send(port, request)
    assert 200 <= status < 500, (request, status, body[:500])
    if request[0] in METHODS and headers["content-type"] == "application/json":
        assert json.loads(body), "a refusal says why"
    assert status < 400 or headers["content-type"] == "application/json" or status == 405


@given(fuzz.requests())
@settings(RELAXED, max_examples=200)
def test_noise_is_refused(port, request):
    check(port, request)


@given(fuzz.submits())
@settings(RELAXED, max_examples=200)
def test_wrong_submits_are_refused(port, request):
    check(port, request)
