"""Local ESRGAN Upscale."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from ..upscale_bridge.contract.enlarging import NO_MODEL
from ..upscale_bridge.local.operation import LocalUpscale
from . import host, images, progress, results
from .inputs import by_group, widget, widgets
from .shared import PackNode

if TYPE_CHECKING:
    from torch import Tensor


CONNECTED_MODEL = {
    "upscale_model": (
        "UPSCALE_MODEL",
        {"tooltip": "From Load Upscale Model; takes the place of the model above."},
    ),
}


def model_widgets(operation: type[LocalUpscale]) -> dict[str, Any]:
    """Return the description of all parameters; the list of models is read anew each time."""
    drawn, names = widgets(operation), model_names()
    model = next(item for item in operation.params() if item.name == "model")
    drawn["model"] = widget(model, choices=names)
    other = next(item for item in operation.params() if item.name == "mixed_with")
    drawn["mixed_with"] = widget(other, choices=[NO_MODEL, *names])
    return drawn


def model_names() -> list[str]:
    """Return the names of all models, read anew each time."""
    return [entry.name for entry in host.service().library.entries()]


class LocalESRGANUpscale(PackNode):
    """Upscales on this machine with any model that spandrel loads."""

    OPERATION = LocalUpscale
    DESCRIPTION = LocalUpscale.__doc__
    SEARCH_ALIASES: ClassVar = ["upscale with model", "esrgan", "super resolution", "enlarge"]
    RETURN_TYPES = ("IMAGE", "MASK", "STRING")
    RETURN_NAMES = ("image", "mask", "info")
    OUTPUT_TOOLTIPS = (
        "The enlarged images; RGBA in, RGBA out.",
        "The enlarged mask input, else what is transparent in the result.",
        "JSON: model, device, precision, tiles, seconds and sizes.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 (ComfyUI's name)
        """Describe the inputs."""
        required, later = by_group(cls.OPERATION, model_widgets(cls.OPERATION))
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "Images, with or without alpha."}),
                **required,
            },
            "optional": {
                "mask": (
                    "MASK",
                    {"tooltip": "Enlarged beside the images; resized to them first if needed."},
                ),
                **CONNECTED_MODEL,
                **later,
            },
        }

    @classmethod
    def VALIDATE_INPUTS(  # noqa: N802 (ComfyUI's name)
        cls, model: Any = None, mixed_with: Any = None
    ) -> bool:
        """Accept models that are not listed: the run then says what is missing and what to do."""
        return True

    def upscale(
        self,
        image: Tensor,
        mask: Tensor | None = None,
        upscale_model: object = None,
        **values: Any,
    ) -> Any:
        """Run the operation; ComfyUI calls this with the widgets' values."""
        with host.translated():
            operation = self.OPERATION(**values)
            pixels = images.to_images(image)
            masks = None if mask is None else images.to_masks(mask)
            monitor = progress.ComfyMonitor()
            run = partial(host.service().run, monitor=monitor, descriptor=upscale_model)
            result = run(operation, pixels)
            if masks is None:
                masks = images.split_alpha(result.images)
            elif operation.alpha == "lanczos" or images.is_flat(masks):
                masks = images.crop_masks(masks, pixels, operation)
                masks = images.fit_masks(masks, result.images)[..., 0]
            else:
                masks = run(operation, images.fit_masks(masks, pixels)).images[..., 0]
            monitor.finish(result.summary)
            outputs = host.to_intermediate(result.images), host.to_intermediate(masks)
            return results.shown((*outputs, json.dumps(result.info)), result, pixels)
