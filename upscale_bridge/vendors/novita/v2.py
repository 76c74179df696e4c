"""Novita's deprecated v2 API, which mirrors the parameters of the WebUI's Extras tab.

Facts: https://novita.ai/docs/api-reference/model-apis-upscale-v2-deprecated; the progress reply
as in novita-client 0.5.3. Errors arrive as HTTP 200 with a code other than 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import quote

from ...contract.extras import FACE_MODELS, LOCAL_MODELS, MODES, Extras, restored
from ...contract.http import Call, Json, Reply, post
from ...contract.operation import Limits, RemoteOperation, Way
from ...contract.plan import LocalPlan
from ...contract.reading import listed, table, whole
from ...contract.tasks import Done, Failed, Output, Queued, Running, Source, Status, Ticket
from ...contract.vendor import Vendor
from ...contract.wire import TaskWire, Wire
from ...errors import AuthError, BadReplyError, ProviderError, QuotaError
from ...images.sizes import Size
from ...params import param, share
from ...texts import shortened
from .api import NOVITA

SUBMIT, PROGRESS = "/v2/upscale", "/v2/progress"
_REFUSALS = {1, 2, 3, 4, 6, 7, 8, 10}  # codes that say that nothing was begun


class V2Wire(TaskWire):
    """POST /v2/upscale and GET /v2/progress."""

    ticket_path = ("data", "task_id")

    def submit(self, operation: NovitaUpscaleV2, source: Source) -> Call:
        by_factor = operation.resize_mode == MODES[0]
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
        return post(SUBMIT, body)

    def read_submit(self, reply: Reply) -> Ticket | Done:
        return Ticket(NOVITA.required_id(_data(reply), "task_id"))

    def poll(self, ticket: str) -> Call:
        return Call("GET", f"{PROGRESS}?task_id={quote(ticket, safe='')}")

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


@dataclass(frozen=True)
class NovitaUpscaleV2(RemoteOperation):
    """Enlarge images with Novita's deprecated v2 upscale API, or a host that speaks it."""

    title: ClassVar[str] = "Novita Upscale V2"
    vendor: ClassVar[Vendor] = NOVITA
    wire: ClassVar[Wire] = V2Wire()
    command: ClassVar[str] = "novita-v2"
    size_parameter: ClassVar[str] = "upscaling_resize"
    known_models: ClassVar[tuple[str, ...]] = tuple(LOCAL_MODELS.values())
    deprecated: ClassVar[bool] = True
    retirement: ClassVar[str] = "Novita calls its Upscale V2 API deprecated and to be removed"

    upscaler_1: str = param(
        "R-ESRGAN 4x+",
        "Name of the upscaler, as the WebUI spells it; Lanczos, Nearest and None are no models.",
        suggestions=tuple(LOCAL_MODELS),
    )
    resize_mode: str = param(
        "by factor", "Enlarge by upscaling_resize, or to the width and height.", choices=MODES
    )
    upscaling_resize: float = param(
        2.0,
        "Size of the result relative to the input, when resizing by factor. Below 1 no model runs.",
        above=0.0,
        maximum=8.0,
        step=0.25,
        only_for=("resize_mode", MODES[0]),
    )
    upscaling_resize_w: int = param(
        1024,
        "Width in pixels, when resizing to size.",
        minimum=1,
        maximum=2048,
        step=8,
        only_for=("resize_mode", MODES[1]),
    )
    upscaling_resize_h: int = param(
        1024,
        "Height in pixels, when resizing to size.",
        minimum=1,
        maximum=2048,
        step=8,
        only_for=("resize_mode", MODES[1]),
    )
    upscaling_crop: bool = param(
        True,
        "When resizing to size: fill width and height and crop what stands out.",
        advanced=True,
        only_for=("resize_mode", MODES[1]),
    )
    upscaler_2: str = param(
        "",
        "Name of a second upscaler that is blended in; empty for none.",
        suggestions=tuple(LOCAL_MODELS),
        advanced=True,
    )
    extras_upscaler_2_visibility: float = share(
        0.0,
        "Share of the second upscaler in the result.",
        advanced=True,
    )
    gfpgan_visibility: float = share(0.0, "Share of faces restored by GFPGAN.")
    codeformer_visibility: float = share(0.0, "Share of faces restored by CodeFormer.")
    codeformer_weight: float = share(
        0.0,
        "How true CodeFormer stays to the face: 0 changes most, 1 least.",
        advanced=True,
    )
    img_expire_ttl: int = param(
        0,
        "Seconds for which the service keeps the result; 0 leaves it to the service.",
        minimum=0,
        maximum=604800,
        advanced=True,
    )

    @property
    def limits(self) -> Limits:
        return Limits(result_edge=2048)

    @property
    def result_seconds(self) -> float:
        return float(self.img_expire_ttl)

    def ways(self) -> tuple[Way, ...]:
        return ("base64",)

    def factor(self, width: int, height: int) -> float:
        return self._extras().factor((width, height))

    def target(self, width: int, height: int) -> Size:
        return self._extras().target((width, height))

    def plan(self, width: int, height: int) -> LocalPlan:
        return self._extras().plan((width, height))

    def keeps_aspect(self) -> bool:
        return self._extras().keeps_aspect()

    def models(self) -> tuple[str, ...]:
        return self._extras().models()

    def _extras(self) -> Extras:
        by_factor = self.resize_mode == MODES[0]
        return Extras(
            upscaler=self.upscaler_1,
            second=self.upscaler_2,
            share=self.extras_upscaler_2_visibility,
            by=self.upscaling_resize if by_factor else None,
            to=(self.upscaling_resize_w, self.upscaling_resize_h),
            crop=self.upscaling_crop,
            faces=restored(
                self.gfpgan_visibility,
                self.codeformer_visibility,
                self.codeformer_weight,
                FACE_MODELS[0],
            ),
        )


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
