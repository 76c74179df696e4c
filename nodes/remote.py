"""The nodes of remote services, one for each operation; they upscale while other nodes run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from ..upscale_bridge.contract.operation import RemoteOperation
from ..upscale_bridge.remote.run import ResumeTask
from ..upscale_bridge.vendors import OPERATIONS
from . import host, images, progress, results
from .inputs import by_group, widget, widgets
from .shared import PackNode

if TYPE_CHECKING:
    from torch import Tensor

    from ..upscale_bridge.images.sizes import Size


class RemoteUpscale(PackNode):
    """What the nodes of all remote operations share."""

    OPERATION: ClassVar[type[RemoteOperation]]
    DESCRIPTION: ClassVar[str | None]
    DEPRECATED: ClassVar[bool]
    SEARCH_ALIASES: ClassVar[list[str]]
    RETURN_TYPES = ("IMAGE", "MASK", "STRING")
    RETURN_NAMES = ("image", "mask", "info")
    OUTPUT_TOOLTIPS = (
        "The enlarged images; RGBA in, RGBA out.",
        "The mask input in the size of the result, else what is transparent in the result.",
        "JSON: task ids, whether new, joined, resumed or reused, times and sizes; no key.",
    )

    def __init_subclass__(cls) -> None:
        cls.DESCRIPTION = cls.OPERATION.__doc__
        cls.DEPRECATED = bool(cls.OPERATION.retirement)
        cls.SEARCH_ALIASES = ["upscale api", "remote upscale", cls.OPERATION.vendor.name]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 (ComfyUI's name)
        """Describe the inputs."""
        required, later = by_group(cls.OPERATION, all_widgets(cls.OPERATION))
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "Images, with or without alpha."}),
                **required,
            },
            "optional": {
                "mask": ("MASK", {"tooltip": "Resized to the result by Lanczos; not sent."}),
                **later,
            },
        }

    async def upscale(self, image: Tensor, mask: Tensor | None = None, **values: Any) -> Any:
        """Run the operation; ComfyUI awaits this with the widgets' values."""
        with host.translated():
            operation = self.OPERATION(**values)
            pixels = images.to_images(image)
            masks = None if mask is None else images.to_masks(mask)
            monitor = progress.ComfyMonitor()
            run = partial(host.service().run, operation, pixels)
            result = await progress.on_own_thread(run, monitor)
            if masks is None:
                masks = images.split_alpha(result.images)
            else:
                masks = images.fit_masks(masks, result.images, _fitter(operation, pixels))[..., 0]
            monitor.finish(result.summary)
            outputs = host.to_intermediate(result.images), host.to_intermediate(masks)
            told = *outputs, json.dumps(result.info)
            return await asyncio.to_thread(results.shown, told, result, pixels)


def _any_model(cls: type, model: Any = None) -> bool:
    """Accept models that are not listed: the run looks them up, or says what is wrong."""
    return True


def all_widgets(operation: type[RemoteOperation]) -> dict[str, Any]:
    """Return the description of all parameters; a catalogue's models make a list."""
    drawn = widgets(operation)
    if operation.catalogue is not None:
        declared = {item.name: item for item in operation.params()}
        drawn["model"] = widget(declared["model"], choices=_models(operation))
    return drawn


def _models(operation: type[RemoteOperation]) -> list[str]:
    return [model.name for model in host.service().client.models(operation)]


def _fitter(operation: RemoteOperation, pixels: Tensor) -> Callable[[Tensor, Size], Tensor]:
    """Return what brings a mask of images to the size of their results."""
    from ..upscale_bridge.remote.encoding import fit_layer

    size = pixels.shape[2], pixels.shape[1]
    return lambda mask, result: fit_layer(operation, mask, size, result)


def node_of(operation: type[RemoteOperation]) -> type[RemoteUpscale]:
    """Return the node of an operation; its id, which workflows save, is the operation's name."""
    body: dict[str, Any] = {"__doc__": f"{operation.title}.", "OPERATION": operation}
    if operation.catalogue is not None:
        body["VALIDATE_INPUTS"] = classmethod(_any_model)
    return type(operation.__name__, (RemoteUpscale,), body)


NODES = tuple(map(node_of, OPERATIONS))


class ResumeUpscaleTask(PackNode):
    """Resume Upscale Task."""

    OPERATION = ResumeTask
    FUNCTION: ClassVar = "resume"
    DESCRIPTION = ResumeTask.__doc__
    SEARCH_ALIASES: ClassVar = ["fetch upscale result", "recover paid upscale"]
    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("image", "info")
    OUTPUT_TOOLTIPS = (
        "The result as the service made it.",
        "JSON: task id, times and sizes; no key.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 (ComfyUI's name)
        """Describe the inputs."""
        return {"required": widgets(cls.OPERATION)}

    async def resume(self, **values: Any) -> Any:
        """Fetch the result; ComfyUI awaits this with the widgets' values."""
        with host.translated():
            operation = self.OPERATION(**values)
            monitor = progress.ComfyMonitor()
            resume = partial(host.service().resume, operation)
            result = await progress.on_own_thread(resume, monitor)
            monitor.finish(result.summary)
            told = host.to_intermediate(result.images), json.dumps(result.info)
            return results.shown(told, result)
