"""No request, however strange, is answered by a failure of the server, or not at all."""

import json
import random

from tests.attacks import fuzz_routes
from tests.server.sockless import image
from upscale_bridge.server.endpoint import METHODS

CASES = 400


def test_strange_requests_are_answered_over_a_socket(listen):
    """Their meaning is tried by tests/attacks/test_fuzzers.py, which has no socket between."""
    listener, chance, statuses = listen(), random.Random("sockets"), set()
    for _ in range(CASES):
        sent = fuzz_routes.call(chance, image(4, 4))
        status, headers, body = fuzz_routes.send(listener.port, sent)
        assert 200 <= status < 500, (sent, status, body[:500])
        if sent.method != "HEAD" and headers["content-type"] == "application/json":
            assert json.loads(body), "a refusal says why"
        assert status < 400 or headers["content-type"] == "application/json"
        assert (status == 405) == (sent.method not in (*METHODS, "HEAD"))
        statuses.add(status)
    assert {200, 400, 401, 403, 404} <= statuses
