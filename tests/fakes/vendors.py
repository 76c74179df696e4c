"""Which address leads to which vendor's endpoint."""

import re
from dataclasses import dataclass

from tests.fakes import novita, photio, storage, wavespeed
from tests.fakes.answers import as_json


def health(service, x):
    """Answer GET /healthz, which only this project's own server knows."""
    if not service.idempotent:
        return as_json({"detail": "Not Found"}, 404)
    return as_json({"service": "upscale-bridge", "idempotent_submits": True})


@dataclass(frozen=True)
class Route:
    """One endpoint."""

    method: str
    pattern: str
    phase: str
    vendor: str
    answer: object


ROUTES = (
    Route("POST", "/v3/async/upscale", "submit", "novita", novita.upscale),
    Route("POST", "/v3/async/image-upscaler", "submit", "novita", novita.image_upscaler),
    Route("GET", "/v3/async/task-result", "poll", "novita", novita.task_result),
    Route("POST", "/v2/upscale", "submit", "novita_v2", novita.v2_upscale),
    Route("GET", "/v2/progress", "poll", "novita_v2", novita.v2_progress),
    Route("POST", "/v1/inference/upscale", "submit", "photio", photio.upscale),
    Route("POST", "/api/v3/media/uploads", "ticket", "wavespeed", wavespeed.ticket),
    Route("POST", "/api/v3/media/upload/binary", "legacy", "wavespeed", wavespeed.legacy),
    Route("POST", "/api/v3/predictions", "history", "wavespeed", wavespeed.history),
    Route(
        "GET", "/api/v3/predictions/(?P<id>[^/]+)(/result)?", "poll", "wavespeed", wavespeed.result
    ),
    Route(
        "POST", "/api/v3/(?!predictions/|media/)[^/]+/.+", "submit", "wavespeed", wavespeed.submit
    ),
    Route("PUT", "/put/(?P<id>[^/]+)", "put", "storage", storage.put),
    Route("GET", r"/files/(?P<id>[^/]+)\.\w+", "download", "storage", storage.get),
    Route("GET", "/healthz", "health", "own", health),
)


def find_route(method, path):
    """Return the endpoint and what its pattern found in the path, or (None, {})."""
    for route in ROUTES:
        match = re.fullmatch(route.pattern, path)
        if match and route.method == method:
            return route, match.groupdict()
    return None, {}
