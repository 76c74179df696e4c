"""What a plan says, done to images: each step makes one, they are blended and cropped."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from ..contract.plan import Enlarge, Faces, LocalPlan, Resample
from ..images.colours import match_batch
from ..images.resample import allocate, centre, clean, nearest, resize
from ..images.sizes import Size
from ..monitor import Monitor, Part
from ..result import Result
from .faces.run import FaceReport
from .operation import LocalUpscale

RunModel = Callable[[Enlarge, Tensor, Monitor, Size], Result]
"""Does one step with a model: enlarges images to exactly that size."""
RestoreFaces = Callable[[Tensor, tuple[Faces, ...], Monitor], FaceReport]
"""Restores the faces of images in place."""


def upscale(step: Enlarge, model: str, *, download: bool) -> LocalUpscale:
    """Return what does a step with a model of this machine, to a size that the plan tells."""
    # Tiny images may need more than the largest factor.
    factor = LocalUpscale.nearest_factor(step.factor)
    return LocalUpscale(model=model, scale_factor=factor, download=download)


def carry_out(
    plan: LocalPlan, images: Tensor, monitor: Monitor, run: RunModel, restore: RestoreFaces
) -> Result:
    """Do a plan to `images` [batch, height, width, 1 to 4 channels], any float dtype.

    Returns float32 [batch, height', width', channels] of the plan's crop; its info is that of the
    first step, with the names of all in `model`, and what became of `faces`, of which its summary
    tells. Raises what `run`, `restore` and `monitor` raise.
    """
    done = _enlarged(plan, images, monitor, run)
    if not plan.faces:
        return done
    before = len(plan.steps)
    report = restore(done.images, plan.faces, Part(monitor, "", before, before + 1))
    return Result(done.images, {**done.info, "faces": report.as_dict()}, report.summary)


def _enlarged(plan: LocalPlan, images: Tensor, monitor: Monitor, run: RunModel) -> Result:
    """Do all of a plan but its faces; the result belongs to nobody else."""
    if not plan.steps:
        return Result(_each(images.cpu(), clean), {"model": "no upscaler"}, "")
    done = []
    for index, step in enumerate(plan.steps):
        count = len(plan.steps)
        head = f"upscaler {index + 1} of {count}, " if count > 1 else ""
        part = Part(monitor, head, index, count + bool(plan.faces))
        if isinstance(step, Resample):
            done.append(_resampled(step, images, plan.size, part))
        else:
            done.append(run(step, images, part, plan.size))
    pixels = done[0].images
    if len(done) > 1:
        pixels = _blended([one.images for one in done], [step.share for step in plan.steps])
    match_batch(pixels, images, plan.colours, monitor.check)
    if len(done) == 1 and plan.crop == plan.size:
        return done[0]
    if plan.crop != plan.size:
        pixels = _each(pixels, lambda image: centre(image, *plan.crop))
    used = " and ".join(dict.fromkeys(str(one.info["model"]) for one in done))
    return Result(pixels, {**done[0].info, "model": used}, "")


def overlay(plan: LocalPlan, layer: Tensor) -> Tensor:
    """Return what lies over an image, as a mask does, [height, width, channels] of any size, as
    float32 in the size of the result."""
    return centre(resize(layer, *plan.size), *plan.crop)


def _resampled(step: Resample, images: Tensor, size: Size, monitor: Monitor) -> Result:
    way = nearest if step.filter == "nearest" else resize

    def change(image: Tensor) -> Tensor:
        monitor.check()
        return resize(way(image, *step.through), *size)

    return Result(_each(images.cpu(), change), {"model": step.filter.title()}, "")


def _blended(images: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    blended = images[0].mul_(shares[0])
    for one, share in zip(images[1:], shares[1:], strict=True):
        blended.add_(one, alpha=share)
    return blended


def _each(images: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Return what `change` makes of each image, as one batch."""
    first = change(images[0])
    result = allocate(len(images), *first.shape)
    result[0] = first
    for place, image in zip(result[1:], images[1:], strict=True):
        place.copy_(change(image))
    return result
