"""Which address leads to which endpoint: those of all vendors, storage, and our own server's."""

import re

from tests.fakes import storage
from tests.fakes.answers import Manner, Route, as_json
from tests.vendors import stand_ins


def health(service, x):
    """Answer GET /healthz, which only this project's own server knows."""
    if not service.idempotent:
        return as_json({"detail": "Not Found"}, 404)
    return as_json({"service": "upscale-bridge", "idempotent_submits": True})


OWN = Manner(lambda kind, status, text: as_json({"code": status, "message": text}, status), "")
STORAGE = Manner(storage.refusal, "")
ROUTES = (
    *(route for part in stand_ins() for route in part.ROUTES),
    Route("PUT", "/put/(?P<id>[^/]+)", "put", storage.put, STORAGE),
    Route("GET", r"/files/(?P<id>[^/]+)\.\w+", "download", storage.get, STORAGE),
    Route("GET", "/healthz", "health", health, OWN),
)
KEY_HEADERS = {route.manner.key_header for route in ROUTES} - {""}


def find_route(method, path):
    """Return the endpoint and what its pattern found in the path, or (None, {})."""
    for route in ROUTES:
        match = re.fullmatch(route.pattern, path)
        if match and route.method == method:
            return route, match.groupdict()
    return None, {}
