"""Between ComfyUI's IMAGE and MASK tensors and the core's images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ..upscale_bridge.images.sizes import Size
    from ..upscale_bridge.local.operation import LocalUpscale

EMPTY_MASK_SIDE = 64
"""ComfyUI's own LoadImage gives a mask of this size where there is none."""


def to_images(image: Tensor) -> Tensor:
    """Return an IMAGE as [batch, height, width, channels]; single images may lack the batch.

    Raises `InvalidInputError` for what is none.
    """
    import torch

    from ..upscale_bridge.local.tensors import take_images

    if isinstance(image, torch.Tensor) and image.dim() == 3:
        image = image[None]
    return take_images(image)


def to_masks(mask: Tensor) -> Tensor:
    """Return a MASK as one-channel images; it may have a channel and may lack the batch.

    Raises `InvalidInputError` for what is none.
    """
    from ..upscale_bridge.local.tensors import take_masks

    return take_masks(mask)


def is_flat(masks: Tensor) -> bool:
    """Tell whether all values are the same, so that no model can add detail."""
    return bool((masks == masks.flatten()[0]).all())


def fit_masks(
    masks: Tensor, images: Tensor, fit: Callable[[Tensor, Size], Tensor] | None = None
) -> Tensor:
    """Return `masks` [B, H, W, 1] in the size and number of `images`; the last one is repeated.

    `fit` brings a mask to (width, height); without it Lanczos does.
    """
    import torch

    from ..upscale_bridge.images.resample import resize

    count, height, width, _ = images.shape
    masks = masks[:count]
    if fit is not None:
        masks = torch.stack([fit(mask, (width, height)) for mask in masks])
    elif masks.shape[1:3] != (height, width):
        masks = torch.stack([resize(mask, width, height) for mask in masks])
    if len(masks) < count:
        masks = torch.cat([masks, masks[-1:].expand(count - len(masks), -1, -1, -1)])
    return masks


def crop_masks(masks: Tensor, images: Tensor, operation: LocalUpscale) -> Tensor:
    """Return `masks` [B, H, W, 1] cropped as an operation crops `images`."""
    from ..upscale_bridge.images.resample import middle

    size = images.shape[2], images.shape[1]
    window = operation.window(*size)
    return masks if window == size else middle(fit_masks(masks, images), *window)


def split_alpha(images: Tensor) -> Tensor:
    """Return the MASK [batch, height, width] of images with alpha: 1 where transparent.

    Images without alpha give ComfyUI's small empty mask.
    """
    import torch

    if images.shape[-1] in (2, 4):
        return 1.0 - images[..., -1]
    return torch.zeros(len(images), EMPTY_MASK_SIDE, EMPTY_MASK_SIDE)
