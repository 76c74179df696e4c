"""What an enlargement by a model is told: here, and on a server of ours that does the same."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InvalidInputError
from ..images import sizes
from ..images.sizes import Size
from ..params import Operation, param, share
from .shared import colour_match

SHIPPED_MODEL = "UpscaleBridge-x4"
NO_MODEL = "None"
DENOISED = "realesr-general-x4v3", "realesr-general-wdn-x4v3"
"""The model that `denoise` is for, and the one that is mixed into it."""

BY_FACTOR, BY_LONGEST, BY_SHORTEST = "factor", "longest edge", "shortest edge"
BY_BOX, BY_AREA = "width and height", "megapixels"
_MOST_EDGE = 1_000_000


@dataclass(frozen=True)
class Enlarging(Operation):
    """Any model, any size; a remote operation that is one of these gives what this machine would:
    all channels travel, and the colours are matched where the model runs."""

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
    mix_share: float = share(
        0.5,
        "Share of the second model in the mixed weights.",
        advanced=True,
        later=True,
    )
    denoise: float = share(
        1.0,
        "Of the model realesr-general-x4v3 alone: 1 removes as much noise as it can, 0 leaves most "
        "of it, by mixing it with realesr-general-wdn-x4v3.",
        advanced=True,
        later=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size_by == BY_BOX and not (self.width or self.height):
            raise InvalidInputError(
                "width", "width and height are both 0; name at least one of them in pixels."
            )

    def models(self) -> tuple[str, ...]:
        """Return the names of the models that it needs, each once."""
        other, _ = self.mix()
        return (self.model, other) if other else (self.model,)

    def mix(self) -> tuple[str, float]:
        """Return the model whose weights are mixed in, empty for none, and its share, 0..1."""
        if self.denoise < 1:  # as Real-ESRGAN's inference_realesrgan.py has it
            return DENOISED[1], 1 - self.denoise
        return ("", 0.0) if self.mixed_with in (NO_MODEL, "") else (self.mixed_with, self.mix_share)

    def target(self, width: int, height: int) -> Size:
        """Return the size of the result for an image of this size, pixels."""
        if self.crops_or_stretches:
            return self.width, self.height
        return sizes.enlarged((width, height), self._even_factor((width, height)))

    def window(self, width: int, height: int) -> Size:
        """Return the size of the image's middle that is enlarged, pixels; the rest is cropped."""
        if self.crops_or_stretches and self.fit_mode == "fill":
            return sizes.cropped((width, height), self.target(width, height))
        return width, height

    def factor(self, width: int, height: int) -> float:
        """Return how many times as large it becomes; where it is stretched, its side that grows
        most."""
        if self.crops_or_stretches:
            window = self.window(width, height)
            return sizes.cover_factor(window, self.target(width, height))
        return self._even_factor((width, height))

    @property
    def crops_or_stretches(self) -> bool:
        """Whether the result has other proportions than the image."""
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
