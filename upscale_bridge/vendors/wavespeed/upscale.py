"""WaveSpeed's image-upscaler and the models that share its contract.

Facts: https://wavespeed.ai/docs (submit-task, get-result, sync-mode). `creativity` is in the older
contract only and is sent only when it is not 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...contract.http import Json
from ...contract.operation import Limits
from ...contract.presets import PRESET_EDGES, preset_choice, preset_factor
from ...params import param
from ...texts import Text
from .operation import LARGEST_FILE, WaveSpeedOperation

_PRICES = {  # the vendor's agent skill 2.0, and its badge in ComfyUI's own node
    "wavespeed-ai/image-upscaler": "0.01",
    "wavespeed-ai/seedvr2/image": "0.01",
    "wavespeed-ai/ultimate-image-upscaler": "0.06",
}
MODELS = tuple(_PRICES)


@dataclass(frozen=True)
class WaveSpeedUpscale(WaveSpeedOperation):
    """Enlarge images to 2k, 4k or 8k with WaveSpeed, or a host that speaks its API."""

    title: ClassVar[str] = "WaveSpeed Upscale"
    command: ClassVar[str] = "wavespeed"
    size_parameter: ClassVar[str] = "target_resolution"
    model_parameter: ClassVar[str] = "model"
    client_only: ClassVar[tuple[str, ...]] = ("image_url",)
    unsaid: ClassVar[Json] = {"creativity": 0}

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
        advanced=True,
    )
    output_format: str = param(
        "png",
        "File format in which the result travels; png loses nothing.",
        choices=("jpeg", "png", "webp"),
        advanced=True,
    )
    enable_base64_output: bool = param(
        False,
        "Receive the result in the answer instead of by its address; slower for large ones.",
        advanced=True,
    )
    enable_sync_mode: bool = param(
        False,
        "Wait for the result in the submit itself. Not advised: when the connection breaks, the "
        "task's id is lost.",
        advanced=True,
    )
    image_url: str = param(
        "",
        "Address under which the service finds the image, in place of uploading the image input.",
        advanced=True,
    )

    @property
    def price(self) -> Text | None:
        amount = _PRICES.get(self.model)
        if amount is None:
            return None
        return Text("${amount} per image (WaveSpeed's list price of 2026)", {"amount": amount})

    @property
    def limits(self) -> Limits:
        return Limits(edge=PRESET_EDGES[self.target_resolution], size=LARGEST_FILE)

    @property
    def inputs(self) -> Json:
        found: Json = {
            "target_resolution": self.target_resolution,
            "output_format": self.output_format,
            "enable_base64_output": self.enable_base64_output,
            "enable_sync_mode": self.enable_sync_mode,
        }
        told = {"creativity": self.creativity}
        return found | ({} if told == self.unsaid else told)

    @property
    def result_format(self) -> str:
        return self.output_format

    @property
    def image_address(self) -> str:
        return self.image_url

    def factor(self, width: int, height: int) -> float:
        return preset_factor(self.target_resolution, width, height)
