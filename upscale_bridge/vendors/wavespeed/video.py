"""Any video model of WaveSpeed's catalogue.

Facts: https://wavespeed.ai/docs (submit-task, upload-files-api) and the models' own pages, which
name the lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...contract.catalogue import Catalogue, Media
from ...contract.operation import Limits, Way
from ...errors import InvalidInputError
from ...params import Param, param
from .catalogue import WaveSpeedCatalogue
from .catalogued import MODEL_HELP, OPTIONS_HELP, CatalogueOperation
from .operation import LARGEST_FILE

_LONGEST = {  # seconds
    "wavespeed-ai/video-upscaler": 600.0,
    "wavespeed-ai/seedvr2/video": 600.0,
    "wavespeed-ai/flashvsr": 600.0,
}
_FOR_IMAGES = {"when_too_large", "result_size", "when_unavailable", "colour_match"}
_IN_THE_ANSWER = ("enable_base64_output", "enable_sync_mode")


@dataclass(frozen=True)
class WaveSpeedUpscaleVideo(CatalogueOperation):
    """Enlarge or restore a video with any such model that WaveSpeed sells, by its own options."""

    title: ClassVar[str] = "WaveSpeed Upscale Video"
    command: ClassVar[str] = "wavespeed-video"
    media: ClassVar[Media] = "video"
    size_parameter: ClassVar[str] = ""
    sells: ClassVar[Catalogue] = WaveSpeedCatalogue("video")
    catalogue: ClassVar[Catalogue | None] = sells
    largest_result: ClassVar[int] = 16 << 30
    least_patience: ClassVar[float] = 6 * 3600.0

    model: str = param(
        "wavespeed-ai/video-upscaler",
        MODEL_HELP,
    )
    options: str = param("{}", OPTIONS_HELP)

    @classmethod
    def params(cls) -> tuple[Param, ...]:
        """The parameters; those of images have no meaning for a video."""
        return tuple(item for item in super().params() if item.name not in _FOR_IMAGES)

    def _check_input(self, name: str, value: object) -> None:
        if name in _IN_THE_ANSWER and value not in (None, False):
            raise InvalidInputError(
                "options",
                f"Leave {name} out of the options: a video is fetched by its address, when it is "
                "done.",
            )
        super()._check_input(name, value)

    @property
    def limits(self) -> Limits:
        return Limits(size=LARGEST_FILE, seconds=_LONGEST.get(self.model))

    def ways(self) -> tuple[Way, ...]:
        return ("upload",)

    def factor(self, width: int, height: int) -> float:
        """Return 1: what becomes of a video is the model's own affair."""
        return 1.0

    def promises_size(self) -> bool:
        return False

    def only_there(self) -> str:
        return "it is a video"
