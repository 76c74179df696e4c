"""A picture from a stranger reaches no decoder but those that are listed, and costs little."""

import struct
import subprocess
import time
import tracemalloc
import zlib

import pytest
import torch
from PIL import Image

from tests.corpus import chunk, saved
from upscale_bridge.errors import InvalidInputError
from upscale_bridge.images import headers
from upscale_bridge.images.codecs import (
    FILE_FORMATS,
    RESULT_FORMATS,
    SERVER_FORMATS,
    Header,
    decode,
    encode,
    read_header,
)
from upscale_bridge.remote import encoding

Image.init()
AVIF = ["avif"] if "AVIF" in Image.SAVE else []  # from Pillow 11.3 on
MEGABYTE = 1 << 20
ENDLESS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{1 pop} loop\n"


def png(width, height, *chunks, depth=8, colour=2, interlaced=0):
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunks) + chunk(b"IEND", b"")


def tiff(tags, values=b"", following=0, start=8):
    """Return a little-endian TIFF of (tag, type, count, value) with `values` behind them."""
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    directory = struct.pack("<H", len(tags)) + body + struct.pack("<I", following)
    return b"II*\0" + struct.pack("<I", start) + bytes(start - 8) + directory + values


def gray(side, *more):
    """Return the tags of a gray picture whose pixels lie at its very start."""
    size = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    place = [(273, 4, 1, 0), (277, 3, 1, 1), (278, 4, 1, side), (279, 4, 1, side * side)]
    return sorted([*size, *place, *more])


def refused(data, **options):
    """Return the sentence that refuses, which decoding and reading the header agree in."""
    told = []
    for read in (read_header, decode):
        with pytest.raises(InvalidInputError) as caught:
            read(data, "x.png", **options)
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert told[0].startswith("x.png is ")
    return told[0]


@pytest.fixture
def no_plugin(monkeypatch):
    """Fail as soon as any of Pillow's plugins, or another program, gets the file."""

    def open_(*args, **kwargs):
        raise AssertionError("Pillow was asked")

    def run(*args, **kwargs):
        raise AssertionError("a program was started")

    monkeypatch.setattr(Image, "open", open_)
    monkeypatch.setattr(subprocess, "Popen", run)
    monkeypatch.setattr(subprocess, "check_call", run)


OTHERS = {
    "PostScript": ENDLESS,
    "PostScript in a DOS file": b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 30, 70) + ENDLESS,
    "PDF": b"%PDF-1.7\n",
    "PSD": b"8BPS\0\1" + bytes(60),
    "ICO": saved(Image.new("RGB", (16, 16)), "ico"),
    "TGA": saved(Image.new("RGB", (16, 16)), "tga"),
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60),
    "JPEG 2000 stream": b"\xff\x4f\xff\x51" + bytes(60),
    "JPEG XL": b"\xff\x0a" + bytes(60),
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60),
    "MP4": b"\0\0\0\x18ftypisom\0\0\0\0isomiso2" + bytes(60),
    "SGI": saved(Image.new("RGB", (16, 16)), "sgi"),
    "IM": b"Image type: RGB image\r\nImage size (x*y): 16*16\r\n" + bytes(600),
    "PCX": saved(Image.new("RGB", (16, 16)), "pcx"),
    "DDS": saved(Image.new("RGB", (16, 16)), "dds"),
    "DIB without a file's header": saved(Image.new("RGB", (16, 16)), "dib"),
    "ICNS": b"icns\0\0\0\x08",
    "XPM": b"/* XPM */\n",
    "XBM": b"#define a_width 4\n#define a_height 4\nstatic char a_bits[] = {\n",
    "WMF": b"\xd7\xcd\xc6\x9a\0\0" + bytes(60),
    "FITS": b"SIMPLE  =                    T" + bytes(60),
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "HTML": b"<!DOCTYPE html><html></html>",
    "AVI": b"RIFF\x24\0\0\0AVI LIST" + bytes(60),
    "Pillow's own PPM": b"PyRGBA\n4 4\n255\n" + bytes(64),
    "CMYK as PPM": b"P0CMYK\n4 4\n255\n" + bytes(64),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_formats_that_are_not_listed_reach_no_decoder(kind, no_plugin):
    sentence = refused(OTHERS[kind])
    assert "save it as PNG or JPEG" in sentence
    if kind in ("PostScript", "PDF", "PSD", "JPEG XL", "JPEG 2000", "ICO", "SVG"):
        assert f"but {kind}" in sentence


LISTED = {
    format: saved(Image.new("RGB", (8, 8)), format)
    for format in ("png", "jpeg", "webp", "tiff", "bmp", *AVIF, "gif", "ppm")
}


@pytest.mark.parametrize("formats", [RESULT_FORMATS, SERVER_FORMATS, FILE_FORMATS, ("png",)])
@pytest.mark.parametrize("format", LISTED)
def test_each_door_takes_its_own_formats(format, formats, monkeypatch):
    if format in formats:
        assert decode(LISTED[format], formats=formats).format == format
        assert read_header(LISTED[format], formats=formats).format == format
        return
    monkeypatch.setattr(Image, "open", None)
    sentence = refused(LISTED[format], formats=formats)
    assert f"but {format}" in sentence
    assert ", ".join(formats).upper() in sentence


@pytest.mark.parametrize("data", [ENDLESS, LISTED["tiff"], LISTED["gif"], LISTED["bmp"]])
def test_result_of_a_service_is_png_jpeg_or_webp(data, no_plugin):
    with pytest.raises(InvalidInputError, match="the result is not an image of a format"):
        encoding.decode(data)


BOMBS = {
    "png": lambda: png(9400, 9400, chunk(b"IDAT", zlib.compress(bytes(28201 * 940), 9))),
    "interlaced png": lambda: png(
        9400, 9400, chunk(b"IDAT", zlib.compress(bytes(9400 * 940), 9)), colour=0, interlaced=1
    ),
    "progressive jpeg": lambda: saved(Image.new("L", (9000, 6000)), "jpeg", progressive=True),
    "webp": lambda: (
        b"RIFF\x1e\0\0\0WEBPVP8L\x12\0\0\0\x2f" + struct.pack("<I", 9399 | 9399 << 14) + bytes(13)
    ),
    "tiled tiff": lambda: tiff(
        [*gray(9400)[:5], (322, 3, 1, 256), (323, 3, 1, 256), (324, 4, 1369, 200)],
        bytes(1369 * 4),
    ),
    "run-length bmp": lambda: b"BM" + struct.pack("<IHHI", 80, 0, 0, 1078)
    + struct.pack("<IiiHHIIiiII", 40, 9400, 9400, 1, 8, 1, 0, 0, 0, 0, 0) + bytes(1024) + b"\0\1",
    "gif": lambda: b"GIF89a" + struct.pack("<HHBBB", 9400, 9400, 0, 0, 0)
    + b"," + struct.pack("<HHHHB", 0, 0, 9400, 9400, 0) + b"\x08\x01\x00\x00;",
    "ppm": lambda: b"P6 9400 9400 255\n",
}  # fmt: skip


@pytest.mark.parametrize("kind", BOMBS)
def test_header_of_a_large_picture_costs_nothing(kind):
    data = BOMBS[kind]()
    tracemalloc.start()
    header = read_header(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (header.width, header.height) in ((9000, 6000), (9400, 9400))
    assert peak < MEGABYTE / 2
    with pytest.raises(InvalidInputError, match="more than 50 million pixels"):
        decode(data, most_pixels=50_000_000)


def bomb_of(kind, head):
    return chunk(kind, head + zlib.compress(bytes(8 * MEGABYTE), 9))


ODD_CHUNKS = {
    "iCCP": lambda: bomb_of(b"iCCP", b"p\0\0"),
    "zTXt": lambda: bomb_of(b"zTXt", b"t\0\0"),
    "iTXt": lambda: bomb_of(b"iTXt", b"t\0\1\0\0\0"),
    "many zTXt": lambda: bomb_of(b"zTXt", b"t\0\0") * 200,
    "damaged iCCP": lambda: chunk(b"iCCP", b"p\0\0hello"),
    "empty tEXt": lambda: chunk(b"tEXt", b""),
    "wrong eXIf": lambda: chunk(b"eXIf", b"II*\0\xff\xff\xff\xff"),
    "wrong length": lambda: struct.pack(">I4s", 0xFFFFFFF0, b"tEXt"),
    "wrong checksum": lambda: chunk(b"tEXt", b"a\0b")[:-4] + b"oops",
}


@pytest.mark.parametrize("kind", ODD_CHUNKS)
def test_odd_chunks_do_not_hide_the_size(kind):
    data = png(40, 30, ODD_CHUNKS[kind](), chunk(b"IDAT", zlib.compress(bytes(121 * 30))))
    assert read_header(data) == Header("png", 40, 30)


def exif_bomb():
    """Return EXIF data whose 4000 tags all name the same megabyte."""
    tags = [(40000 + number, 7, MEGABYTE, 0) for number in range(4000)]
    return tiff(tags, bytes(MEGABYTE))


def below(tag):
    """Return EXIF data with such tags in the directory that `tag` names."""
    inner = b"".join(struct.pack("<HHII", 900 + n, 7, MEGABYTE, 0) for n in range(4000))
    outer = tiff([(tag, 4, 1, 26)])
    return outer + struct.pack("<H", 4000) + inner + bytes(4 + MEGABYTE)


def segment(marker, body=b""):
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


SOF = segment(0xC0, struct.pack(">BHHB", 8, 8, 8, 1) + b"\1\x11\0")
MOUNTAINS = {
    "a hundred thousand pages": lambda: (
        tiff(gray(8), following=122)
        + b"".join(
            struct.pack("<HHHIII", 1, 254, 4, 1, 0, 140 + 18 * number) for number in range(100_000)
        )
    ),
    "pages in a circle": lambda: (
        tiff(gray(8), following=122) + struct.pack("<HHHIII", 1, 254, 4, 1, 0, 122)
    ),
    "two pages": lambda: tiff(gray(8), bytes(64), following=8 + 2 + 9 * 12 + 4 + 8),
    "too many tags": lambda: tiff([(n, 3, 1, 0) for n in range(5000)]),
    "too many strips": lambda: tiff([*gray(8)[:5], (273, 4, 1 << 31, 0), *gray(8)[6:]]),
    "BigTIFF with 2^63 tags": lambda: (
        b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 1 << 63) + bytes(999)
    ),
    "BigTIFF beyond all": lambda: b"II+\0\x08\0\0\0" + struct.pack("<Q", (1 << 64) - 1) + bytes(99),
    "markers": lambda: b"\xff\xd8" + segment(0xEE) * 150_000,
    "markers behind the header": lambda: b"\xff\xd8" + SOF + segment(0xEE) * 5000,
    "scans": lambda: b"\xff\xd8" + SOF + segment(0xDA, b"\1\1\0\0\x3f\0") * 5000 + b"\xff\xd9",
    "filling": lambda: b"\xff\xd8" + b"\xff" * (8 * MEGABYTE),
    "chunks": lambda: png(8, 8, chunk(b"teSt", b"") * 5000),
    "webp chunks": lambda: (
        b"RIFF\0\0\0\0WEBP" + b"VP8L\x05\0\0\0\x2f\0\0\0\0\0" + bytes(16 * MEGABYTE)
    ),
    "gif blocks": lambda: b"GIF89a\x08\0\x08\0\0\0\0!\xfe" + b"\1." * 50_000,
    "gif extensions": lambda: b"GIF89a\x08\0\x08\0\0\0\0" + b"!\xfe\1.\0" * 5000,
    "gif of nothing": lambda: b"GIF89a\x08\0\x08\0\0\0\0" + bytes(MEGABYTE),
    "ppm comments": lambda: b"P6\n" + b"#\n" * 4_000_000 + b"8 8 255\n",
    "ppm comment": lambda: b"P6\n#" + b"x" * (8 * MEGABYTE),
    "ppm digits": lambda: b"P6\n" + b"1" * (8 * MEGABYTE),
    "avif": lambda: b"\0\0\0\x14ftypavif\0\0\0\0avif" + b"\xff" * MEGABYTE,
}


@pytest.mark.parametrize("kind", [kind for kind in MOUNTAINS if kind != "avif" or AVIF])
def test_mountains_are_refused_in_a_moment(kind, monkeypatch):
    """Before Pillow sees them (an AVIF but for libavif), without copying them."""
    data = MOUNTAINS[kind]()
    if kind != "markers":  # one of full height shows how long the others would take
        monkeypatch.setattr(headers, "MOST_STEPS", 2000)
    if kind != "avif":
        monkeypatch.setattr(Image, "open", None)
    tracemalloc.start()
    with pytest.raises(InvalidInputError):
        read_header(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * MEGABYTE
    start = time.thread_time()
    words = "several pages" if "pages" in kind else "damaged or cut off"
    with pytest.raises(InvalidInputError, match=rf"^x\.png is .*{words}"):
        decode(data, "x.png")
    assert time.thread_time() - start < 2


PIXELS = chunk(b"IDAT", zlib.compress(bytes(8 * 25)))
METADATA = {
    "tags that name the same bytes": lambda: tiff(
        gray(8, *((40000 + n, 7, 5 * MEGABYTE, 200) for n in range(4000))), bytes(5 * MEGABYTE)
    ),
    "exif in png": lambda: png(8, 8, chunk(b"eXIf", exif_bomb()), PIXELS),
    "exif below exif": lambda: png(8, 8, chunk(b"eXIf", below(0x8769)), PIXELS),
    "gps in exif": lambda: png(8, 8, chunk(b"eXIf", below(0x8825)), PIXELS),
}


@pytest.mark.parametrize("kind", METADATA)
def test_mountains_of_metadata_are_left_out_in_a_moment(kind):
    """No decoder sees them, and they are not copied."""
    data = METADATA[kind]()
    tracemalloc.start()
    start = time.thread_time()
    decoded = decode(data, "x.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert decoded.pixels.shape[:2] == (8, 8)
    assert decoded.exif is None
    assert len(decoded.about.left_out) in (1, 2)
    assert peak < len(data) + 5 * MEGABYTE
    assert time.thread_time() - start < 2


@pytest.mark.parametrize("shift", [0, 1])
def test_long_directory_of_a_real_tiff_is_no_mountain(shift):
    """A value may name bytes that another names too, as long as it is about the file's size."""
    data = tiff(gray(8, (40000, 7, 64, 100), (40001, 7, 64, 100 + shift)), bytes(200))
    assert decode(data).pixels.shape == (8, 8, 1)


def test_file_that_tells_two_sizes_is_refused():
    """Pillow takes the second header of a PNG, and the last of equal tags in older versions."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 4, 8, 2, 0, 0, 0))
    assert "two headers" in refused(png(8, 8, head, chunk(b"IDAT", zlib.compress(bytes(200)))))


@pytest.mark.parametrize("format", LISTED)
def test_other_ends_of_a_file_change_nothing(format):
    """What lies behind a picture, another picture for example, is not looked at."""
    for tail in (ENDLESS, LISTED["png"], bytes(100)):
        assert read_header(LISTED[format] + tail) == Header(format, 8, 8)
        assert decode(LISTED[format] + tail).pixels.shape[:2] == (8, 8)


def test_size_is_checked_before_the_pixels():
    picture = encode(torch.zeros(40, 50, 3))
    assert decode(picture.data, most_pixels=2000).pixels.shape == (40, 50, 3)
    with pytest.raises(InvalidInputError, match="more than 0 million pixels"):
        decode(picture.data, most_pixels=1999)
