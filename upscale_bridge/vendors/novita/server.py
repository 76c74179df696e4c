"""The server's half of Novita's v3 API.

Facts: https://novita.ai/docs/api-reference/model-apis-upscale, .../model-apis-image-upscaler,
.../model-apis-task-result and .../basic-error-code.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import urlsplit

from ...contract.fields import address_or_data, make, read_body, required, ticket_in_query
from ...contract.http import Call, Json, Reply, answer
from ...contract.reading import table
from ...contract.server import Poll, Request, ServedTask, Submit, TaskServerWire
from ...contract.tasks import Done, Failed, Output, Queued, Running, Source, Status
from ...errors import InvalidInputError
from .api import RESULT
from .resolution import PATH as TO_RESOLUTION
from .resolution import NovitaUpscaleToResolution
from .upscale import PATH as UPSCALE
from .upscale import NovitaUpscale

_REASONS = {
    400: "INVALID_REQUEST_BODY",
    401: "INVALID_API_KEY",
    403: "INVALID_API_KEY",
    404: "TASK_NOT_FOUND",
    429: "RATE_LIMIT_EXCEEDED",
}


class NovitaServer(TaskServerWire):
    """POST /v3/async/upscale and image-upscaler, GET /v3/async/task-result."""

    roots = ("/v3/",)
    operations = (NovitaUpscale, NovitaUpscaleToResolution)
    lifetime = 3600.0

    def read(self, call: Call) -> Request | None:
        ticket = ticket_in_query(call, RESULT)
        if ticket is not None:
            return Poll(ticket)
        path = urlsplit(call.url).path if call.method == "POST" else ""
        if path == UPSCALE:
            return _read_upscale(read_body(call))
        return _read_to_resolution(read_body(call)) if path == TO_RESOLUTION else None

    def write_submit(self, task: ServedTask) -> Reply:
        return answer({"task_id": task.ticket})

    def write_status(self, task: ServedTask, status: Status) -> Reply:
        words = {Queued: "QUEUED", Running: "PROCESSING", Done: "SUCCEED", Failed: "FAILED"}
        fraction = status.fraction or 0 if isinstance(status, Running) else 0
        outputs = status.outputs if isinstance(status, Done) else ()
        return answer(
            {
                "extra": {"enable_nsfw_detection": False},
                "task": {
                    "task_id": task.ticket,
                    "task_type": "UPSCALE",
                    "status": "TASK_STATUS_" + words[type(status)],
                    "reason": status.reason if isinstance(status, Failed) else "",
                    "eta": 0,
                    "progress_percent": 100 if outputs else round(100 * fraction),
                },
                "images": [_image(output) for output in outputs],
                "videos": [],  # official clients iterate over it
            }
        )

    def write_event(self, task: ServedTask, status: Status) -> Json:
        payload = self.write_status(task, status).json()
        return {"event_type": "ASYNC_TASK_RESULT", "payload": payload}

    def write_error(self, status: int, message: str) -> Reply:
        reason = _REASONS.get(status, "CREATE_TASK_FAILED")
        body = {"code": status, "reason": reason, "message": message, "metadata": {}}
        return answer(body, 403 if status == 401 else status)


def _read_upscale(body: Json) -> Submit:
    request, extra = table(body.get("request")), table(body.get("extra"))
    image = required(request, "image_base64")
    for name in ("model_name", "scale_factor"):
        if request.get(name) is None:
            raise InvalidInputError(name, f"request.{name} is required.")
    operation = make(NovitaUpscale, {"response_image_type": "png", **extra, **request})
    webhook = str(table(extra.get("webhook")).get("url") or "")
    return Submit(operation, Source("base64", image), webhook)


def _read_to_resolution(body: Json) -> Submit:
    source = address_or_data(body)
    # The vendor's defaults where the request says nothing.
    values = {"resolution": "4k", "output_format": "jpeg"}
    values |= {name: body[name] for name in values if body.get(name)}
    return Submit(make(NovitaUpscaleToResolution, values), source)


def _image(output: Output) -> Json:
    kind = PurePosixPath(urlsplit(output.url).path).suffix.lstrip(".")
    return {
        "image_url": output.url,
        "image_url_ttl": "3600",  # a text, as the vendor sends it
        "image_type": kind,
        "nsfw_detection_result": None,
    }
