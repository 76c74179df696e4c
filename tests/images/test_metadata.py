"""What describes a picture, from one format into another."""

import io
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from tests import corpus
from upscale_bridge.errors import InvalidInputError
from upscale_bridge.images import codecs, exif, metadata, pillow_reader
from upscale_bridge.images.containers import Part
from upscale_bridge.images.metadata import Metadata

PIXELS = torch.full((8, 10, 3), 0.5)


def opened(about, format="png", pixels=PIXELS):
    image = Image.open(io.BytesIO(codecs.encode(pixels, format, about=about).data))
    image.load()
    return image


def with_makers_notes(order=">"):
    """Return EXIF data whose maker's note has an offset in it, a thumbnail behind all."""
    mark = b"MM\0*" if order == ">" else b"II*\0"
    first = struct.pack(order + "HHHIIHHIII", 2, 0x0112, 3, 1, 6 << 16 if order == ">" else 6,
                        0x8769, 4, 1, 38, 0)  # fmt: skip
    below = struct.pack(order + "HHHIII", 1, 0x927C, 7, 12, 60, 0)
    return mark + struct.pack(order + "I", 8) + first + below + bytes(4) + b"note" + b"offset60"


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_makers_note_stays_where_it_was(order, format):
    """It has offsets from the beginning of EXIF data that only the maker's programs know."""
    found, problem = exif.cleaned(with_makers_notes(order))
    assert problem == ""
    data = codecs.encode(PIXELS, format, about=Metadata(exif=found)).data
    kept = codecs.decode(data).exif
    assert kept[60:72] == b"noteoffset60"
    assert kept[:2] == (b"MM" if order == ">" else b"II")


def test_size_of_a_short_becomes_a_long_that_holds_it():
    found, _ = exif.cleaned(corpus.exif())
    about = codecs.decode(codecs.encode(PIXELS, about=Metadata(exif=found)).data).about
    enlarged = Image.Exif()
    enlarged.load(exif.resized(about.exif, 70_000, 80_000))
    assert enlarged.get_ifd(0x8769) == {0xA002: 70_000, 0xA003: 80_000}


def test_comment_of_the_webui_is_not_replaced():
    about = Metadata(
        exif=exif.with_tags(None, {}, "as it was"), texts=[Part("tEXt", b"parameters\0another")]
    )
    comment = opened(about, "jpeg").getexif().get_ifd(0x8769)[0x9286]
    assert comment == b"UNICODE\0" + "as it was".encode("utf-16-be")


@pytest.mark.parametrize("kind", ["EXIF", "XMP"])
def test_what_is_too_large_for_a_jpeg_is_left_out_and_said(kind):
    tag = (2, 140_000, b"d" * 140_000)
    about = Metadata(exif=exif.write_tags({0: {0x010E: tag}}, ">"))
    if kind == "XMP":
        about = Metadata(xmp=corpus.XMP.replace(b"<rdf:D", b" " * 70_000 + b"<rdf:D"))
    (said,) = codecs.unfit(about, "jpeg", (10, 8), 8)
    assert said.startswith(f"its {kind} of ")
    image = opened(about, "jpeg")
    assert "exif" not in image.info
    assert "xmp" not in image.info
    for format in ("png", "webp", "tiff"):
        assert codecs.unfit(about, format, (10, 8), 8) == []


def test_large_profile_takes_several_segments():
    icc = struct.pack(">I", 150_000) + corpus.ICC[4:] + bytes(150_000 - len(corpus.ICC))
    assert opened(Metadata(icc=icc), "jpeg").info["icc_profile"] == icc
    assert codecs.decode(codecs.encode(PIXELS, "jpeg", about=Metadata(icc=icc)).data).icc == icc


def test_thumbnails_of_photoshop_go():
    thumbnail = b"8BIM\x04\x0c\0\0\0\0\0\x05abcde\0"
    found = metadata.of_jpeg([Part("APP13", b"Photoshop 3.0\0" + thumbnail + corpus.IPTC)])
    assert found.photoshop == corpus.IPTC
    assert found.left_out == []


def test_density_is_turned_with_the_picture():
    image = Image.new("RGB", (10, 8))
    tags = Image.Exif()
    tags[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", dpi=(72, 144), exif=tags)
    decoded = codecs.decode(buffer.getvalue())
    assert decoded.about.density == (144, 72, True)


def test_gamma_is_applied_where_it_cannot_be_kept():
    pixels = torch.tensor([[[0.0, 0.002, 0.5, 0.25]]])
    found = codecs.to_srgb(pixels, 1.0, transparent=True)
    expected = [0.0, 0.002 * 12.92, 1.055 * 0.5 ** (1 / 2.4) - 0.055, 0.25]
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-6)


@pytest.mark.parametrize(("gamma", "told"), [(45_455, None), (45_000, None), (100_000, 1.0)])
def test_gamma_of_srgb_is_none(gamma, told):
    assert Metadata(colours={"gAMA": struct.pack(">I", gamma)}).gamma == told


def test_colour_space_of_an_avif_is_told_to_a_png():
    data = b"....colrnclx" + struct.pack(">HHHB", 9, 16, 9, 0x80)
    assert pillow_reader._avif_colours(data) == {"cICP": bytes([9, 16, 0, 1])}
    plain = b"....colrnclx" + struct.pack(">HHHB", 1, 13, 6, 0x80)
    assert pillow_reader._avif_colours(plain) == {}
    assert "8 of its 10" in pillow_reader._avif_notes(b"av1C\x81\x00\x40\x00")[0]
    assert pillow_reader._avif_notes(b"av1C\x81\x00\x00\x00") == []


def test_jpeg_of_12_bits_is_named():
    data = bytearray(corpus.jpeg(corpus.gradient(3, kind=np.uint8)))
    at = data.index(b"\xff\xc0")
    data[at + 4] = 12
    with pytest.raises(InvalidInputError, match="of a kind that is not read here"):
        codecs.decode(bytes(data))


def test_orders_of_texts_and_languages_are_kept():
    texts = [
        Part("iTXt", b"b\0\0\0de\0B\0z"),
        Part("tEXt", b"a\0one"),
        Part("tEXt", b"a\0two"),
        Part("zTXt", b"c\0\0" + b"x\x9c\x03\x00\x00\x00\x00\x01"),
    ]
    data = codecs.encode(PIXELS, about=Metadata(texts=texts)).data
    assert codecs.decode(data).about.texts == texts
