"""What the Extras tab of AUTOMATIC1111's WebUI does: one or two upscalers, blended and cropped,
then GFPGAN and CodeFormer, each of which restores the faces of what the one before has left.

Its sizes are rounded down to multiples of 8 px, and a crop may leave black borders:
modules/upscaler.py and scripts/postprocessing_upscale.py of the WebUI. Novita's v2 API mirrors its
parameters. Elsewhere the same is done to exact sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..images import sizes
from ..images.sizes import Size
from .plan import Enlarge, Faces, LocalPlan, Resample

MODES = ("by factor", "to size")
"""resize_mode 0 and 1."""
NO_UPSCALER = ("None", "")
"""What the WebUI calls no upscaler, and what our own parameters do."""
PLAIN = ("Lanczos", "Nearest")
"""The WebUI's upscalers that are no models."""
LOCAL_MODELS = {
    "R-ESRGAN 4x+": "RealESRGAN_x4plus",
    "R-ESRGAN 4x+ Anime6B": "RealESRGAN_x4plus_anime_6B",
    "R-ESRGAN 2x+": "RealESRGAN_x2plus",
    "R-ESRGAN General 4xV3": "realesr-general-x4v3",
    "R-ESRGAN General WDN 4xV3": "realesr-general-wdn-x4v3",
    "R-ESRGAN AnimeVideo": "realesr-animevideov3",
    "ESRGAN_4x": "ESRGAN_4x",
    "4x-UltraSharp": "4x-UltraSharp",
}
"""The WebUI's names of models that we know under their files' names."""
FACE_MODELS = ("GFPGANv1.4", "GFPGANv1.3", "RestoreFormer")
"""What may restore faces in the place of the WebUI's GFPGAN, which is the first."""
CODEFORMER = "CodeFormer"


@dataclass(frozen=True)
class Extras:
    """One or two upscalers, blended and cropped."""

    upscaler: str
    second: str
    """Names of upscalers, or of models."""
    share: float
    """Of the second one in the result, 0..1."""
    by: float | None
    """The factor; None to enlarge to a size."""
    to: Size
    """(width, height) in that case."""
    crop: bool
    """Fill that size and crop what stands out; else stay within the image's proportions."""
    most: int = 0
    """Longest side of what a factor gives, pixels; 0 for any."""
    grid: bool = True
    """Round sides down as the WebUI does; else they are exact."""
    faces: tuple[Faces, ...] = ()
    """What is done to faces after all that; see `restored`."""

    def factor(self, size: Size) -> float:
        """Return how many times as large an image becomes, before its size is rounded."""
        if not self._upscalers():
            return 1.0
        if self.by is None:
            return sizes.cover_factor(size, self.to)
        return self._within_most(size, self.by)

    def target(self, size: Size) -> Size:
        """Return the size of the result."""
        return self._covered(size) if self.keeps_aspect() else self.to

    def keeps_aspect(self) -> bool:
        """Tell whether nothing is cropped."""
        return self.by is not None or not self.crop or not self._upscalers()

    def models(self) -> tuple[str, ...]:
        """Return the local names of the models, each once."""
        named = (_local_name(name) for name in self._upscalers() if name not in PLAIN)
        return tuple(dict.fromkeys(named))

    def plan(self, size: Size) -> LocalPlan:
        """Return what is done to an image of `size`."""
        upscalers = self._upscalers()
        shares = (1 - self.share, self.share) if len(upscalers) > 1 else (1.0,)
        pairs = zip(upscalers, shares, strict=False)
        steps = tuple(self._step(name, share, size) for name, share in pairs)
        return LocalPlan(steps, self._covered(size), self.target(size), faces=self.faces)

    def _step(self, name: str, share: float, size: Size) -> Enlarge | Resample:
        factor = self.factor(size)
        if factor >= 1 and name not in PLAIN:
            return Enlarge(_local_name(name), factor, share)
        nearest = name == "Nearest" and factor >= 1
        through = self._covered(size)
        if self.grid:
            through = sizes.rounded_down(size, max(factor, 1.0))  # the grid comes after it
        return Resample("nearest" if nearest else "lanczos", through, share)

    def _covered(self, size: Size) -> Size:
        """Return the size to which an image is enlarged, before it may be cropped."""
        if not self._upscalers():  # the WebUI skips the whole step
            return size
        rounded = sizes.on_grid if self.grid else sizes.enlarged
        return rounded(size, self.factor(size))

    def _within_most(self, size: Size, factor: float) -> float:
        """Return a factor that keeps to `most`."""
        if not self.most or max(size) * factor <= self.most:
            return factor
        if not self.grid:
            return self.most / max(size)
        return sizes.cover_factor(size, sizes.limited(size, factor, self.most))

    def _upscalers(self) -> tuple[str, ...]:
        """Return the upscalers whose results are seen, at most two."""
        if self.upscaler in NO_UPSCALER:
            return ()
        if self.second in NO_UPSCALER or not self.share:
            return (self.upscaler,)
        return self.upscaler, self.second


def restored(gfpgan: float, codeformer: float, weight: float, model: str) -> tuple[Faces, ...]:
    """Return the restorations of faces in the WebUI's order, by their visibilities, 0..1.

    `model` is one of `FACE_MODELS`, `weight` is CodeFormer's.
    """
    found = (Faces(model, gfpgan), Faces(CODEFORMER, codeformer, weight))
    return tuple(one for one in found if one.visibility)


def _local_name(upscaler: str) -> str:
    """Return the name that a local model has for an upscaler of the WebUI."""
    return LOCAL_MODELS.get(upscaler, upscaler)
