"""What a file says before it is decoded is what the decoder makes of it."""

from pathlib import Path

import pytest
from PIL import Image

from tests.corpus import saved
from upscale_bridge.errors import InvalidInputError
from upscale_bridge.images.codecs import (
    FILE_FORMATS,
    RESULT_FORMATS,
    SERVER_FORMATS,
    Header,
    decode,
    read_header,
)

Image.init()
AVIF = ["avif"] if "AVIF" in Image.SAVE else []  # from Pillow 11.3 on
ROOT = Path(__file__).parents[2]
SIZE = (24, 10)
MODES = {
    "png": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "jpeg": ["L", "RGB", "CMYK"],
    "webp": ["RGB", "RGBA"],
    "tiff": ["1", "L", "LA", "RGB", "RGBA", "CMYK", "I;16", "F", "LAB"],
    "bmp": ["1", "L", "P", "RGB", "RGBA"],
    "gif": ["L", "P"],
    "ppm": ["1", "L", "RGB"],
    **{format: ["RGB", "RGBA"] for format in AVIF},
}
OPTIONS = {
    "jpeg": [{"progressive": True}, {"exif": Image.Exif()}],
    "webp": [{"lossless": True}, {"exact": True, "lossless": True}],
    "tiff": [{"compression": "tiff_lzw"}, {"big_tiff": True}, {"compression": "jpeg"}],
    "gif": [{"comment": b"hello" * 100}, {"interlace": False}],
    "png": [{"bits": 4}],
}


def frames(format, many=3):
    images = [Image.new("RGB", (8, 8), (90 * number, 0, 0)) for number in range(many)]
    return saved(images[0], format, save_all=True, append_images=images[1:])


def cases():
    for format, modes in MODES.items():
        for mode in modes:
            yield format, mode, {}
        for options in OPTIONS.get(format, []):
            yield format, "P" if "bits" in options else "RGB", options


def test_lists_of_formats_grow_from_the_strictest():
    assert RESULT_FORMATS == ("png", "jpeg", "webp")
    assert (*RESULT_FORMATS, "tiff", "bmp", "avif") == SERVER_FORMATS
    assert (*SERVER_FORMATS, "gif", "ppm") == FILE_FORMATS


@pytest.mark.parametrize(("format", "mode", "options"), list(cases()))
def test_header_tells_what_decoding_gives(format, mode, options):
    data = saved(Image.new(mode, SIZE), format, **options)
    assert read_header(data) == Header(format, *SIZE)
    decoded = decode(data)
    assert (decoded.format, *decoded.pixels.shape[:2]) == (format, *SIZE[::-1])


@pytest.mark.parametrize("orientation", range(9))
@pytest.mark.parametrize("format", ["jpeg", "png", "tiff", "webp", *AVIF])
def test_header_tells_the_upright_size(format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.new("RGB", SIZE)
    image.paste("red", (0, 0, 5, 5))
    data = saved(image, format, exif=exif, quality=100)
    upright = SIZE[::-1] if orientation >= 5 else SIZE
    assert read_header(data) == Header(format, *upright)
    assert tuple(decode(data).pixels.shape[1::-1]) == upright


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("form", ['tiff:Orientation="6"', "<tiff:Orientation>6</tiff:Orientation>"])
def test_orientation_in_xmp_counts_when_exif_has_none(format, form):
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", form)
    image = Image.new("RGB", SIZE)
    image.paste("red", (0, 0, 24, 3))
    data = saved(image, format, **({"pnginfo": text} if format == "png" else {}))
    if format == "jpeg":
        packet = b"http://ns.adobe.com/xap/1.0/\0" + form.encode()
        data = data[:2] + b"\xff\xe1" + (len(packet) + 2).to_bytes(2, "big") + packet + data[2:]
    if format == "webp":
        data = saved(image, format, xmp=form.encode())
    assert read_header(data) == Header(format, *SIZE[::-1])
    decoded = decode(data)
    assert tuple(decoded.pixels.shape[1::-1]) == SIZE[::-1]
    assert decoded.pixels[12, -1, 0] > 0.8, "the upper side came to the right"


@pytest.mark.parametrize("format", ["gif", "webp", "png", "tiff", *AVIF])
def test_moving_pictures_are_refused_by_their_header(format):
    with pytest.raises(InvalidInputError, match="animated or has several pages"):
        read_header(frames(format))
    assert read_header(frames(format, many=1)) == Header(format, 8, 8)


@pytest.mark.skipif(not AVIF, reason="older Pillows write an MPO that they cannot read")
def test_photo_with_further_views_is_its_first():
    """An MPO is a JPEG with further views of the same scene behind it."""
    assert read_header(frames("mpo")) == Header("jpeg", 8, 8)
    assert decode(frames("mpo")).format == "jpeg"


def test_pages_of_a_tiff_that_lead_back_to_the_first_are_one():
    data = bytearray(saved(Image.new("L", SIZE), "tiff"))
    first = int.from_bytes(data[4:8], "little")
    end = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    data[end : end + 4] = data[4:8]
    assert read_header(bytes(data)) == Header("tiff", *SIZE)
    assert decode(bytes(data)).pixels.shape == (10, 24, 1)


@pytest.mark.parametrize("text", ["#\n", "# a comment\n", "\n \t\r\n# x\n#\n", " "])
def test_netpbm_has_white_space_and_comments_anywhere(text):
    data = f"P5\n{text}24{text}\n10{text}\n255\n".encode() + bytes(240)
    assert read_header(data) == Header("ppm", *SIZE)
    assert decode(data).pixels.shape == (10, 24, 1)


def test_first_row_of_a_bitmap_may_be_the_upper_one():
    data = bytearray(saved(Image.new("RGB", SIZE), "bmp"))
    data[22:26] = (-10).to_bytes(4, "little", signed=True)
    assert read_header(bytes(data)) == Header("bmp", *SIZE)
    assert decode(bytes(data)).pixels.shape == (10, 24, 3)


PICTURES = [path for path in (ROOT / "docs" / "pictures").iterdir() if path.suffix != ".svg"]


@pytest.mark.parametrize("path", sorted(PICTURES), ids=lambda path: path.name)
def test_pictures_of_the_documents(path):
    header = read_header(path.read_bytes(), path.name)
    with Image.open(path) as image:
        assert (header.width, header.height) == image.size
