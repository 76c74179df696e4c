"""Novita's deprecated v2 API, which mirrors the parameters of the WebUI's Extras tab.

Facts: https://novita.ai/docs/api-reference/model-apis-upscale-v2-deprecated; the progress reply
as in novita-client 0.5.3. Errors arrive as HTTP 200 with a code other than 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import quote, urlsplit

from ... import sizes
from ...errors import AuthError, BadReplyError, ProviderError, QuotaError
from ...params import param
from ...sizes import Size
from ...texts import shortened
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
from .novita import NOVITA

_SUBMIT, _PROGRESS = "/v2/upscale", "/v2/progress"
NO_UPSCALER = ("None", "")
"""What the WebUI calls no upscaler, and what our own parameters do."""
PLAIN = ("Lanczos", "Nearest")
"""The WebUI's upscalers that are no models."""
_MODES = ("by factor", "to size")  # resize_mode 0 and 1 (novita-client 0.5.3)
_REFUSALS = {1, 2, 3, 4, 6, 7, 8, 10}  # codes that say that nothing was begun
_CODES = {400: 6, 401: 4, 402: 7, 403: 4, 404: 3, 409: 6, 504: 9}
_LOCAL_MODELS = {  # the WebUI's names of models that we know under their files' names
    "R-ESRGAN 4x+": "RealESRGAN_x4plus",
    "R-ESRGAN 4x+ Anime6B": "RealESRGAN_x4plus_anime_6B",
    "R-ESRGAN 2x+": "RealESRGAN_x2plus",
    "R-ESRGAN General 4xV3": "realesr-general-x4v3",
    "R-ESRGAN General WDN 4xV3": "realesr-general-wdn-x4v3",
    "R-ESRGAN AnimeVideo": "realesr-animevideov3",
    "ESRGAN_4x": "ESRGAN_4x",
    "4x-UltraSharp": "4x-UltraSharp",
}


class V2Wire(Wire):
    """POST /v2/upscale and GET /v2/progress."""

    ticket_path = ("data", "task_id")

    def submit(self, operation: NovitaUpscaleV2, source: Source) -> Call:
        by_factor = operation.resize_mode == _MODES[0]
        body: Json = {
            "image": source.text,
            "upscaler_1": operation.upscaler_1,
            "resize_mode": 0 if by_factor else 1,
            "upscaling_resize": operation.upscaling_resize if by_factor else None,
            "upscaling_resize_w": None if by_factor else operation.upscaling_resize_w,
            "upscaling_resize_h": None if by_factor else operation.upscaling_resize_h,
            "upscaling_crop": None if by_factor else operation.upscaling_crop,
            "upscaler_2": operation.upscaler_2 or None,
            "extras_upscaler_2_visibility": operation.extras_upscaler_2_visibility,
            "gfpgan_visibility": operation.gfpgan_visibility,
            "codeformer_visibility": operation.codeformer_visibility,
            "codeformer_weight": operation.codeformer_weight,
            "img_expire_ttl": operation.img_expire_ttl or None,
        }
        return post(_SUBMIT, body)

    def read_submit(self, reply: Reply) -> Ticket | Done:
        return Ticket(NOVITA.required_id(_data(reply), "task_id"))

    def poll(self, ticket: str) -> Call:
        return Call("GET", f"{_PROGRESS}?task_id={quote(ticket, safe='')}")

    def read_poll(self, reply: Reply) -> Status:
        data = _data(reply)
        match whole(data.get("status"), default=1):
            case 0:
                return Queued()
            case 2:
                named = (url for url in listed(data.get("imgs")) if url and isinstance(url, str))
                return Done(tuple(Output(url=url) for url in named))
            case 3:
                return Failed(str(data.get("failed_reason") or "no reason given"))
            case 4:
                return Failed(str(data.get("failed_reason") or "the service ran out of time"))
        try:
            done = float(str(data.get("progress")))
        except ValueError:
            return Running()
        if not done > 0:  # NaN included
            return Running()
        return Running(done if done < 1 else min(done, 100) / 100)  # both are met with

    def read_call(self, call: Call) -> tuple[RemoteOperation, Source] | None:
        if call.method != "POST" or urlsplit(call.url).path != _SUBMIT:
            return None
        body = read_body(call)
        image = required(body, "image")
        by_size = whole(body.get("resize_mode")) == 1
        operation = make(NovitaUpscaleV2, {**body, "resize_mode": _MODES[by_size]})
        return operation, Source("base64", image)

    def write_submit(self, accepted: Ticket | Done, base_url: str = "", *, note: str = "") -> Reply:
        if not isinstance(accepted, Ticket):
            raise TypeError("this API answers a submit with a ticket only")
        return answer({"code": 0, "msg": "", "data": {"task_id": accepted.id, "warn": note}})

    def read_poll_call(self, call: Call) -> str | None:
        return ticket_in_query(call, _PROGRESS)

    def write_status(
        self, ticket: str, status: Status, base_url: str = "", *, note: str = ""
    ) -> Reply:
        numbers = {Queued: 0, Running: 1, Done: 2, Failed: 3}
        fraction = status.fraction or 0 if isinstance(status, Running) else 0
        outputs = status.outputs if isinstance(status, Done) else ()
        data = {
            "status": numbers[type(status)],
            "progress": 100 if outputs else round(100 * fraction),  # official clients want an int
            "eta_relative": 0,
            "imgs": [output.url for output in outputs],
            "info": note,
            "failed_reason": status.reason if isinstance(status, Failed) else "",
            "current_images": [],
            "enable_nsfw_detection": False,
        }
        return answer({"code": 0, "msg": "", "data": data})

    def write_error(self, status: int, message: str) -> Reply:
        body = {"code": _CODES.get(status, -1), "msg": message, "data": None}
        return answer(body, 429 if status == 429 else 200)  # there is no code for a rate limit


@dataclass(frozen=True)
class NovitaUpscaleV2(RemoteOperation):
    """Enlarge images with Novita's deprecated v2 upscale API, or a host that speaks it."""

    title: ClassVar[str] = "Novita Upscale V2"
    provider: ClassVar[Provider] = NOVITA
    wire: ClassVar[Wire] = V2Wire()
    command: ClassVar[str] = "novita-v2"
    size_parameter: ClassVar[str] = "upscaling_resize"
    known_models: ClassVar[tuple[str, ...]] = tuple(_LOCAL_MODELS.values())
    deprecated: ClassVar[bool] = True
    retirement: ClassVar[str] = "Novita calls its Upscale V2 API deprecated and to be removed"

    upscaler_1: str = param(
        "R-ESRGAN 4x+",
        "Name of the upscaler, as the WebUI spells it; Lanczos, Nearest and None are no models.",
    )
    resize_mode: str = param(
        "by factor", "Enlarge by upscaling_resize, or to the width and height.", choices=_MODES
    )
    upscaling_resize: float = param(
        2.0,
        "Size of the result relative to the input, when resizing by factor. Below 1 no model runs.",
        above=0.0,
        maximum=8.0,
        step=0.25,
    )
    upscaling_resize_w: int = param(
        1024, "Width in pixels, when resizing to size.", minimum=1, maximum=2048, step=8
    )
    upscaling_resize_h: int = param(
        1024, "Height in pixels, when resizing to size.", minimum=1, maximum=2048, step=8
    )
    upscaling_crop: bool = param(
        True, "When resizing to size: fill width and height and crop what stands out."
    )
    upscaler_2: str = param("", "Name of a second upscaler that is blended in; empty for none.")
    extras_upscaler_2_visibility: float = param(
        0.0, "Share of the second upscaler in the result.", minimum=0.0, maximum=1.0, step=0.05
    )
    gfpgan_visibility: float = param(
        0.0, "Share of faces restored by GFPGAN.", minimum=0.0, maximum=1.0, step=0.05
    )
    codeformer_visibility: float = param(
        0.0, "Share of faces restored by CodeFormer.", minimum=0.0, maximum=1.0, step=0.05
    )
    codeformer_weight: float = param(
        0.0,
        "How true CodeFormer stays to the face: 0 changes most, 1 least.",
        minimum=0.0,
        maximum=1.0,
        step=0.05,
    )
    img_expire_ttl: int = param(
        0,
        "Seconds for which the service keeps the result; 0 leaves it to the service.",
        minimum=0,
        maximum=604800,
    )
    when_too_large: str = too_large_choice()
    result_size: str = size_choice()
    when_unavailable: str = unavailable_choice()
    attempt: int = attempt_number()

    @property
    def limits(self) -> Limits:
        return Limits(result_edge=2048)

    def ways(self) -> tuple[Way, ...]:
        return ("base64",)

    def factor(self, width: int, height: int) -> float:
        if self.upscaler_1 in NO_UPSCALER:
            return 1.0
        if self.resize_mode == _MODES[0]:
            return self.upscaling_resize
        return sizes.cover_factor((width, height), self._wanted)

    def covered(self, width: int, height: int) -> Size:
        if self.upscaler_1 in NO_UPSCALER:  # the WebUI skips the whole step
            return width, height
        return sizes.on_grid((width, height), self.factor(width, height))

    def target(self, width: int, height: int) -> Size:
        return self.covered(width, height) if self.keeps_aspect() else self._wanted

    @property
    def _wanted(self) -> Size:
        return self.upscaling_resize_w, self.upscaling_resize_h

    def keeps_aspect(self) -> bool:
        by_factor = self.resize_mode == _MODES[0]
        return by_factor or not self.upscaling_crop or self.upscaler_1 in NO_UPSCALER

    def upscalers(self) -> tuple[str, ...]:
        """Return the WebUI's names of the upscalers whose results are seen, at most two."""
        if self.upscaler_1 in NO_UPSCALER:
            return ()
        if self.upscaler_2 in NO_UPSCALER or not self.extras_upscaler_2_visibility:
            return (self.upscaler_1,)
        return self.upscaler_1, self.upscaler_2

    def models(self) -> tuple[str, ...]:
        named = (self.local_model(name) for name in self.upscalers() if name not in PLAIN)
        return tuple(dict.fromkeys(named))

    def only_there(self) -> str:
        faces = self.gfpgan_visibility or self.codeformer_visibility
        return "the restoration of faces" if faces else ""

    @staticmethod
    def local_model(upscaler: str) -> str:
        """Return the name that a local model has for an upscaler of the WebUI."""
        return _LOCAL_MODELS.get(upscaler, upscaler)


def _data(reply: Reply) -> Json:
    """Return the data of a good answer; a null code is in the documented example of one."""
    if reply.status != 200:
        said = reply.fields()
        NOVITA.refuse(reply, str(said.get("msg") or said.get("message") or ""))
    body = reply.json()
    code, message = whole(body.get("code")), str(body.get("msg") or "")
    if code == 0:
        return table(body.get("data"))
    text = f"Novita answered code {code}: {shortened(message)}."
    if code == 3:
        raise ProviderError(text, provider="novita", status=404)
    if code == 4:
        raise AuthError(f"{text} Check the key ({NOVITA.key_variable}).", provider="novita")
    if code == 7:
        raise QuotaError(f"{text} Top up the balance.", provider="novita", status=402)
    if code in _REFUSALS:
        raise ProviderError(text, provider="novita", status=400)
    raise BadReplyError(text, provider="novita", status=500)
