"""Photio's one endpoint."""

import base64

from tests.fakes.answers import Manner, Refusal, Route, as_json, number, scaled


def refusal(kind, status, message):
    """Return a refusal."""
    return as_json({"status_code": status, "body": message}, status)


def upscale(service, x):
    """Answer POST /v1/inference/upscale, which waits for the result."""
    body = x.json()
    image = service.take(body.pop("image", None))
    scale = number(body.get("upscale_by") or 2, 2, 4)
    if scale not in (2, 4):
        raise Refusal("body", "upscale_by must be 2 or 4")
    task = service.accept(x, body, image, scaled(image.size, scale), "png")
    service.rest(service.clock.total)
    if task.failure:
        return MANNER.refuse("server", task.failure[0])
    data, _ = task.picture(x.alter)
    return as_json({"status_code": 200, "body": base64.b64encode(data).decode()})


MANNER = Manner(refusal, "x-photio-key")
ROUTES = (Route("POST", "/v1/inference/upscale", "submit", upscale, MANNER),)
