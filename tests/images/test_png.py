"""PNG files as we write them: what others read from them, and how large they are."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from upscale_bridge.images import png

CAT = Path(__file__).parents[2] / "docs" / "pictures" / "cat.png"


def by_pillow(array):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "png")
    return stream.getvalue()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (16, 3), (17, 3), (50, 1)])
def test_pillow_reads_the_same_numbers(channels, size):
    array = np.random.default_rng(0).integers(0, 256, (*size, channels), np.uint8)
    with Image.open(io.BytesIO(png.write(array)), formats=["PNG"]) as image:
        assert isinstance(image, PngImageFile)
        assert np.array_equal(np.asarray(image).reshape(array.shape), array)


def test_an_enlarged_photo_is_as_large_as_pillows():
    with Image.open(CAT) as image:
        photo = image.convert("RGB").resize((1024, 1024), Image.Resampling.LANCZOS)
    array = np.asarray(photo)
    assert len(png.write(array)) < 1.01 * len(by_pillow(array))


def test_a_drawing_is_no_larger_than_pillows():
    drawing = np.full((600, 600, 3), 255, np.uint8)
    for i in range(60):
        drawing[7 * i : 7 * i + 80, 9 * i : 9 * i + 40] = (4 * i, 255 - 4 * i, 3 * i)
    assert len(png.write(drawing)) <= len(by_pillow(drawing))


def test_what_repeats_itself_stays_small():
    y, x = np.mgrid[:1024, :1024]
    ramp = np.stack([x // 4, y // 4, (x + y) // 8], axis=-1).astype(np.uint8)
    assert len(png.write(ramp)) < 2 * len(by_pillow(ramp))
