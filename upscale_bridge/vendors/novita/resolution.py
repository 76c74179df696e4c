"""Novita's v3 upscale to 2k, 4k or 8k.

Facts: https://novita.ai/docs/api-reference/model-apis-image-upscaler. The product is announced as
retired (https://novita.ai/docs/changelog/03-08-26); compatible hosts speak this on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...contract.http import Call, post
from ...contract.operation import Limits, RemoteOperation, Way
from ...contract.presets import PRESET_EDGES, preset_choice, preset_factor
from ...contract.tasks import Source
from ...contract.vendor import Vendor
from ...contract.wire import Wire
from ...params import Value, param
from .api import NOVITA, NovitaWire

PATH = "/v3/async/image-upscaler"


class ResolutionWire(NovitaWire):
    """POST /v3/async/image-upscaler."""

    def submit(self, operation: NovitaUpscaleToResolution, source: Source) -> Call:
        body = {
            "image": source.text,
            "resolution": operation.resolution,
            "output_format": operation.output_format,
        }
        return post(PATH, body)


@dataclass(frozen=True)
class NovitaUpscaleToResolution(RemoteOperation):
    """Enlarge images to 2k, 4k or 8k with Novita's image-upscaler API, or a host that speaks it."""

    title: ClassVar[str] = "Novita Upscale to Resolution"
    vendor: ClassVar[Vendor] = NOVITA
    wire: ClassVar[Wire] = ResolutionWire()
    command: ClassVar[str] = "novita-resolution"
    size_parameter: ClassVar[str] = "resolution"
    without_address: ClassVar[Mapping[str, Value]] = {"send_data_uri": True}
    client_only: ClassVar[tuple[str, ...]] = ("image_url", "send_data_uri")
    retirement: ClassVar[str] = (
        "Novita ended its Image Upscaling API on 2026-08-19 and names no successor"
    )

    resolution: str = preset_choice()
    output_format: str = param(
        "png",
        "File format in which the result travels; png loses nothing.",
        choices=("jpeg", "png", "webp"),
        advanced=True,
    )
    image_url: str = param(
        "",
        "Address under which the service finds the image, in place of the image input: this API "
        "documents no other way.",
        advanced=True,
    )
    send_data_uri: bool = param(
        False,
        "Send the image itself as a data URI. Not documented by Novita; our own server takes it.",
        advanced=True,
    )

    @property
    def limits(self) -> Limits:
        return Limits(edge=PRESET_EDGES[self.resolution])

    @property
    def result_format(self) -> str:
        return self.output_format

    @property
    def image_address(self) -> str:
        return self.image_url

    def ways(self) -> tuple[Way, ...]:
        return ("data_uri",) if self.send_data_uri else ("url",)

    def factor(self, width: int, height: int) -> float:
        return preset_factor(self.resolution, width, height)
