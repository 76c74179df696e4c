"""The server's half of WaveSpeed's v3 API; v2 is an alias of it.

Facts: https://wavespeed.ai/docs (submit-task, get-result, sync-mode, error-codes,
upload-files-api, verify-webhooks).
"""

from __future__ import annotations

import base64
import email.policy
from email import message_from_bytes
from urllib.parse import parse_qs, quote, unquote, urlsplit

from ...contract.fields import address_or_data, make, read_body
from ...contract.http import Call, Json, Reply, answer
from ...contract.reading import listed, whole
from ...contract.server import (
    AskUpload,
    AskWebhookSecret,
    Delete,
    Poll,
    PostUpload,
    Request,
    ServedTask,
    Submit,
    TaskServerWire,
)
from ...contract.tasks import Done, Failed, Queued, Running, Status
from ...errors import InvalidInputError
from .api import ROOT, STILL_RUNNING
from .uploads import FORM, TICKETS
from .upscale import MODELS, WaveSpeedUpscale

_ALIAS = "/api/v2/"
_PREDICTIONS = ROOT + "predictions/"
_DELETE, _SECRET = _PREDICTIONS + "delete", ROOT + "webhook/secret"
_SYNC_SECONDS = 60.0


class WaveSpeedServer(TaskServerWire):
    """POST /api/v3/{model}, GET /api/v3/predictions/{id}/result, uploads, and more."""

    roots = ("/api/",)
    operations = (WaveSpeedUpscale,)
    lifetime = 7 * 86_400.0
    upload_ends = ("/media/upload/binary",)
    small_ends = ("/media/uploads", "/predictions/delete")

    def read(self, call: Call) -> Request | None:
        path = urlsplit(call.url).path
        if path.startswith(_ALIAS):
            path = ROOT + path.removeprefix(_ALIAS)
        if call.method == "GET":
            return _read_question(path)
        model = path.removeprefix(ROOT)
        if call.method != "POST":
            return None
        if model in MODELS:
            return _read_submit(call, model)
        if path == TICKETS:
            body = read_body(call)
            mime = str(body.get("content_type") or "")
            return AskUpload(mime, max(whole(body.get("size")), 0), _write_place)
        if path == FORM:
            data = _read_form(call)
            return PostUpload(data, lambda name, url: _write_posted(name, url, len(data)))
        if path == _DELETE:
            names = listed(read_body(call).get("ids"))
            return Delete(tuple(name for name in names if isinstance(name, str)), _enveloped({}))
        return None

    def write_submit(self, task: ServedTask) -> Reply:
        return self.write_status(task, Queued())

    def write_status(self, task: ServedTask, status: Status) -> Reply:
        message = f"success; {task.note}" if task.note else "success"
        return _enveloped(_prediction(task, status), message)

    def write_event(self, task: ServedTask, status: Status) -> Json:
        return _prediction(task, status)

    def write_late(self, task: ServedTask) -> Reply:
        late = {"code": STILL_RUNNING, "error": "Sync mode timed out; get the result by its id."}
        return _enveloped({**_prediction(task, Running()), **late})

    def write_error(self, status: int, message: str) -> Reply:
        return answer({"code": status, "message": message}, status)

    def sends_data(self, parameters: Json) -> bool:
        return bool(parameters.get("enable_base64_output"))


def _enveloped(data: Json, message: str = "success") -> Reply:
    return answer({"code": 200, "message": message, "data": data})


def _prediction(task: ServedTask, status: Status) -> Json:
    words = {Queued: "created", Running: "processing", Done: "completed", Failed: "failed"}
    outputs = status.outputs if isinstance(status, Done) else ()
    address = f"{task.base_url}{_PREDICTIONS}{quote(task.ticket, safe='')}/result"
    return {
        "id": task.ticket,
        "model": task.parameters.get("model", MODELS[0]),
        "outputs": [o.url or base64.b64encode(o.data).decode() for o in outputs],
        "urls": {"get": address},
        "has_nsfw_contents": [o.flagged for o in outputs],
        "status": words[type(status)],
        "created_at": "",
        "error": status.reason if isinstance(status, Failed) else "",  # never null
        "timings": {"inference": 0},
    }


def _read_question(path: str) -> Request | None:
    if path == _SECRET:
        return AskWebhookSecret(lambda secret: _enveloped({"secret": secret}))
    ticket = path.removeprefix(_PREDICTIONS).removesuffix("/result")
    if path.startswith(_PREDICTIONS) and ticket and "/" not in ticket:
        return Poll(unquote(ticket))
    return None


def _read_submit(call: Call, model: str) -> Submit:
    body = read_body(call)
    source = address_or_data(body)
    # The vendor's defaults where the request says nothing.
    given = {name: value for name, value in body.items() if value is not None}
    values = {"target_resolution": "4k", "output_format": "jpeg", **given, "model": model}
    operation = make(WaveSpeedUpscale, values)
    webhook = parse_qs(urlsplit(call.url).query).get("webhook", [""])[0]
    return Submit(operation, source, webhook, _SYNC_SECONDS if operation.enable_sync_mode else 0.0)


def _write_place(put_url: str, url: str) -> Reply:
    upload = {"method": "PUT", "url": put_url, "headers": {}}
    return _enveloped({"upload": upload, "download_url": url})


def _read_form(call: Call) -> bytes:
    """Return the file of a multipart form."""
    head = f"Content-Type: {call.headers.get('content-type', '')}\r\n\r\n".encode()
    form = message_from_bytes(head + call.body, policy=email.policy.HTTP)
    parts = [part for part in form.iter_parts() if part.get_filename()]
    if not parts:
        raise InvalidInputError("file", "Send the file as the multipart field `file`.")
    data = parts[0].get_payload(decode=True)
    if not isinstance(data, bytes):
        raise InvalidInputError("file", "The field `file` holds no file.")
    return data


def _write_posted(name: str, url: str, size: int) -> Reply:
    return _enveloped({"type": "image", "filename": name, "size": size, "download_url": url})
