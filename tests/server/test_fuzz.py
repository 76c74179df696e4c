"""No request, however strange, is answered by a failure of the server, or not at all."""

import json
import random

from tests.attacks import fuzz_routes
from tests.server.sockless import image
from upscale_bridge.server.http import METHODS

CASES = 400


def test_strange_requests_are_answered_over_a_socket(listen):
    """Their meaning is tried by tests/attacks/test_fuzzers.py, which has no socket between."""
    listener, chance, statuses = listen(), random.Random("sockets"), set()
    for _ in range(CASES):
        sent = fuzz_routes.call(chance, image(4, 4))
        status, headers, body = fuzz_routes.send(listener.port, sent)
        assert 200 <= status < 500, (sent, status, body[:500])
        if sent.method in METHODS and headers["content-type"] == "application/json":
            assert json.loads(body), "a refusal says why"
        known = headers["content-type"] == "application/json" or status == 405
        assert status < 400 or known
        statuses.add(status)
    assert {200, 400, 401, 403, 404} <= statuses
