"""Novita's asynchronous v3 API, and its upscale by a factor.

Facts: https://novita.ai/docs/api-reference/model-apis-upscale, .../model-apis-task-result and
.../basic-error-code. The product is announced as retired
(https://novita.ai/docs/changelog/07-07-26); compatible hosts speak this on.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar
from urllib.parse import quote, urlsplit

from ...errors import InvalidInputError
from ...params import param
from ..choices import attempt_number, size_choice, too_large_choice, unavailable_choice
from ..fields import make, read_body, required, ticket_in_query
from ..provider import Limits, Provider, RemoteOperation, Way, Wire
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
    table,
    whole,
)

NOVITA = Provider(
    name="novita",
    title="Novita",
    base_url="https://api.novita.ai",
    key_page="https://novita.ai/settings/key-management",
    free_call="/v3/user",  # user_info() of novita-client 0.7.1
)
_MODELS = ("RealESRGAN_x4plus_anime_6B", "RealESRNet_x4plus", "4x-UltraSharp")
_RESULT = "/v3/async/task-result"
_REASONS = {
    400: "INVALID_REQUEST_BODY",
    401: "INVALID_API_KEY",
    403: "INVALID_API_KEY",
    404: "TASK_NOT_FOUND",
    429: "RATE_LIMIT_EXCEEDED",
}


class NovitaWire(Wire):
    """What all v3 endpoints share: tickets, polls and errors."""

    path: str
    ticket_path = ("task_id",)

    def read_submit(self, reply: Reply) -> Ticket | Done:
        if not 200 <= reply.status < 300:
            _refuse(reply)
        return Ticket(NOVITA.required_id(reply.json(), "task_id"))

    def poll(self, ticket: str) -> Call:
        return Call("GET", f"{_RESULT}?task_id={quote(ticket, safe='')}")

    def read_poll(self, reply: Reply) -> Status:
        if reply.status != 200:
            _refuse(reply)
        body = reply.json()
        task = table(body.get("task"))
        match str(task.get("status", "")).upper().removeprefix("TASK_STATUS_"):
            case "SUCCEED" | "SUCCEEDED" | "SUCCESS":
                outputs = map(_output, listed(body.get("images")))
                return Done(tuple(output for output in outputs if output.url))
            case "FAILED" | "CANCELED" | "CANCELLED" | "TIMEOUT":
                return Failed(str(task.get("reason") or "no reason given"))
            case "QUEUED":
                return Queued()
        percent = whole(task.get("progress_percent"))
        return Running(min(percent, 100) / 100 if percent > 0 else None)

    def write_submit(self, accepted: Ticket | Done, base_url: str = "", *, note: str = "") -> Reply:
        if not isinstance(accepted, Ticket):
            raise TypeError("this API answers a submit with a ticket only")
        return answer({"task_id": accepted.id})

    def read_poll_call(self, call: Call) -> str | None:
        return ticket_in_query(call, _RESULT)

    def write_status(
        self, ticket: str, status: Status, base_url: str = "", *, note: str = ""
    ) -> Reply:
        words = {Queued: "QUEUED", Running: "PROCESSING", Done: "SUCCEED", Failed: "FAILED"}
        fraction = status.fraction or 0 if isinstance(status, Running) else 0
        outputs = status.outputs if isinstance(status, Done) else ()
        return answer(
            {
                "extra": {"enable_nsfw_detection": False},
                "task": {
                    "task_id": ticket,
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

    def write_event(self, ticket: str, status: Status, base_url: str) -> Json:
        payload = self.write_status(ticket, status, base_url).json()
        return {"event_type": "ASYNC_TASK_RESULT", "payload": payload}

    def write_error(self, status: int, message: str) -> Reply:
        reason = _REASONS.get(status, "CREATE_TASK_FAILED")
        body = {"code": status, "reason": reason, "message": message, "metadata": {}}
        return answer(body, 403 if status == 401 else status)

    def read_call(self, call: Call) -> tuple[RemoteOperation, Source] | None:
        if call.method != "POST" or urlsplit(call.url).path != self.path:
            return None
        return self.read_fields(read_body(call))

    @abstractmethod
    def read_fields(self, body: Json) -> tuple[RemoteOperation, Source]:
        """Return what the body of a submit asks for."""


class UpscaleWire(NovitaWire):
    """POST /v3/async/upscale."""

    path = "/v3/async/upscale"

    def webhook(self, call: Call) -> str:
        extra = table(read_body(call).get("extra"))
        return str(table(extra.get("webhook")).get("url") or "")

    def submit(self, operation: NovitaUpscale, source: Source) -> Call:
        extra: Json = {"response_image_type": operation.response_image_type}
        if operation.enable_nsfw_detection:
            extra["enable_nsfw_detection"] = True
        request = {
            "model_name": operation.model_name,
            "image_base64": source.text,
            "scale_factor": operation.scale_factor,
        }
        return post(self.path, {"extra": extra, "request": request})

    def read_fields(self, body: Json) -> tuple[RemoteOperation, Source]:
        request, extra = table(body.get("request")), table(body.get("extra"))
        image = required(request, "image_base64")
        for name in ("model_name", "scale_factor"):
            if request.get(name) is None:
                raise InvalidInputError(name, f"request.{name} is required.")
        operation = make(NovitaUpscale, {"response_image_type": "png", **extra, **request})
        return operation, Source("base64", image)


@dataclass(frozen=True)
class NovitaUpscale(RemoteOperation):
    """Enlarge images by a factor with Novita's v3 upscale API, or a host that speaks it."""

    title: ClassVar[str] = "Novita Upscale"
    provider: ClassVar[Provider] = NOVITA
    wire: ClassVar[Wire] = UpscaleWire()
    command: ClassVar[str] = "novita"
    size_parameter: ClassVar[str] = "scale_factor"
    known_models: ClassVar[tuple[str, ...]] = _MODELS
    retirement: ClassVar[str] = "Novita ended its Upscale API on 2026-07-22 and names no successor"

    model_name: str = param(
        "RealESRGAN_x4plus_anime_6B",
        "The model: anime and drawings (RealESRGAN_x4plus_anime_6B), smooth photos "
        "(RealESRNet_x4plus), sharp photos (4x-UltraSharp).",
        choices=_MODELS,
    )
    scale_factor: float = param(
        2.0,
        "Size of the result relative to the input.",
        above=1.0,
        maximum=4.0,
        step=0.25,
    )
    response_image_type: str = param(
        "png",
        "File format in which the result travels; png loses nothing.",
        choices=("png", "webp", "jpeg"),
    )
    enable_nsfw_detection: bool = param(
        False, "Have the service check the image (costs a little more); info tells what it found."
    )
    when_too_large: str = too_large_choice()
    result_size: str = size_choice()
    when_unavailable: str = unavailable_choice()
    attempt: int = attempt_number()

    @property
    def limits(self) -> Limits:
        return Limits(edge=2048, size=30_000_000)

    def ways(self) -> tuple[Way, ...]:
        return ("base64",)

    def factor(self, width: int, height: int) -> float:
        return self.scale_factor

    def models(self) -> tuple[str, ...]:
        return (self.model_name,)


def _refuse(reply: Reply) -> None:
    said = reply.fields()
    NOVITA.refuse(reply, str(said.get("message") or ""), str(said.get("reason") or ""))


def _output(item: object) -> Output:
    fields = table(item)
    found = fields.get("nsfw_detection_result")
    flagged = bool(table(found).get("valid")) if isinstance(found, dict) else found is True
    url = fields.get("image_url")
    return Output(url=url if isinstance(url, str) else "", flagged=flagged)


def _image(output: Output) -> Json:
    kind = PurePosixPath(urlsplit(output.url).path).suffix.lstrip(".")
    return {
        "image_url": output.url,
        "image_url_ttl": "3600",  # a text, as the vendor sends it
        "image_type": kind,
        "nsfw_detection_result": None,
    }
