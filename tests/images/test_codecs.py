"""Images in and out of files without loss."""

import io
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from tests.corpus import saved
from upscale_bridge.errors import InvalidInputError
from upscale_bridge.images.codecs import MIMES, decode, encode, to_uint8
from upscale_bridge.images.metadata import Metadata

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def pixels(channels, top=255, height=13, width=21):
    """Make pixels that `top` steps can hold exactly."""
    levels = torch.randint(0, top + 1, (height, width, channels))
    levels[0, 0], levels[-1, -1] = 0, top
    return levels.float() / top


def from_array(array):
    return Image.fromarray(np.ascontiguousarray(array))


def levels(decoded, top=255):
    return (decoded.pixels * top).round().int()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("format", ["png", "tiff"])
def test_lossless_formats_give_back_what_they_got(format, channels):
    before = pixels(channels)
    picture = encode(before, format)
    after = decode(picture.data)
    assert torch.equal(after.pixels, before)
    assert (after.format, after.bits) == (format, 8)
    assert (picture.mime, picture.width, picture.height) == (MIMES[format], 21, 13)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_webp_of_quality_100_is_lossless(channels):
    before = pixels(channels)
    after = decode(encode(before, "webp", quality=100).data).pixels
    # WebP knows RGB and RGBA only.
    if channels < 3:
        before = torch.cat([before[..., :1].expand(-1, -1, 3), before[..., 1:]], dim=-1)
    assert torch.equal(after, before)


@pytest.mark.parametrize("format", ["jpeg", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossy_formats_come_close(format, channels):
    smooth = torch.linspace(0, 1, 64).expand(48, 64).unsqueeze(-1).repeat(1, 1, channels)
    after = decode(encode(smooth, format).data)
    assert after.format == format
    assert float((after.pixels - smooth).abs().max()) < 6 / 255


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_quality_costs_bytes(format):
    image = pixels(3, height=64, width=64)
    assert len(encode(image, format, quality=20).data) < len(encode(image, format, quality=95).data)


def test_values_are_rounded_and_clamped():
    values = torch.tensor([0.0, 0.499, 0.501, 1.0, 254.6, 255.0, -9.0, 300.0, float("nan")]) / 255
    assert to_uint8(values.reshape(1, -1, 1)).ravel().tolist() == [0, 0, 1, 1, 255, 255, 0, 255, 0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_are_encoded(dtype):
    before = (torch.arange(16) / 15).reshape(4, 4, 1)
    assert decode(encode(before.to(dtype)).data).pixels.shape == (4, 4, 1)


def test_images_taller_than_a_block_keep_their_rows():
    before = pixels(3, height=200, width=3)
    assert torch.equal(decode(encode(before).data).pixels, before)


def test_encoding_leaves_its_input():
    image = torch.rand(70, 5, 3) * 3 - 1
    before = image.clone()
    encode(image)
    assert torch.equal(image, before)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["jpeg", "png", "tiff", "webp"])
def test_orientation_is_applied_as_pillow_does(orientation, format):
    image = from_array(to_uint8(pixels(3, height=8, width=24)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    data = saved(image, format, exif=exif)
    # Pillow 9.5 turns a TIFF twice; what a PNG looks like, a TIFF of the same does.
    like = saved(image, "png", exif=exif) if format == "tiff" else data
    with Image.open(io.BytesIO(like)) as opened:
        expected = torch.from_numpy(np.array(ImageOps.exif_transpose(opened)))
    found = decode(data)
    assert torch.equal(levels(found), expected.int())
    kept = Image.Exif()
    kept.load(found.exif)
    assert kept[0x010F] == "Maker"
    assert 0x0112 not in kept


@pytest.mark.parametrize("format", MIMES)
@pytest.mark.parametrize("bits", [8, 16])
def test_profile_and_metadata_are_carried_over(format, bits):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    about = Metadata(icc=ICC, exif=exif.tobytes().removeprefix(b"Exif\0\0"))
    picture = encode(pixels(3), format, bits=bits, about=about)
    after = decode(picture.data)
    assert after.icc == ICC
    kept = Image.Exif()
    kept.load(after.exif)
    assert kept[0x010F] == "Maker"


def test_file_without_extras_has_none():
    after = decode(encode(pixels(3)).data)
    assert after.icc is None
    assert after.exif is None


@pytest.mark.parametrize(
    ("image", "shape"),
    [
        (Image.new("1", (4, 3), 1), (3, 4, 1)),
        (Image.new("L", (4, 3), 255), (3, 4, 1)),
        (Image.new("LA", (4, 3), (255, 255)), (3, 4, 2)),
        (Image.new("P", (4, 3), 0), (3, 4, 3)),
        (Image.new("RGB", (4, 3), "white"), (3, 4, 3)),
        (Image.new("RGBA", (4, 3), "white"), (3, 4, 4)),
        (Image.new("I;16", (4, 3), 65535), (3, 4, 1)),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else "",
)
def test_every_mode_becomes_channels(image, shape):
    if image.mode == "P":
        image.putpalette([255, 255, 255])
    decoded = decode(saved(image, "png"))
    assert torch.equal(decoded.pixels, torch.ones(shape))
    assert decoded.bits == (16 if image.mode == "I;16" else 8)
    assert decoded.pixels.dtype == torch.float32
    assert decoded.pixels.is_contiguous()


@pytest.mark.parametrize(
    ("mode", "stored", "key", "seen"),
    [
        ("P", [0, 1], 0, [[10, 20, 30, 0], [200, 100, 50, 255]]),
        ("L", [7, 9], 7, [[7, 0], [9, 255]]),
        ("RGB", [(1, 2, 3), (4, 5, 6)], (1, 2, 3), [[1, 2, 3, 0], [4, 5, 6, 255]]),
    ],
)
def test_what_is_declared_transparent_becomes_alpha(mode, stored, key, seen):
    image = Image.new(mode, (2, 1))
    if mode == "P":
        image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata(stored)
    assert levels(decode(saved(image, "png", transparency=key))).tolist() == [seen]


def test_cmyk_becomes_rgb():
    decoded = decode(saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "jpeg", icc_profile=ICC))
    red = decoded.pixels.mean(dim=(0, 1))
    assert red[0] > 0.85
    assert red[1:].max() < 0.2
    assert decoded.icc is None  # a CMYK profile would be wrong for these pixels


def test_bomb_is_refused_before_it_is_decoded():
    data = bytearray(encode(pixels(1)).data)
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    checksum = PngImagePlugin._crc32(bytes(data[12:29]))
    data[29:33] = checksum.to_bytes(4, "big")
    with pytest.raises(InvalidInputError, match="million pixels") as caught:
        decode(bytes(data), "bomb.png")
    assert caught.value.name == "bomb.png"


@pytest.mark.parametrize("format", MIMES)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_cut_off_files_are_refused(format, share):
    data = encode(pixels(3, height=40, width=40), format).data
    with pytest.raises(InvalidInputError) as caught:
        decode(data[: int(len(data) * share)], "half.png")
    assert str(caught.value).startswith("half.png is ")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # about damaged metadata
@pytest.mark.parametrize("format", [*MIMES, "gif", "bmp"])
def test_damaged_files_are_decoded_or_refused(format):
    random = np.random.default_rng(0)
    image = from_array(to_uint8(pixels(3, height=24, width=24)))
    data = np.frombuffer(saved(image, format, icc_profile=ICC, exif=Image.Exif()), np.uint8)
    for _ in range(50):
        damaged = data.copy()
        where = random.integers(0, min(400, len(data)), 4)
        damaged[where] = random.integers(0, 256, 4)
        try:
            decoded = decode(damaged.tobytes())
        except InvalidInputError:
            continue
        assert decoded.pixels.dim() == 3


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"hello", "not an image"),
        (b"<html></html>", "not an image"),
        (b"\x89PNG\r\n\x1a\n", "is "),
    ],
)
def test_what_is_no_image_is_refused(data, words):
    with pytest.raises(InvalidInputError, match=words) as caught:
        decode(data, "file.png")
    assert caught.value.name == "file.png"


@pytest.mark.parametrize("channels", [2, 4])
def test_jpeg_with_alpha_is_refused(channels):
    with pytest.raises(InvalidInputError, match="JPEG cannot hold transparency") as caught:
        encode(pixels(channels), "jpeg")
    assert caught.value.name == "format"


def test_webp_beyond_its_limit_is_refused():
    with pytest.raises(InvalidInputError, match="webp cannot hold 16384 x 1 px"):
        encode(torch.zeros(1, 16384, 3), "webp")


def test_unknown_format_is_refused():
    with pytest.raises(InvalidInputError, match="one of png, jpeg, webp, tiff; got bmp"):
        encode(pixels(3), "bmp")


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("bits", [8, 16])
def test_decoding_takes_little_more_than_the_result(bits, orientation):
    """Pillow's own memory is not counted: a byte for each value, two of 16 bits."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    about = Metadata(exif=exif.tobytes().removeprefix(b"Exif\0\0"))
    data = encode(torch.zeros(1000, 800, 3), bits=bits, about=about).data
    tracemalloc.start()
    decoded = decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert decoded.pixels.shape == ((1000, 800, 3) if orientation == 1 else (800, 1000, 3))
    assert peak < 2 * decoded.pixels.numel() * 4
