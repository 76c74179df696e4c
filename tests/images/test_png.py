"""PNG files as we write them: what others read from them, and how large they are."""

import io
import os
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw
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


def picture(kind, depth):
    """Make a picture of four channels and several bands, each kind best written in its own way."""
    y, x = np.mgrid[:420, :700]
    rng = np.random.default_rng(1)
    numbers = {
        "noise": lambda: rng.integers(0, 65536, (420, 700, 4)),
        "grain": lambda: rng.normal(30000, 300, (420, 700, 4)).astype(int),
        "curtain": lambda: (
            (x * 999 + rng.binomial(1, 0.05, (420, 700)) * 2222)[..., None] + 4 * [0]
        ),
        "ramp": lambda: np.stack([x * 64, y * 64, (x + y) * 32, x * y], -1),
        "texture": lambda: rng.normal(30000, 900, (420, 700, 1)).astype(int) + np.arange(4),
    }[kind]()
    return (numbers % 65536 >> (8 if depth is np.uint8 else 0)).astype(depth)


@pytest.mark.parametrize("kind", ["noise", "grain", "curtain", "ramp", "texture"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_opencv_reads_the_same_numbers(depth, channels, kind):
    array = picture(kind, depth)[..., :channels]
    read = cv2.imdecode(np.frombuffer(png.write(array), np.uint8), cv2.IMREAD_UNCHANGED)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    assert read.dtype == depth
    assert np.array_equal(read.reshape(array.shape)[..., order], array)


def test_threads_change_no_octet(monkeypatch):
    written = set()
    for cores in (1, 3, None):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        written.add(png.write(picture("texture", np.uint8)))
    assert len(written) == 1


@pytest.mark.parametrize("mode, most", [("L", 1), ("RGB", 1.01), ("RGBA", 1.02)])
def test_an_enlarged_photo_is_as_large_as_pillows(mode, most):
    with Image.open(CAT) as image:
        photo = image.convert(mode).resize((768, 768), Image.Resampling.LANCZOS)
    array = np.asarray(photo)
    assert len(png.write(array.reshape(768, 768, -1))) < most * len(by_pillow(array))


def enlarged(picture, resampling, side=1200):
    return np.asarray(picture.resize((side, side), resampling))


def noise():
    grey = np.random.default_rng(2).normal(120, 30, (300, 300)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def page():
    made = Image.new("RGB", (300, 300), "white")
    for i in range(25):
        ImageDraw.Draw(made).text(
            (5, 12 * i), "The quick brown fox jumps over it. " * 2, (20, 20, 60)
        )
    return made


def grey_photo():
    with Image.open(CAT) as image:
        return image.convert("L").convert("RGB")


@pytest.mark.parametrize("make", [noise, page, grey_photo])
def test_what_repeats_itself_in_places_is_smaller_than_pillows(make):
    array = enlarged(make(), Image.Resampling.LANCZOS)
    assert len(png.write(array)) < len(by_pillow(array))


def test_a_drawing_is_no_larger_than_pillows():
    drawing = np.full((600, 600, 3), 255, np.uint8)
    for i in range(60):
        drawing[7 * i : 7 * i + 80, 9 * i : 9 * i + 40] = (4 * i, 255 - 4 * i, 3 * i)
    assert len(png.write(drawing)) <= len(by_pillow(drawing))


def test_what_repeats_itself_stays_small():
    y, x = np.mgrid[:1024, :1024]
    ramp = np.stack([x // 4, y // 4, (x + y) // 8], axis=-1).astype(np.uint8)
    for array in (ramp, enlarged(page(), Image.Resampling.NEAREST)):
        assert len(png.write(array)) < 1.2 * len(by_pillow(array))


def test_of_a_wide_row_only_a_part_is_tried(monkeypatch):
    tried, deflate = [], zlib.compressobj

    class Packer:
        def __init__(self, *settings):
            self._packer = deflate(*settings)

        def compress(self, octets):
            tried.append(len(octets))
            return self._packer.compress(octets)

        def flush(self, *how):
            return self._packer.flush(*how)

    monkeypatch.setattr(zlib, "compressobj", Packer)
    array = np.random.default_rng(0).integers(0, 256, (2, 400_000, 3), np.uint8)
    png.write(array)
    assert sum(tried) < 1.5 * array.size
