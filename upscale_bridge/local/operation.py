"""What this machine can do, as Operations."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from ..contract.shared import colour_match
from ..errors import InvalidInputError
from ..images import sizes
from ..images.sizes import Size
from ..params import Operation, Param, param
from .catalogue import find_spec

SHIPPED_MODEL = "UpscaleBridge-x4"
NO_MODEL = "None"
_DENOISED = "realesr-general-x4v3", "realesr-general-wdn-x4v3"

BY_FACTOR, BY_LONGEST, BY_SHORTEST = "factor", "longest edge", "shortest edge"
BY_BOX, BY_AREA = "width and height", "megapixels"
_MOST_EDGE = 1_000_000


@dataclass(frozen=True)
class LocalOperation(Operation):
    """What this machine does to images; subclasses are frozen dataclasses like all operations."""

    @abstractmethod
    def target(self, width: int, height: int) -> Size:
        """Return the size of the result for an image of this size, pixels."""

    @abstractmethod
    def models(self) -> tuple[str, ...]:
        """Return the names of the models that it needs, each once."""

    @property
    def may_download(self) -> bool:
        """Whether known models are fetched that are not on this machine."""
        return bool(getattr(self, "download", False))


@dataclass(frozen=True)
class LocalUpscale(LocalOperation):
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
        only_for=("size_by", BY_FACTOR),
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
    size_by: str = param(
        BY_FACTOR,
        "What tells the size of the result: scale_factor, or one of the sizes in pixels.",
        choices=(BY_FACTOR, BY_LONGEST, BY_SHORTEST, BY_BOX, BY_AREA),
        later=True,
    )
    longest_edge: int = param(
        2048,
        "Longer side of the result in pixels; its proportions are those of the image.",
        minimum=1,
        maximum=_MOST_EDGE,
        step=8,
        only_for=("size_by", BY_LONGEST),
        later=True,
    )
    shortest_edge: int = param(
        1024,
        "Shorter side of the result in pixels; its proportions are those of the image.",
        minimum=1,
        maximum=_MOST_EDGE,
        step=8,
        only_for=("size_by", BY_SHORTEST),
        later=True,
    )
    width: int = param(
        1920,
        "Width of the result in pixels; 0 lets it follow from the height.",
        minimum=0,
        maximum=_MOST_EDGE,
        step=8,
        only_for=("size_by", BY_BOX),
        later=True,
    )
    height: int = param(
        1080,
        "Height of the result in pixels; 0 lets it follow from the width.",
        minimum=0,
        maximum=_MOST_EDGE,
        step=8,
        only_for=("size_by", BY_BOX),
        later=True,
    )
    fit_mode: str = param(
        "fit",
        "An image of other proportions than width and height: fit it inside, fill them and crop "
        "what stands out, or stretch it.",
        choices=("fit", "fill", "stretch"),
        only_for=("size_by", BY_BOX),
        later=True,
    )
    megapixels: float = param(
        4.0,
        "Pixels of the result in millions; its proportions are those of the image.",
        minimum=0.1,
        maximum=1000.0,
        step=0.1,
        only_for=("size_by", BY_AREA),
        later=True,
    )

    colour_match: str = colour_match()
    mixed_with: str = param(
        NO_MODEL,
        "Name of a second model of the same architecture, whose weights are mixed with the model's "
        "before it runs; None for none.",
        advanced=True,
        later=True,
    )
    mix_share: float = param(
        0.5,
        "Share of the second model in the mixed weights.",
        minimum=0.0,
        maximum=1.0,
        step=0.05,
        advanced=True,
        later=True,
    )
    denoise: float = param(
        1.0,
        "Of the model realesr-general-x4v3 alone: 1 removes as much noise as it can, 0 leaves most "
        "of it, by mixing it with realesr-general-wdn-x4v3.",
        minimum=0.0,
        maximum=1.0,
        step=0.05,
        advanced=True,
        later=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.denoise < 1:
            self._check_denoise()
        if self.size_by == BY_BOX and not (self.width or self.height):
            raise InvalidInputError(
                "width", "width and height are both 0; name at least one of them in pixels."
            )

    def models(self) -> tuple[str, ...]:
        other, _ = self.mix()
        return (self.model, other) if other else (self.model,)

    def mix(self) -> tuple[str, float]:
        """Return the model whose weights are mixed in, empty for none, and its share, 0..1."""
        if self.denoise < 1:  # as Real-ESRGAN's inference_realesrgan.py has it
            return _DENOISED[1], 1 - self.denoise
        return ("", 0.0) if self.mixed_with in (NO_MODEL, "") else (self.mixed_with, self.mix_share)

    def _check_denoise(self) -> None:
        spec = find_spec(self.model.replace("\\", "/").rsplit("/", 1)[-1])
        if spec is None or spec.name != _DENOISED[0]:
            raise InvalidInputError(
                "denoise",
                f"denoise is for the model {_DENOISED[0]}; choose it, or set denoise to 1.",
            )
        if self.mixed_with not in (NO_MODEL, ""):
            raise InvalidInputError(
                "denoise", "denoise mixes two models by itself; set mixed_with to None."
            )

    def target(self, width: int, height: int) -> Size:
        if self._crops_or_stretches():
            return self.width, self.height
        return sizes.enlarged((width, height), self._even_factor((width, height)))

    def window(self, width: int, height: int) -> Size:
        """Return the size of the image's middle that is enlarged, pixels; the rest is cropped."""
        if self._crops_or_stretches() and self.fit_mode == "fill":
            return sizes.cropped((width, height), self.target(width, height))
        return width, height

    def factor(self, width: int, height: int) -> float:
        """Return how many times as large it becomes; where it is stretched, its side that grows
        most."""
        if self._crops_or_stretches():
            window = self.window(width, height)
            return sizes.cover_factor(window, self.target(width, height))
        return self._even_factor((width, height))

    def _crops_or_stretches(self) -> bool:
        both = bool(self.width and self.height)
        return self.size_by == BY_BOX and both and self.fit_mode != "fit"

    def _even_factor(self, size: Size) -> float:
        """Return the factor that keeps the proportions."""
        match self.size_by:
            case "longest edge":
                return self.longest_edge / max(size)
            case "shortest edge":
                return self.shortest_edge / min(size)
            case "width and height":
                return sizes.fit_factor(size, (self.width, self.height))
            case "megapixels":
                return sizes.area_factor(size, self.megapixels * 1e6)
        return self.scale_factor

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

    def target(self, width: int, height: int) -> Size:
        """Return the size of the result in pixels: even sides, which nearly all players need."""
        return sizes.even(super().target(width, height))
