"""Novita's v3 upscale by a factor.

Facts: https://novita.ai/docs/api-reference/model-apis-upscale. The product is announced as retired
(https://novita.ai/docs/changelog/07-07-26); compatible hosts speak this on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...contract.http import Call, Json, post
from ...contract.operation import Limits, RemoteOperation, Way
from ...contract.tasks import Source
from ...contract.vendor import Vendor
from ...contract.wire import Wire
from ...params import param
from .api import NOVITA, NovitaWire

PATH = "/v3/async/upscale"
_MODELS = ("RealESRGAN_x4plus_anime_6B", "RealESRNet_x4plus", "4x-UltraSharp")


class UpscaleWire(NovitaWire):
    """POST /v3/async/upscale."""

    def submit(self, operation: NovitaUpscale, source: Source) -> Call:
        extra: Json = {"response_image_type": operation.response_image_type}
        if operation.enable_nsfw_detection:
            extra["enable_nsfw_detection"] = True
        request = {
            "model_name": operation.model_name,
            "image_base64": source.text,
            "scale_factor": operation.scale_factor,
        }
        return post(PATH, {"extra": extra, "request": request})


@dataclass(frozen=True)
class NovitaUpscale(RemoteOperation):
    """Enlarge images by a factor with Novita's v3 upscale API, or a host that speaks it."""

    title: ClassVar[str] = "Novita Upscale"
    vendor: ClassVar[Vendor] = NOVITA
    wire: ClassVar[Wire] = UpscaleWire()
    command: ClassVar[str] = "novita"
    size_parameter: ClassVar[str] = "scale_factor"
    model_parameter: ClassVar[str] = "model_name"
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
        advanced=True,
    )
    enable_nsfw_detection: bool = param(
        False,
        "Have the service check the image (costs a little more); info tells what it found.",
        advanced=True,
    )

    @property
    def limits(self) -> Limits:
        return Limits(edge=2048, size=30_000_000)

    @property
    def result_format(self) -> str:
        return self.response_image_type

    def ways(self) -> tuple[Way, ...]:
        return ("base64",)

    def factor(self, width: int, height: int) -> float:
        return self.scale_factor

    def models(self) -> tuple[str, ...]:
        return (self.model_name,)
