"""What this machine can do, as Operations."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from ..contract.enlarging import DENOISED, NO_MODEL, Enlarging
from ..contract.plan import Faces
from ..errors import InvalidInputError
from ..images import sizes
from ..images.sizes import Size
from ..params import Operation, Param, param
from .catalogue import find_spec


@dataclass(frozen=True)
class LocalOperation(Operation):
    """What this machine does to images; subclasses are frozen dataclasses like all operations."""

    @abstractmethod
    def target(self, width: int, height: int) -> Size:
        """Return the size of the result for an image of this size, pixels."""

    @abstractmethod
    def models(self) -> tuple[str, ...]:
        """Return the names of the models that it needs, each once."""

    def faces(self) -> tuple[Faces, ...]:
        """Return what is done to the faces in the result."""
        return ()

    @property
    def may_download(self) -> bool:
        """Whether known models are fetched that are not on this machine."""
        return bool(getattr(self, "download", False))


@dataclass(frozen=True)
class LocalUpscale(Enlarging, LocalOperation):
    """Enlarge images on this machine, with any model that spandrel loads."""

    title: ClassVar[str] = "Local ESRGAN Upscale"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.denoise < 1:
            self._check_denoise()

    def _check_denoise(self) -> None:
        spec = find_spec(self.model.replace("\\", "/").rsplit("/", 1)[-1])
        if spec is None or spec.name != DENOISED[0]:
            raise InvalidInputError(
                "denoise",
                f"denoise is for the model {DENOISED[0]}; choose it, or set denoise to 1.",
            )
        if self.mixed_with not in (NO_MODEL, ""):
            raise InvalidInputError(
                "denoise", "denoise mixes two models by itself; set mixed_with to None."
            )

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
