"""The server's half of Novita's deprecated v2 API.

Facts: https://novita.ai/docs/api-reference/model-apis-upscale-v2-deprecated; the progress reply
as in novita-client 0.5.3. Errors are HTTP 200 with a code other than 0.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from ...contract.extras import MODES
from ...contract.fields import make, read_body, required, ticket_in_query
from ...contract.http import Call, Reply, answer
from ...contract.reading import whole
from ...contract.server import Poll, Request, ServedTask, Submit, TaskServerWire
from ...contract.tasks import Done, Failed, Queued, Running, Source, Status
from .v2 import PROGRESS, SUBMIT, NovitaUpscaleV2

_CODES = {400: 6, 401: 4, 402: 7, 403: 4, 404: 3, 409: 6, 504: 9}


class NovitaV2Server(TaskServerWire):
    """POST /v2/upscale and GET /v2/progress."""

    roots = ("/v2/",)
    operations = (NovitaUpscaleV2,)
    lifetime = 3600.0

    def read(self, call: Call) -> Request | None:
        ticket = ticket_in_query(call, PROGRESS)
        if ticket is not None:
            return Poll(ticket)
        if call.method != "POST" or urlsplit(call.url).path != SUBMIT:
            return None
        body = read_body(call)
        image = required(body, "image")
        by_size = whole(body.get("resize_mode")) == 1
        operation = make(NovitaUpscaleV2, {**body, "resize_mode": MODES[by_size]})
        return Submit(operation, Source("base64", image))

    def write_submit(self, task: ServedTask) -> Reply:
        return answer({"code": 0, "msg": "", "data": {"task_id": task.ticket, "warn": task.note}})

    def write_status(self, task: ServedTask, status: Status) -> Reply:
        numbers = {Queued: 0, Running: 1, Done: 2, Failed: 3}
        fraction = status.fraction or 0 if isinstance(status, Running) else 0
        outputs = status.outputs if isinstance(status, Done) else ()
        data = {
            "status": numbers[type(status)],
            "progress": 100 if outputs else round(100 * fraction),  # official clients want an int
            "eta_relative": 0,
            "imgs": [output.url for output in outputs],
            "info": task.note,
            "failed_reason": status.reason if isinstance(status, Failed) else "",
            "current_images": [],
            "enable_nsfw_detection": False,
        }
        return answer({"code": 0, "msg": "", "data": data})

    def write_error(self, status: int, message: str) -> Reply:
        body = {"code": _CODES.get(status, -1), "msg": message, "data": None}
        return answer(body, 429 if status == 429 else 200)  # there is no code for a rate limit
