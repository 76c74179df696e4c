"""Novita's v3 upscale to 2k, 4k or 8k.

Facts: https://novita.ai/docs/api-reference/model-apis-image-upscaler. The product is announced as
retired (https://novita.ai/docs/changelog/03-08-26); compatible hosts speak this on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...params import param
from ..choices import attempt_number, size_choice, too_large_choice, unavailable_choice
from ..fields import address_or_data, make
from ..presets import PRESET_EDGES, preset_choice, preset_factor
from ..provider import Limits, Provider, RemoteOperation, Way, Wire
from ..wire import Call, Json, Source, post
from .novita import NOVITA, NovitaWire


class ResolutionWire(NovitaWire):
    """POST /v3/async/image-upscaler."""

    path = "/v3/async/image-upscaler"

    def submit(self, operation: NovitaUpscaleToResolution, source: Source) -> Call:
        body = {
            "image": source.text,
            "resolution": operation.resolution,
            "output_format": operation.output_format,
        }
        return post(self.path, body)

    def read_fields(self, body: Json) -> tuple[RemoteOperation, Source]:
        source = address_or_data(body)
        # The vendor's defaults where the request says nothing.
        values = {"resolution": "4k", "output_format": "jpeg"}
        values |= {name: body[name] for name in values if body.get(name)}
        return make(NovitaUpscaleToResolution, values), source


@dataclass(frozen=True)
class NovitaUpscaleToResolution(RemoteOperation):
    """Enlarge images to 2k, 4k or 8k with Novita's image-upscaler API, or a host that speaks it."""

    title: ClassVar[str] = "Novita Upscale to Resolution"
    provider: ClassVar[Provider] = NOVITA
    wire: ClassVar[Wire] = ResolutionWire()
    command: ClassVar[str] = "novita-resolution"
    size_parameter: ClassVar[str] = "resolution"
    retirement: ClassVar[str] = (
        "Novita ended its Image Upscaling API on 2026-08-19 and names no successor"
    )

    resolution: str = preset_choice()
    output_format: str = param(
        "png",
        "File format in which the result travels; png loses nothing.",
        choices=("jpeg", "png", "webp"),
    )
    image_url: str = param(
        "",
        "Address under which the service finds the image, in place of the image input: this API "
        "documents no other way.",
    )
    send_data_uri: bool = param(
        False,
        "Send the image itself as a data URI. Not documented by Novita; our own server takes it.",
    )
    when_too_large: str = too_large_choice()
    result_size: str = size_choice()
    when_unavailable: str = unavailable_choice()
    attempt: int = attempt_number()

    @property
    def limits(self) -> Limits:
        return Limits(edge=PRESET_EDGES[self.resolution])

    @property
    def image_address(self) -> str:
        return self.image_url

    def ways(self) -> tuple[Way, ...]:
        return ("data_uri",) if self.send_data_uri else ("url",)

    def factor(self, width: int, height: int) -> float:
        return preset_factor(self.resolution, width, height)
