"""WaveSpeed's image-upscaler and the models that share its contract.

Facts: https://wavespeed.ai/docs (submit-task, get-result, sync-mode). `creativity` is in the older
contract only and is sent only when it is not 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar
from urllib.parse import quote

from ...contract.history import History
from ...contract.http import Call, Json, Reply, post
from ...contract.operation import Limits, RemoteOperation, Way
from ...contract.presets import PRESET_EDGES, preset_choice, preset_factor
from ...contract.tasks import Done, Source, Status, Ticket
from ...contract.uploads import Uploads
from ...contract.vendor import Vendor
from ...contract.wire import TaskWire, Wire
from ...params import param
from ...texts import Text
from .api import ROOT, WAVESPEED, read_data, read_status
from .history import WaveSpeedHistory
from .uploads import WaveSpeedUploads

_PRICES = {  # the vendor's agent skill 2.0, and its badge in ComfyUI's own node
    "wavespeed-ai/image-upscaler": "0.01",
    "wavespeed-ai/seedvr2/image": "0.01",
    "wavespeed-ai/ultimate-image-upscaler": "0.06",
}
MODELS = tuple(_PRICES)


class WaveSpeedWire(TaskWire):
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
        return post(ROOT + operation.model, body)

    def read_submit(self, reply: Reply) -> Ticket | Done:
        data = read_data(reply)
        ticket = WAVESPEED.required_id(data, "id")
        status = read_status(data)
        if isinstance(status, Done) and status.outputs:
            return replace(status, ticket=ticket)
        return Ticket(ticket)

    def poll(self, ticket: str) -> Call:
        return Call("GET", f"{ROOT}predictions/{quote(ticket, safe='')}/result")

    def read_poll(self, reply: Reply) -> Status:
        return read_status(read_data(reply))


@dataclass(frozen=True)
class WaveSpeedUpscale(RemoteOperation):
    """Enlarge images to 2k, 4k or 8k with WaveSpeed, or a host that speaks its API."""

    title: ClassVar[str] = "WaveSpeed Upscale"
    vendor: ClassVar[Vendor] = WAVESPEED
    wire: ClassVar[Wire] = WaveSpeedWire()
    command: ClassVar[str] = "wavespeed"
    size_parameter: ClassVar[str] = "target_resolution"
    client_only: ClassVar[tuple[str, ...]] = ("image_url",)
    uploads: ClassVar[Uploads | None] = WaveSpeedUploads()
    history: ClassVar[History | None] = WaveSpeedHistory()

    model: str = param(
        MODELS[0],
        "The model; image-upscaler is the cheapest, ultimate-image-upscaler the dearest.",
        choices=MODELS,
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
    def own_model(self) -> str:
        return self.model

    @property
    def result_format(self) -> str:
        return self.output_format

    @property
    def image_address(self) -> str:
        return self.image_url

    def ways(self) -> tuple[Way, ...]:
        return ("upload", "data_uri")

    def factor(self, width: int, height: int) -> float:
        return preset_factor(self.target_resolution, width, height)
