"""What a vendor's operation comes to on a machine that has the models: steps, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..images.sizes import Size


@dataclass(frozen=True)
class Enlarge:
    """One run of a model over the whole image."""

    model: str
    """The name that other machines have for it; "" is the machine's own."""
    factor: float
    """How many times as large the result is, before its size is rounded."""
    share: float = 1.0
    """Of this step in the result, 0..1; those of all steps together are 1."""


@dataclass(frozen=True)
class Resample:
    """One enlargement or reduction without a model."""

    filter: Literal["lanczos", "nearest"]
    through: Size
    """(width, height) that the filter makes; Lanczos brings it to the plan's size."""
    share: float = 1.0


@dataclass(frozen=True)
class Faces:
    """One restoration of all faces by a model."""

    model: str
    """The name that other machines have for it."""
    visibility: float
    """Share of the restored faces in the result, above 0 and at most 1."""
    weight: float = 0.0
    """How true CodeFormer stays to a face, 0..1: 0 changes it most. Others do without."""


@dataclass(frozen=True)
class LocalPlan:
    """Steps that each make an image of `size`; blended, they are cropped about their centre."""

    steps: tuple[Enlarge | Resample, ...]
    """None: the image stays as it is."""
    size: Size
    """(width, height)."""
    crop: Size
    """(width, height); what the image does not reach is black."""
    colours: str = "none"
    """How the result gets the image's colours, a choice of `colour_match`."""
    faces: tuple[Faces, ...] = ()
    """What is done to the faces of the result at last, one after the other."""

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models that are needed, each once."""
        named = (step.model for step in self.steps if isinstance(step, Enlarge))
        return tuple(dict.fromkeys(named))
