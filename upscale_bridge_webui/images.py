"""The WebUI's Pillow images <-> tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from upscale_bridge.errors import InvalidInputError
from upscale_bridge.images import codecs

if TYPE_CHECKING:
    from torch import Tensor

_MODES = ("L", "LA", "RGB", "RGBA")


def to_tensor(image: object) -> Tensor:
    """Return float32 [1, height, width, channels] in 0..1 of a Pillow image; transparency is kept.

    The WebUI opens files lazily: damage may show here first. That, and what is no Pillow image,
    is an `InvalidInputError`.
    """
    if not isinstance(image, Image.Image):
        from upscale_bridge.local.tensors import kind_of

        raise InvalidInputError("image", f"image must be a Pillow image; got {kind_of(image)}.")
    try:
        return _read(image)
    except Exception as error:  # a damaged file can fail anywhere inside Pillow
        raise InvalidInputError(
            "image",
            "The image is damaged or of a kind that cannot be read "
            f"({error or type(error).__name__}); save it as PNG.",
        ) from error


def _read(image: Image.Image) -> Tensor:
    import numpy as np
    import torch

    if image.mode.startswith("I"):  # 16 bits of gray, which Pillow's own conversion clips
        deep = np.asarray(image).astype(np.float32) / 65535
        return torch.from_numpy(deep.reshape(1, image.height, image.width, 1)).clamp(0, 1)
    transparent = image.mode in ("PA", "La", "RGBa") or "transparency" in image.info
    if transparent or image.mode not in _MODES:
        image = image.convert("RGBA" if transparent else "RGB")
    pixels = np.asarray(image).astype(np.float32) / 255
    return torch.from_numpy(pixels.reshape(1, image.height, image.width, -1))


def to_image(pixels: Tensor) -> Image.Image:
    """Return 8 bits per channel of float [height, width, 1 to 4 channels]."""
    array = codecs.to_uint8(pixels)
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
