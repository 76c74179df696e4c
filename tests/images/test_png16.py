"""16 bits per channel in and out of files."""

import io
import struct

import pytest
import torch
from PIL import Image

from tests.corpus import chunk
from upscale_bridge.images.codecs import decode, encode, unfit
from upscale_bridge.images.metadata import Metadata


def pixels(channels, height=13, width=21):
    """Make pixels that 16 bits can hold exactly."""
    return torch.randint(0, 65536, (height, width, channels)).float() / 65535


def levels(image):
    return (image * 65535).round().int()


@pytest.mark.parametrize("format", ["png", "tiff"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_deep_formats_keep_all_16_bits(channels, format):
    before = pixels(channels)
    after = decode(encode(before, format, bits=16).data)
    assert after.bits == 16
    assert torch.equal(levels(after.pixels), levels(before))


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_formats_without_depth_write_8_bits_and_it_is_said(format):
    assert decode(encode(pixels(3), format, bits=16).data).bits == 8
    (said,) = unfit(Metadata(), format, (21, 13), 16)
    assert "8 of 16 bits" in said
    assert not unfit(Metadata(), format, (21, 13), 8)
    assert not unfit(Metadata(), "tiff", (21, 13), 16)


@pytest.mark.parametrize("bits", [8, 16])
def test_deep_png_is_one_that_others_read(bits):
    data = encode(pixels(3), "png", bits=bits).data
    with Image.open(io.BytesIO(data)) as image:
        image.verify()


@pytest.mark.parametrize("channels", [1, 3])
def test_colour_declared_transparent_becomes_alpha(channels):
    before = pixels(channels)
    before[2, 3] = 12345 / 65535
    before[4, 5] = 12346 / 65535  # the same high byte, hence the same colour in 8 bits
    data = encode(before, "png", bits=16).data
    key = chunk(b"tRNS", struct.pack(">H", 12345) * channels)
    at = data.index(b"IDAT") - 4
    after = decode(data[:at] + key + data[at:])
    assert after.bits == 16
    assert torch.equal(levels(after.pixels[..., :-1]), levels(before))
    assert after.pixels[2, 3, -1] == 0
    assert after.pixels[4, 5, -1] == 1
