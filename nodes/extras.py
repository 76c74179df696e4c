"""Local Upscale Extras."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from ..upscale_bridge.local.extras import NO_MODELS, LocalExtras
from . import host, images, progress, results
from .inputs import by_group, widget, widgets
from .local import model_names
from .shared import PackNode

if TYPE_CHECKING:
    from torch import Tensor


class LocalUpscaleExtras(PackNode):
    """Upscales on this machine and restores faces, as the Extras tab of the WebUI does."""

    OPERATION = LocalExtras
    DESCRIPTION = LocalExtras.__doc__
    SEARCH_ALIASES: ClassVar = [
        *("extras", "blend upscalers", "two upscalers"),
        *("restore faces", "face restoration", "gfpgan", "codeformer"),
    ]
    RETURN_TYPES = ("IMAGE", "MASK", "STRING")
    RETURN_NAMES = ("image", "mask", "info")
    OUTPUT_TOOLTIPS = (
        "The enlarged images; RGBA in, RGBA out.",
        "The mask input in the size of the result, else what is transparent in the result.",
        "JSON: model, device, precision, tiles, seconds and sizes; what became of faces.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 (ComfyUI's name)
        """Describe the inputs."""
        drawn, names = widgets(cls.OPERATION), [*model_names(), *NO_MODELS]
        drawn |= {item.name: widget(item, choices=names) for item in LocalExtras.upscalers()}
        required, later = by_group(cls.OPERATION, drawn)
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "Images, with or without alpha."}),
                **required,
            },
            "optional": {
                "mask": ("MASK", {"tooltip": "Resized to the result by Lanczos."}),
                **later,
            },
        }

    @classmethod
    def VALIDATE_INPUTS(  # noqa: N802 (ComfyUI's name)
        cls, upscaler_1: Any = None, upscaler_2: Any = None
    ) -> bool:
        """Accept models that are not listed: the run then says what is missing and what to do."""
        return True

    def upscale(self, image: Tensor, mask: Tensor | None = None, **values: Any) -> Any:
        """Run the operation; ComfyUI calls this with the widgets' values."""
        from ..upscale_bridge.local.plans import overlay

        with host.translated():
            operation = self.OPERATION(**values)
            pixels = images.to_images(image)
            masks = None if mask is None else images.to_masks(mask)
            monitor = progress.ComfyMonitor()
            result = host.service().run(operation, pixels, monitor)
            if masks is None:
                masks = images.split_alpha(result.images)
            else:
                plan = operation.plan(pixels.shape[2], pixels.shape[1])
                fit = images.fit_masks(masks, result.images, lambda one, _: overlay(plan, one))
                masks = fit[..., 0]
            monitor.finish(result.summary)
            outputs = host.to_intermediate(result.images), host.to_intermediate(masks)
            return results.shown((*outputs, json.dumps(result.info)), result, pixels)
