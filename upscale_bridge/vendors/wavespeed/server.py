"""The server's half of WaveSpeed's v3 API; v2 is an alias of it.

Facts: https://wavespeed.ai/docs (submit-task, get-result, sync-mode, error-codes,
upload-files-api, verify-webhooks).
"""

from __future__ import annotations

import base64
import email.policy
import math
from email import message_from_bytes
from urllib.parse import parse_qs, quote, unquote, urlsplit

from ...contract.fields import address_or_data, make, read_body
from ...contract.http import Call, Json, Reply, answer
from ...contract.reading import listed, whole
from ...contract.server import (
    Answered,
    AskUpload,
    AskWebhookSecret,
    Delete,
    ListTasks,
    Poll,
    PostUpload,
    Request,
    ServedTask,
    Submit,
    TaskServerWire,
)
from ...contract.tasks import Done, Failed, Queued, Running, Source, Status
from ...errors import InvalidInputError
from . import bridge, offers
from .api import DELETE, ROOT, STILL_RUNNING, moment, read_moment
from .bridge import UpscaleBridgeLocal
from .history import PATH as LIST
from .operation import WaveSpeedOperation
from .uploads import FORM, TICKETS
from .upscale import MODELS, WaveSpeedUpscale

_ALIAS = "/api/v2/"
_PREDICTIONS = ROOT + "predictions/"
_SECRET = ROOT + "webhook/secret"
_SYNC_SECONDS = 60.0
_MODELS, _BALANCE = ROOT + "models", ROOT + "balance"
_PRICES = (ROOT + "model/price", ROOT + "model/pricing")
_WORDS = {"created": Queued, "processing": Running, "completed": Done, "failed": Failed}
_SYNC = "enable_sync_mode"
_KINDS = {True: (UpscaleBridgeLocal,), False: (WaveSpeedUpscale,)}
_MOST_PAGES = 1_000_000


class WaveSpeedServer(TaskServerWire):
    """POST /api/v3/{model}, GET /api/v3/predictions/{id}/result, uploads, and more."""

    roots = ("/api/",)
    operations = (WaveSpeedUpscale, UpscaleBridgeLocal)
    lifetime = 7 * 86_400.0
    upload_ends = ("/media/upload/binary",)
    small_ends = ("/media/uploads", "/predictions/delete", "/predictions", "/price", "/pricing")

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
        if model == bridge.MODEL:
            return _read_own_submit(call)
        if path == TICKETS:
            body = read_body(call)
            mime = str(body.get("content_type") or "")
            return AskUpload(mime, max(whole(body.get("size")), 0), _write_place)
        if path == FORM:
            data = _read_form(call)
            return PostUpload(data, lambda name, url: _write_posted(name, url, len(data)))
        if path in _PRICES:
            return Answered(_enveloped(offers.price(call)))
        if path == LIST:
            return _read_list(read_body(call))
        if path == DELETE:
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


def _enveloped(data: Json | list[Json], message: str = "success") -> Reply:
    return answer({"code": 200, "message": message, "data": data})


def _prediction(task: ServedTask, status: Status) -> Json:
    words = {kind: word for word, kind in _WORDS.items()}
    outputs = status.outputs if isinstance(status, Done) else ()
    address = f"{task.base_url}{_PREDICTIONS}{quote(task.ticket, safe='')}/result"
    return {
        "id": task.ticket,
        "model": task.model or MODELS[0],
        "outputs": [o.url or base64.b64encode(o.data).decode() for o in outputs],
        "urls": {"get": address},
        "has_nsfw_contents": [o.flagged for o in outputs],
        "status": words[type(status)],
        "created_at": moment(task.created) if task.created else "",
        "error": status.reason if isinstance(status, Failed) else "",  # never null
        "timings": {"inference": 0},
    }


def _read_question(path: str) -> Request | None:
    if path == _MODELS:
        return Answered(_enveloped(offers.models()))
    if path == _BALANCE:
        return Answered(_enveloped({"balance": 0}))
    if path == _SECRET:
        return AskWebhookSecret(lambda secret: _enveloped({"secret": secret}))
    ticket = path.removeprefix(_PREDICTIONS).removesuffix("/result")
    if path.startswith(_PREDICTIONS) and ticket and "/" not in ticket:
        return Poll(unquote(ticket))
    return None


def _read_list(body: Json) -> ListTasks:
    """Return which tasks are asked for; what is missing means all of them."""
    status = _WORDS.get(str(body.get("status") or ""))
    if body.get("status") and status is None:
        raise InvalidInputError("status", f"status must be one of {', '.join(_WORDS)}.")
    model = body.get("model")
    own = model == bridge.MODEL
    page, size = whole(body.get("page"), 1), whole(body.get("page_size"), 20)

    def write(tasks: list[tuple[ServedTask, Status]]) -> Reply:
        return _enveloped({"page": page, "items": [_item(*task) for task in tasks]})

    return ListTasks(
        page=min(max(page, 1), _MOST_PAGES),
        size=min(max(size, 1), 100),
        since=_moment_of(body, "created_after", 0.0),
        until=_moment_of(body, "created_before", math.inf),
        write=write,
        parameters={"model": str(model)} if model and not own else {},
        status=status,
        operations=_KINDS[own] if model else (),
    )


def _moment_of(body: Json, name: str, default: float) -> float:
    text = body.get(name)
    if not text:
        return default
    found = read_moment(text)
    if found is None:
        raise InvalidInputError(name, f"{name} must be a time such as 2026-01-31T12:00:00Z.")
    return found


def _item(task: ServedTask, status: Status) -> Json:
    inputs = {**task.parameters, "image": task.image}
    never = () if task.model == bridge.MODEL else ("model", *WaveSpeedUpscale.client_only)
    inputs = {name: value for name, value in inputs.items() if name not in never}
    return {**_prediction(task, status), "inputs": inputs}


def _read_submit(call: Call, model: str) -> Submit:
    body = read_body(call)
    source = address_or_data(body)
    # The vendor's defaults where the request says nothing.
    given = {name: value for name, value in body.items() if value is not None}
    values = {"target_resolution": "4k", "output_format": "jpeg", **given, "model": model}
    operation = make(WaveSpeedUpscale, values)
    return _submit(call, operation, source, waits=operation.enable_sync_mode)


def _read_own_submit(call: Call) -> Submit:
    """Return a submit of the local operation; what a slip names would be left out in silence."""
    body = read_body(call)
    source = address_or_data(body)
    values = {name: value for name, value in body.items() if value is not None}
    waits = bool(values.pop(_SYNC, False))
    known = [item.name for item in bridge.told_params()]
    for name in values:
        if name not in (*known, "image"):
            raise InvalidInputError(
                name, f"{bridge.MODEL} has no parameter {name[:80]}; it has {', '.join(known)}."
            )
    return _submit(call, make(UpscaleBridgeLocal, values), source, waits=waits)


def _submit(call: Call, operation: WaveSpeedOperation, source: Source, *, waits: bool) -> Submit:
    webhook = parse_qs(urlsplit(call.url).query).get("webhook", [""])[0]
    return Submit(operation, source, webhook, _SYNC_SECONDS if waits else 0.0)


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
