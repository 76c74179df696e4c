"""The Extras tab of AUTOMATIC1111's WebUI as an operation of this machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..contract.enlarging import SHIPPED_MODEL
from ..contract.extras import FACE_MODELS, MODES, PLAIN, Extras, restored
from ..contract.plan import Faces, LocalPlan
from ..contract.shared import colour_match
from ..images.sizes import Size
from ..params import Param, param, share
from .operation import LocalOperation

EXACT, GRID = "exact", "multiples of 8"
NO_MODELS = (*PLAIN, "None")
"""Upscalers that may be chosen beside the models."""


@dataclass(frozen=True)
class LocalExtras(LocalOperation):
    """Enlarge images on this machine and restore faces in them, as the WebUI's Extras tab does."""

    title: ClassVar[str] = "Local Upscale Extras"

    upscaler_1: str = param(
        SHIPPED_MODEL,
        "Name of the upscaler: a model of this machine, a known one that can be downloaded, or "
        "Lanczos, Nearest or None, which are no models.",
    )
    resize_mode: str = param(
        MODES[0], "Enlarge by upscaling_resize, or to the width and height.", choices=MODES
    )
    upscaling_resize: float = param(
        2.0,
        "Size of the result relative to the input, when resizing by factor. Below 1 no model runs.",
        above=0.0,
        maximum=16.0,
        step=0.25,
        only_for=("resize_mode", MODES[0]),
    )
    upscaling_resize_w: int = param(
        1024,
        "Width in pixels, when resizing to size.",
        minimum=1,
        maximum=32_768,
        step=8,
        only_for=("resize_mode", MODES[1]),
    )
    upscaling_resize_h: int = param(
        1024,
        "Height in pixels, when resizing to size.",
        minimum=1,
        maximum=32_768,
        step=8,
        only_for=("resize_mode", MODES[1]),
    )
    upscaling_crop: bool = param(
        True,
        "When resizing to size: fill width and height and crop what stands out. Else they are "
        "covered, and nothing is cropped.",
        only_for=("resize_mode", MODES[1]),
    )
    max_side: int = param(
        0,
        "Longest side of the result in pixels, when resizing by factor; 0 for any.",
        minimum=0,
        maximum=32_768,
        step=8,
        advanced=True,
        only_for=("resize_mode", MODES[0]),
    )
    upscaler_2: str = param("None", "Name of a second upscaler that is blended in; None for none.")
    extras_upscaler_2_visibility: float = share(
        0.0,
        "Share of the second upscaler in the result.",
    )
    rounding: str = param(
        EXACT,
        "Sizes are exact, or sides are rounded down to multiples of 8 px as the WebUI does, whose "
        "crop may leave black borders then.",
        choices=(EXACT, GRID),
        advanced=True,
    )
    download: bool = param(
        False,
        "Fetch a known model that is not on this machine yet. Its licence and size are shown "
        "first.",
    )

    colour_match: str = colour_match()
    gfpgan_visibility: float = share(
        0.0,
        "Share of the faces that face_model restores in the result; 0 leaves faces as they are.",
        later=True,
    )
    codeformer_visibility: float = share(
        0.0,
        "Share of the faces that CodeFormer restores, after face_model. Its licence, and that of "
        "the package that it needs, forbid commercial use.",
        later=True,
    )
    codeformer_weight: float = share(
        0.0,
        "How true CodeFormer stays to the face: 0 changes most, 1 least.",
        advanced=True,
        later=True,
    )
    face_model: str = param(
        FACE_MODELS[0],
        "What restores faces by gfpgan_visibility.",
        choices=FACE_MODELS,
        advanced=True,
        later=True,
    )

    def target(self, width: int, height: int) -> Size:
        return self._extras().target((width, height))

    def plan(self, width: int, height: int) -> LocalPlan:
        """Return what is done to an image of this size, pixels."""
        return replace(self._extras().plan((width, height)), colours=self.colour_match)

    def models(self) -> tuple[str, ...]:
        return self._extras().models()

    def faces(self) -> tuple[Faces, ...]:
        return restored(
            self.gfpgan_visibility,
            self.codeformer_visibility,
            self.codeformer_weight,
            self.face_model,
        )

    @classmethod
    def upscalers(cls) -> tuple[Param, ...]:
        """Return the parameters that name an upscaler."""
        return tuple(item for item in cls.params() if item.name.startswith("upscaler_"))

    def _extras(self) -> Extras:
        by_factor = self.resize_mode == MODES[0]
        return Extras(
            upscaler=self.upscaler_1,
            second=self.upscaler_2,
            share=self.extras_upscaler_2_visibility,
            by=self.upscaling_resize if by_factor else None,
            to=(self.upscaling_resize_w, self.upscaling_resize_h),
            crop=self.upscaling_crop,
            most=self.max_side,
            grid=self.rounding == GRID,
            faces=self.faces(),
        )
