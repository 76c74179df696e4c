"""WaveSpeed's v3 API: image-upscaler and the models that share its contract.

Facts: https://wavespeed.ai/docs (submit-task, get-result, sync-mode, error-codes,
upload-files-api). `creativity` is in the older contract only and is sent only when it is not 0.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

from ...errors import BadReplyError
from ...params import param
from ...pictures import Picture
from ...texts import Text
from ..choices import attempt_number, size_choice, too_large_choice, unavailable_choice
from ..fields import address_or_data, make, read_body
from ..presets import PRESET_EDGES, preset_choice, preset_factor
from ..provider import Limits, Provider, RemoteOperation, Upload, Uploads, Way, Wire
from ..wire import (
    Call,
    Done,
    Failed,
    Json,
    Output,
    Queued,
    Reply,
    Running,
    Source,
    Status,
    Ticket,
    answer,
    listed,
    post,
    post_file,
    read_output,
    table,
    whole,
)

_PRICES = {  # the vendor's agent skill 2.0, and its badge in ComfyUI's own node
    "wavespeed-ai/image-upscaler": "0.01",
    "wavespeed-ai/seedvr2/image": "0.01",
    "wavespeed-ai/ultimate-image-upscaler": "0.06",
}
WAVESPEED = Provider(
    name="wavespeed",
    title="WaveSpeed",
    base_url="https://api.wavespeed.ai",
    key_page="https://wavespeed.ai/accesskey",
    free_call="/api/v3/balance",  # the official CLI's
    first_poll=2.0,  # the vendor asks for at least two seconds between looks
)
_ROOTS = ("/api/v3/", "/api/v2/")
_MODELS = tuple(_PRICES)
_DONE = {"completed", "succeeded", "success", "done"}
_FAILED = {"failed", "error", "cancelled", "canceled", "timeout", "deleted"}
_REFUSALS = {1200, 1400, 1401, 1402}  # content, parameters, image address (docs/error-codes)
_STILL_RUNNING = 5004  # sync mode's patience ended; the task goes on (docs/sync-mode)


class WaveSpeedWire(Wire):
    """POST /api/v3/{model} and GET /api/v3/predictions/{id}/result."""

    ticket_path = ("data", "id")

    def submit(self, operation: WaveSpeedUpscale, source: Source) -> Call:
        body: Json = {
            "image": source.text,
            "target_resolution": operation.target_resolution,
            "output_format": operation.output_format,
            "enable_base64_output": operation.enable_base64_output,
            "enable_sync_mode": operation.enable_sync_mode,
        }
        if operation.creativity:
            body["creativity"] = operation.creativity
        return post(_ROOTS[0] + operation.model, body)

    def read_submit(self, reply: Reply) -> Ticket | Done:
        data = _data(reply)
        ticket = WAVESPEED.required_id(data, "id")
        status = _status(data)
        if isinstance(status, Done) and status.outputs:
            return replace(status, ticket=ticket)
        return Ticket(ticket)

    def poll(self, ticket: str) -> Call:
        return Call("GET", f"{_ROOTS[0]}predictions/{quote(ticket, safe='')}/result")

    def read_poll(self, reply: Reply) -> Status:
        return _status(_data(reply))

    def read_call(self, call: Call) -> tuple[RemoteOperation, Source] | None:
        path = urlsplit(call.url).path
        model = next((path.removeprefix(root) for root in _ROOTS if path.startswith(root)), "")
        if call.method != "POST" or model not in _MODELS:
            return None
        body = read_body(call)
        source = address_or_data(body)
        # The vendor's defaults where the request says nothing.
        given = {name: value for name, value in body.items() if value is not None}
        values = {"target_resolution": "4k", "output_format": "jpeg", **given, "model": model}
        return make(WaveSpeedUpscale, values), source

    def write_submit(
        self,
        accepted: Ticket | Done,
        base_url: str = "",
        model: str = _MODELS[0],
        *,
        note: str = "",
    ) -> Reply:
        if isinstance(accepted, Ticket):
            return self.write_status(accepted.id, Queued(), base_url, model, note=note)
        return self.write_status(accepted.ticket, accepted, base_url, model, note=note)

    def read_poll_call(self, call: Call) -> str | None:
        path = urlsplit(call.url).path
        for root in _ROOTS:
            head = root + "predictions/"
            ticket = path.removeprefix(head).removesuffix("/result")
            if call.method == "GET" and path.startswith(head) and ticket and "/" not in ticket:
                return unquote(ticket)
        return None

    def write_status(
        self,
        ticket: str,
        status: Status,
        base_url: str = "",
        model: str = _MODELS[0],
        *,
        note: str = "",
    ) -> Reply:
        words = {Queued: "created", Running: "processing", Done: "completed", Failed: "failed"}
        outputs = status.outputs if isinstance(status, Done) else ()
        data = {
            "id": ticket,
            "model": model,
            "outputs": [o.url or base64.b64encode(o.data).decode() for o in outputs],
            "urls": {"get": f"{base_url}{_ROOTS[0]}predictions/{quote(ticket, safe='')}/result"},
            "has_nsfw_contents": [o.flagged for o in outputs],
            "status": words[type(status)],
            "created_at": "",
            "error": status.reason if isinstance(status, Failed) else "",  # never null
            "timings": {"inference": 0},
        }
        message = f"success; {note}" if note else "success"
        return answer({"code": 200, "message": message, "data": data})

    def webhook(self, call: Call) -> str:
        return parse_qs(urlsplit(call.url).query).get("webhook", [""])[0]

    def write_event(self, ticket: str, status: Status, base_url: str) -> Json:
        return table(self.write_status(ticket, status, base_url).json().get("data"))

    def write_late(self, ticket: str, base_url: str) -> Reply:
        """Return the answer to a submit in sync mode whose time is over; the task goes on."""
        body = self.write_status(ticket, Running(), base_url).json()
        late = {"code": _STILL_RUNNING, "error": "Sync mode timed out; get the result by its id."}
        return answer({**body, "data": {**body["data"], **late}})

    def write_error(self, status: int, message: str) -> Reply:
        return answer({"code": status, "message": message}, status)


class WaveSpeedUploads(Uploads):
    """The upload ticket of newer SDKs, and the older multipart form."""

    def ask(self, picture: Picture) -> Call:
        body = {
            "filename": _file_name(picture),
            "size": len(picture.data),
            "content_type": picture.mime,
        }
        return post("/api/v3/media/uploads", body)

    def read_place(self, reply: Reply, picture: Picture) -> Upload:
        data = _data(reply)
        place = table(data.get("upload"))
        url, address = place.get("url"), data.get("download_url")
        if not isinstance(url, str) or not url or not isinstance(address, str) or not address:
            raise BadReplyError("WaveSpeed's upload ticket names no address.", provider="wavespeed")
        headers: Mapping[str, object] = table(place.get("headers"))
        texts = {str(name): str(value) for name, value in headers.items()}
        return Upload(Call("PUT", url, picture.data, texts), address)

    def post(self, picture: Picture) -> Call:
        return post_file("/api/v3/media/upload/binary", _file_name(picture), picture)

    def read_posted(self, reply: Reply) -> str:
        address = _data(reply).get("download_url")
        if not isinstance(address, str) or not address:
            raise BadReplyError("WaveSpeed's upload names no address.", provider="wavespeed")
        return address


@dataclass(frozen=True)
class WaveSpeedUpscale(RemoteOperation):
    """Enlarge images to 2k, 4k or 8k with WaveSpeed, or a host that speaks its API."""

    title: ClassVar[str] = "WaveSpeed Upscale"
    provider: ClassVar[Provider] = WAVESPEED
    wire: ClassVar[Wire] = WaveSpeedWire()
    command: ClassVar[str] = "wavespeed"
    size_parameter: ClassVar[str] = "target_resolution"
    uploads: ClassVar[Uploads | None] = WaveSpeedUploads()

    model: str = param(
        _MODELS[0],
        "The model; image-upscaler is the cheapest, ultimate-image-upscaler the dearest.",
        choices=_MODELS,
    )
    target_resolution: str = preset_choice()
    creativity: float = param(
        0.0,
        "How much the model may invent. Part of an older contract: 0 is not sent, newer hosts "
        "ignore it.",
        minimum=-2.0,
        maximum=2.0,
        step=0.1,
    )
    output_format: str = param(
        "png",
        "File format in which the result travels; png loses nothing.",
        choices=("jpeg", "png", "webp"),
    )
    enable_base64_output: bool = param(
        False, "Receive the result in the answer instead of by its address; slower for large ones."
    )
    enable_sync_mode: bool = param(
        False,
        "Wait for the result in the submit itself. Not advised: when the connection breaks, the "
        "task's id is lost.",
    )
    image_url: str = param(
        "",
        "Address under which the service finds the image, in place of uploading the image input.",
    )
    when_too_large: str = too_large_choice()
    result_size: str = size_choice()
    when_unavailable: str = unavailable_choice()
    attempt: int = attempt_number()

    @property
    def price(self) -> Text | None:
        amount = _PRICES.get(self.model)
        if amount is None:
            return None
        return Text("${amount} per image (WaveSpeed's list price of 2026)", {"amount": amount})

    @property
    def limits(self) -> Limits:
        return Limits(edge=PRESET_EDGES[self.target_resolution], size=200_000_000)

    @property
    def image_address(self) -> str:
        return self.image_url

    def ways(self) -> tuple[Way, ...]:
        return ("upload", "data_uri")

    def factor(self, width: int, height: int) -> float:
        return preset_factor(self.target_resolution, width, height)


def _data(reply: Reply) -> Json:
    """Return the envelope's data; some errors arrive as HTTP 200 with another code inside."""
    if not 200 <= reply.status < 300:
        WAVESPEED.refuse(reply, str(reply.fields().get("message") or ""))
    body = reply.json()
    code = whole(body.get("code"), default=200)
    if not 200 <= code < 300:
        status = 400 if code in _REFUSALS else code
        WAVESPEED.refuse(Reply(status), str(body.get("message") or ""))
    return table(body.get("data"))


def _status(data: Json) -> Status:
    word = str(data.get("status", "")).lower()
    code = whole(data.get("code"))
    if word in _DONE:
        flags = listed(data.get("has_nsfw_contents"))
        outputs = [read_output(item) for item in listed(data.get("outputs"))]
        return Done(
            tuple(
                Output(o.url, o.data, flagged=index < len(flags) and flags[index] is True)
                for index, o in enumerate(outputs)
                if o.url or o.data
            )
        )
    if word in _FAILED and code != _STILL_RUNNING:
        return Failed(str(data.get("error") or "no reason given"), str(code or ""))
    return Queued() if word in ("created", "queued", "pending") else Running()


def _file_name(picture: Picture) -> str:
    return "image." + picture.mime.rpartition("/")[2]
