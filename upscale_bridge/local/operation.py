"""What this machine can do, as Operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..images import sizes
from ..params import Operation, Param, param

SHIPPED_MODEL = "UpscaleBridge-x4"


@dataclass(frozen=True)
class LocalUpscale(Operation):
    """Enlarge images on this machine, with any model that spandrel loads."""

    title: ClassVar[str] = "Local ESRGAN Upscale"

    model: str = param(
        SHIPPED_MODEL,
        "Name of the model: the one that ships, a file in a model folder, or a known model "
        "that can be downloaded.",
    )
    scale_factor: float = param(
        4.0,
        "Size of the result relative to the input, whatever the model's own scale. Above the "
        "model's scale it runs more than once; below 1 no model runs.",
        minimum=0.25,
        maximum=16.0,
        step=0.25,
    )
    tile_size: int = param(
        0,
        "Side of a tile in input pixels, at least 32; 0 chooses by the device and its memory.",
        minimum=0,
        maximum=4096,
        step=32,
        advanced=True,
    )
    precision: str = param(
        "auto",
        "Number format of the computation. auto takes the fastest that device and model support.",
        choices=("auto", "fp32", "fp16", "bf16"),
        advanced=True,
    )
    alpha: str = param(
        "model",
        "How transparency is enlarged: by the model as well (sharper, twice the time) or by "
        "Lanczos.",
        choices=("model", "lanczos"),
        advanced=True,
    )
    download: bool = param(
        False,
        "Fetch a known model that is not on this machine yet. Its licence and size are shown "
        "first.",
    )

    def target(self, width: int, height: int) -> tuple[int, int]:
        """Return the size of the result for an image of this size, pixels."""
        return sizes.enlarged((width, height), self.scale_factor)

    @classmethod
    def nearest_factor(cls, factor: float) -> float:
        """Return the factor nearest to `factor` that `scale_factor` takes."""
        item = next(item for item in cls.params() if item.name == "scale_factor")
        return min(max(factor, item.minimum or factor), item.maximum or factor)


@dataclass(frozen=True)
class LocalUpscaleVideo(LocalUpscale):
    """Enlarge a video on this machine frame by frame; a long one needs no more memory."""

    title: ClassVar[str] = "Local ESRGAN Upscale Video"
    order: ClassVar[tuple[str, ...]] = (
        *("model", "scale_factor", "tile_size", "precision", "download", "crf"),
    )
    """Its own: a parameter that `LocalUpscale` gets one day comes behind `crf`."""

    crf: int = param(
        17,
        "Quality of the result (H.264): 0 loses nothing, about 17 looks the same, more makes "
        "smaller files.",
        minimum=0,
        maximum=51,
        step=1,
    )

    @classmethod
    def params(cls) -> tuple[Param, ...]:
        """The parameters; frames have no alpha."""
        return tuple(item for item in super().params() if item.name != "alpha")

    def target(self, width: int, height: int) -> tuple[int, int]:
        """Return the size of the result in pixels: even sides, which nearly all players need."""
        return sizes.even(super().target(width, height))
