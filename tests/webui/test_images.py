"""Pillow's images on their way to the core."""

import io

import pytest
from PIL import Image

from upscale_bridge.errors import InvalidInputError
from upscale_bridge_webui import images


def test_image_that_turns_out_damaged_is_a_typed_error():
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(buffer, "png")
    image = Image.open(io.BytesIO(buffer.getvalue()[:-400]))
    with pytest.raises(InvalidInputError, match="damaged or of a kind that cannot be read"):
        images.to_tensor(image)
