"""Pictures in every format, mode, depth, layout, with all kinds of metadata, sound and damaged.

python -m tests.corpus        # all of them, about a minute

Each goes through the command's own steps, enlarged by repeating pixels: what comes out has known
pixels. Nothing may change silently: depth, colours, orientation, metadata.
"""

import io
import random
import struct
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from tests import tiffs
from upscale_bridge import LocalUpscale, Monitor, batch
from upscale_bridge.errors import InvalidInputError
from upscale_bridge.images import codecs
from upscale_bridge.service import Result

TWICE = LocalUpscale(scale_factor=2)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TARGETS = {"png": "png", "jpeg": "jpg", "webp": "webp", "tiff": "tif"}
WIDTH, HEIGHT = 23, 18
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
XMP = (
    b"<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>"
    b"<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description "
    b"xmlns:tiff='http://ns.adobe.com/tiff/1.0/' xmlns:exif='http://ns.adobe.com/exif/1.0/' "
    b"tiff:ImageWidth='23'><exif:PixelYDimension>18</exif:PixelYDimension></rdf:Description>"
    b"</rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
)
WIDE = (31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600)  # primaries of BT.2020
IPTC = b"8BIM\x04\x04\0\0\0\0\0\x0a\x1c\x02\x78\0\x05hello8BIM\x04\x06\0\0\0\0\0\x04abcd"


@dataclass
class Case:
    """One file, and what is known about it."""

    name: str
    data: bytes
    pixels: object
    """float [height, width, channels] in 0..1, upright; None when anything may come of it."""
    bits: int = 8
    error: float = 0.6 / 255
    """How far the mean of a lossless copy may be off."""
    about: dict = field(default_factory=dict)
    """What describes it and must arrive, or be named as left out."""
    damaged: str = ""
    """A word of the line that tells what was left out."""
    refused: str = ""
    """A word of the sentence that refuses it."""


def gradient(channels, top=255, kind=np.uint16, opaque=False, seed=0):
    """Return numbers 0..`top` [height, width, channels] that JPEG keeps nearly."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    waves = [
        0.5 + 0.5 * np.sin((x * (n + 1 + seed % 3) + y * (2 - n) + 5 * seed) / 17)
        for n in range(channels)
    ]
    values = np.stack(waves, axis=-1) * top
    values = np.round(values) if kind != np.float32 else values
    values[0, 0], values[-1, -1] = 0, top
    if channels in (2, 4):
        values[..., -1] = top if opaque else np.maximum(values[..., -1], top // 9 or top / 9)
    return values.astype(kind)


def saved(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values, depth, *, more=b"", key=None):
    """Return a PNG of numbers [height, width, 1 to 4 channels], filtered by Up and Sub in turn."""
    height, width, channels = values.shape
    packed = tiffs.pack(values.astype(">u2" if depth == 16 else np.uint8), depth, ">")
    rows = np.frombuffer(packed, np.uint8).reshape(height, -1)
    step = max(1, channels * depth // 8)
    lines = b""
    for index, row in enumerate(rows):
        before = np.zeros_like(row)
        if index % 2:
            before = rows[index - 1]
        else:
            before[step:] = row[:-step]
        lines += bytes([2 if index % 2 else 1]) + (row - before).tobytes()
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    trns = chunk(b"tRNS", struct.pack(f">{channels}H", *key)) if key else b""
    body = head + more + trns + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def segment(marker, body):
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg(values, more=b"", **options):
    image = Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)
    data = saved(image, "jpeg", quality=97, subsampling=0, **options)
    return data[:20] + more + data[20:]


def riff(kind, data):
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def webp(values, flags=0, before=b"", behind=b""):
    data = saved(Image.fromarray(values), "webp", lossless=True, exact=True)
    size = struct.pack("<I", WIDTH - 1)[:3] + struct.pack("<I", HEIGHT - 1)[:3]
    flags |= 0x10 if values.shape[2] == 4 else 0
    body = riff(b"VP8X", bytes([flags, 0, 0, 0]) + size) + before + data[12:] + behind
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def exif(orientation=1):
    """Return EXIF data: maker, orientation, size, and a thumbnail of the old picture behind it."""
    first = struct.pack(
        ">HHIIHHIHHHHII", 0x010F, 2, 6, 80, 0x0112, 3, 1, orientation, 0, 0x8769, 4, 1, 50
    )
    size = struct.pack(">HHHIIHHIHH", 2, 0xA002, 4, 1, WIDTH, 0xA003, 3, 1, HEIGHT, 0)
    thumbnail = struct.pack(">HHHIIHHIII", 2, 0x0201, 4, 1, 120, 0x0202, 4, 1, 9, 0)
    start = b"MM\0*" + struct.pack(">IH", 8, 3) + first + struct.pack(">I", 90)
    return start + size + bytes(4) + b"Maker\0" + bytes(4) + thumbnail + b"THUMBNAIL"


PNG_PARTS = {
    "text": (chunk(b"tEXt", b"workflow\0{}") + chunk(b"iTXt", b"Title\0\0\0ja\0\0\xe6\x97\xa5")
             + chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"a cat"))),
    "large text": chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"a" * 1_600_000)),
    "exif": chunk(b"eXIf", exif()),
    "xmp": chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
    "icc": chunk(b"iCCP", b"p\0\0" + zlib.compress(ICC)),
    "dpi": chunk(b"pHYs", struct.pack(">IIB", 11811, 11811, 1)),
    "gAMA": chunk(b"gAMA", struct.pack(">I", 100_000)),
    "cICP": chunk(b"cICP", bytes([9, 16, 0, 1])),
    "cHRM": chunk(b"cHRM", struct.pack(">8I", *WIDE)),
}  # fmt: skip
PNG_DAMAGE = {
    "zTXt of no zlib": ("damaged", chunk(b"zTXt", b"workflow\0\0hello")),
    "zTXt cut off": ("damaged", chunk(b"zTXt", b"w\0\0" + zlib.compress(ICC)[:40])),
    "zTXt bomb": ("MB of texts", chunk(b"zTXt", b"w\0\0" + zlib.compress(bytes(40 << 20), 9))),
    "iTXt of no UTF-8": ("damaged", chunk(b"iTXt", b"Title\0\0\0\0\0\xff\xfe")),
    "iTXt of one byte": ("damaged", chunk(b"iTXt", b"x")),
    "iTXt of method 9": ("damaged", chunk(b"iTXt", b"Title\0\1\x09\0\0abc")),
    "tEXt without keyword": ("damaged", chunk(b"tEXt", b"\0text")),
    "tEXt of nothing": ("damaged", chunk(b"tEXt", b"")),
    "tEXt with a wrong checksum": ("damaged", chunk(b"tEXt", b"a\0b")[:-4] + b"oops"),
    "tEXt with a wrong length": ("damaged", b"\0\x0f\xff\xf0tEXta\0boops"),
    "chunk of no letters": ("chunk", chunk(b"\1\2\3\4", b"abc")),
    "eXIf of nothing": ("EXIF", chunk(b"eXIf", b"")),
    "eXIf of letters": ("EXIF", chunk(b"eXIf", b"xxxx")),
    "eXIf cut off": ("EXIF", chunk(b"eXIf", exif()[:60])),
    "eXIf that points beyond": ("EXIF", chunk(b"eXIf", b"II*\0\xff\xff\xff\x7f")),
    "iCCP of no zlib": ("profile", chunk(b"iCCP", b"p\0\0hello")),
    "iCCP of no profile": ("profile", chunk(b"iCCP", b"p\0\0" + zlib.compress(b"hello" * 99))),
    "iCCP without end": ("profile", chunk(b"iCCP", b"p\0\0" + zlib.compress(ICC)[:-9])),
    "gAMA of 0": ("gAMA", chunk(b"gAMA", bytes(4))),
    "gAMA of 3 bytes": ("gAMA", chunk(b"gAMA", bytes(3))),
    "cHRM of 0": ("cHRM", chunk(b"cHRM", bytes(32))),
    "cHRM of 9 bytes": ("cHRM", chunk(b"cHRM", bytes(9))),
    "pHYs of 0": ("pHYs", chunk(b"pHYs", bytes(9))),
    "pHYs of 2 bytes": ("pHYs", chunk(b"pHYs", bytes(2))),
    "sRGB of 9": ("sRGB", chunk(b"sRGB", b"\x09")),
    "cICP of 2 bytes": ("cICP", chunk(b"cICP", bytes(2))),
    "tRNS of 5 bytes": ("tRNS", chunk(b"tRNS", bytes(5))),
    "tRNS with a wrong checksum": ("tRNS", chunk(b"tRNS", bytes(2))[:-4] + b"oops"),
    "XMP of no XML": ("XMP", chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta")),
}  # fmt: skip


def pngs():
    """All modes and depths with each kind of metadata, sound and damaged."""
    modes = [(c, d) for c in (1, 2, 3, 4) for d in (8, 16)] + [(1, d) for d in (1, 2, 4)]
    for index, (channels, depth) in enumerate(modes):
        values = gradient(channels, 2**depth - 1, seed=index)
        truth, bits = values / (2**depth - 1), max(8, depth)
        where = f"png {channels} x {depth} bits"
        yield Case(where, png(values, depth), truth, bits)
        for name, part in PNG_PARTS.items():
            known = {"gAMA": 1.0} if name == "gAMA" else {name: True}
            yield Case(f"{where}, {name}", png(values, depth, more=part), truth, bits, about=known)
        for name, (word, part) in PNG_DAMAGE.items():
            yield Case(f"{where}, {name}", png(values, depth, more=part), truth, bits, damaged=word)
        if channels in (1, 3):
            key = values[5, 7].tolist()
            visible = (values != values[5, 7]).any(axis=-1, keepdims=True)
            both = np.concatenate([truth, visible], axis=-1)
            yield Case(f"{where}, tRNS", png(values, depth, key=key), both, bits)
        if channels in (2, 4):
            values = gradient(channels, 2**depth - 1, opaque=True, seed=index)
            yield Case(f"{where}, opaque", png(values, depth), values / (2**depth - 1), bits)
    plain = Image.fromarray(gradient(3, kind=np.uint8))
    for colours in (2, 4, 16, 200):
        image = plain.quantize(colours)
        yield Case(
            f"png palette {colours}", saved(image, "png"), np.asarray(image.convert("RGB")) / 255
        )
        clear = image.copy()
        clear.info["transparency"] = 1
        truth = np.asarray(clear.convert("RGBA")) / 255
        yield Case(f"png palette {colours} clear", saved(clear, "png"), truth)


def jpegs():
    """Gray and RGB with each kind of metadata, upright and turned."""
    parts = {
        "exif": segment(0xE1, b"Exif\0\0" + exif()),
        "xmp": segment(0xE1, XMP_HEAD + XMP),
        "iptc": segment(0xED, b"Photoshop 3.0\0" + IPTC),
        "icc": segment(0xE2, b"ICC_PROFILE\0\1\1" + ICC),
        "comment": segment(0xFE, b"hello there"),
    }
    damage = {
        "EXIF of nothing": ("EXIF", segment(0xE1, b"Exif\0\0")),
        "EXIF of letters": ("EXIF", segment(0xE1, b"Exif\0\0hello")),
        "EXIF cut off": ("EXIF", segment(0xE1, b"Exif\0\0" + exif()[:60])),
        "EXIF of 0xff": ("EXIF", segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08" + b"\xff" * 400)),
        "XMP of no XML": ("XMP", segment(0xE1, XMP_HEAD + b"<x:xmpmeta")),
        "XMP with entities": ("XMP", segment(0xE1, XMP_HEAD + b"<!DOCTYPE a>" + XMP)),
        "IPTC of letters": ("IPTC", segment(0xED, b"Photoshop 3.0\0hello hello hello")),
        "IPTC cut off": ("IPTC", segment(0xED, b"Photoshop 3.0\0" + IPTC[:-3])),
        "profile of letters": ("profile", segment(0xE2, b"ICC_PROFILE\0\1\1hello")),
        "half a profile": ("profile", segment(0xE2, b"ICC_PROFILE\0\1\2" + ICC[:300])),
        "APP1 of nothing": ("APP1", segment(0xE1, b"")),
        "APP9": ("APP9", segment(0xE9, b"whatever")),
        "APP11": ("APP11", segment(0xEB, b"JP\0\0")),
    }  # fmt: skip
    for index, channels in enumerate((1, 3)):
        values = gradient(channels, kind=np.uint8, seed=index)
        truth, where = values / 255, f"jpeg {channels}"
        for density in ((300, 300), (72, 144)):
            data = jpeg(values, dpi=density)
            yield Case(
                f"{where}, {density} dpi", data, truth, error=3 / 255, about={"dpi": density}
            )
        for name, part in parts.items():
            yield Case(
                f"{where}, {name}", jpeg(values, part), truth, error=3 / 255, about={name: True}
            )
        for name, (word, part) in damage.items():
            yield Case(f"{where}, {name}", jpeg(values, part), truth, error=3 / 255, damaged=word)
        for way in range(1, 9):
            part = segment(0xE1, b"Exif\0\0" + exif(way))
            yield Case(
                f"{where}, turned {way}", jpeg(values, part), turned(truth, way), error=3 / 255,
                about={"exif": True},
            )  # fmt: skip
    data = saved(Image.fromarray(gradient(4, kind=np.uint8), "CMYK"), "jpeg", quality=97)
    with Image.open(io.BytesIO(data)) as image:
        yield Case("jpeg CMYK", data, np.asarray(image.convert("RGB")) / 255, error=3 / 255)


def turned(pixels, way):
    """Return what orientation `way` of EXIF asks for."""
    image = pixels.swapaxes(0, 1) if way > 4 else pixels
    flips = {2: (1,), 3: (0, 1), 4: (0,), 5: (), 6: (1,), 7: (0, 1), 8: (0,)}.get(way, ())
    return np.flip(image, flips)


def webps():
    """RGB and RGBA."""
    parts = {
        "exif": (0x08, b"", riff(b"EXIF", exif())),
        "xmp": (0x04, b"", riff(b"XMP ", XMP)),
        "icc": (0x20, riff(b"ICCP", ICC), b""),
    }
    damage = {
        "EXIF of letters": ("EXIF", 0x08, b"", riff(b"EXIF", b"hello")),
        "EXIF cut off": ("EXIF", 0x08, b"", riff(b"EXIF", exif()[:60])),
        "EXIF longer than the file": ("EXIF", 0x08, b"", riff(b"EXIF", exif() * 9)[:-50]),
        "XMP of letters": ("XMP", 0x04, b"", riff(b"XMP ", b"hello")),
        "profile of letters": ("profile", 0x20, riff(b"ICCP", b"hello"), b""),
        "unknown chunk": ("ABCD", 0, b"", riff(b"ABCD", b"hello")),
    }
    for channels in (3, 4):
        values = gradient(channels, kind=np.uint8, seed=channels)
        truth, where = values / 255, f"webp {channels}"
        for name, (flags, *both) in parts.items():
            yield Case(f"{where}, {name}", webp(values, flags, *both), truth, about={name: True})
        for name, (word, flags, *both) in damage.items():
            yield Case(f"{where}, {name}", webp(values, flags, *both), truth, damaged=word)
        for way in range(1, 9):
            data = webp(values, 0x08, b"", riff(b"EXIF", exif(way)))
            yield Case(f"{where}, turned {way}", data, turned(truth, way), about={"exif": True})


def layouts():
    """Return TIFF files of all layouts of numbers that are right in gray and RGB."""
    kinds = [(8, np.uint8), (10, np.uint16), (12, np.uint16), (14, np.uint16), (16, np.uint16)]
    kinds += [(16, np.float16), (32, np.float32), (64, np.float64)]
    dice = random.Random(13)
    for bits, kind in kinds:
        whole = np.dtype(kind).kind == "u"
        for channels in (1, 2, 3, 4):
            for order in "<>":
                for planar in (False, True) if channels > 1 else (False,):
                    for compression in tiffs.COMPRESSIONS:
                        inverted = channels < 3 and dice.random() < 0.4
                        yield _layout(
                            dice, bits, kind, whole, channels, order, planar, compression, inverted
                        )


def _layout(dice, bits, kind, whole, channels, order, planar, compression, inverted):
    top = 2**bits - 1 if whole else 1
    values = gradient(channels, top, np.float64 if not whole else np.uint16, seed=dice.randrange(9))
    truth = values / top
    stored = (values if whole else truth).astype(kind)
    if inverted:
        stored[..., 0] = top - stored[..., 0]
    associated = channels in (2, 4) and not inverted and dice.random() < 0.3
    if associated:
        alpha = truth[..., -1:]
        scaled = truth[..., :-1] * alpha * top
        stored[..., :-1] = (np.round(scaled) if whole else scaled).astype(kind)
    predictor = dice.choice((1, 2) if whole else (1, 2, 3))
    if bits not in (8, 16, 32, 64) or compression in ("none", "packbits"):
        predictor = 1
    tile, big, rows = dice.choice((None, None, 16)), dice.random() < 0.3, dice.choice((1, 5, 40))
    data = tiffs.write(
        stored, photometric=2 if channels > 2 else 0 if inverted else 1, bits=bits, planar=planar,
        order=order, compression=compression, predictor=predictor, tile=tile, big=big, rows=rows,
        extra=(1 if associated else 2,) if channels in (2, 4) else (),
    )  # fmt: skip
    name = (
        f"tiff {channels} x {bits} {np.dtype(kind).kind} {order} planar={planar} {compression} "
        f"predictor={predictor} tile={tile} big={big} inverted={inverted} associated={associated}"
    )
    error = (8 if associated and bits == 8 else 1) * 0.6 / 255
    return Case(name, data, truth, 8 if bits == 8 else 16, error)


def tiff_cases():
    """What is described and refused in TIFF."""
    yield from layouts()
    values = gradient(3, kind=np.uint8)
    truth = values / 255
    for name, more, known in (
        ("dpi", [(282, 5, 1, struct.pack("<II", 300, 1)), (283, 5, 1, struct.pack("<II", 300, 1)),
                 (296, 3, 1, b"\2\0")], {"dpi": (300, 300)}),
        ("icc", [(34675, 7, len(ICC), ICC)], {"icc": True}),
        ("xmp", [(700, 1, len(XMP), XMP)], {"xmp": True}),
        ("iptc", [(34377, 1, len(IPTC), IPTC)], {"iptc": True}),
    ):  # fmt: skip
        data = tiffs.write(values, photometric=2, more=more)
        yield Case(f"tiff {name}", data, truth, about=known)
    for name, tag in (
        ("text beyond the file", (270, 2, 0x7FFFFFFF, b"abcd")),
        ("profile of letters", (34675, 7, 5, b"hello")),
        ("profile of numbers", (34675, 12, 1, bytes(8))),
        ("XMP of letters", (700, 1, 5, b"hello")),
        ("directory of EXIF beyond", (34665, 4, 1, b"\xff\xff\xff\x7f")),
        ("unknown tag", (50000, 3, 1, b"\1\0")),
        ("tag of an unknown type", (271, 99, 5, b"hello")),
    ):
        data = tiffs.write(values, photometric=2, more=[tag])
        yield Case(f"tiff {name}", data, truth, damaged=" ")
    for way in range(1, 9):
        data = tiffs.write(values, photometric=2, more=[(274, 3, 1, struct.pack("<H", way))])
        yield Case(f"tiff turned {way}", data, turned(truth, way))
    float_ = gradient(1, 255, np.float32)
    whole = gradient(1, 65535, np.float64)
    refused = {
        "0 to 255 in reals": ("0 to 255", float_, {}),
        "-3 to 1 in reals": ("-3 to 1", float_ / 255 * 4 - 3, {}),
        "32 bits of more than 65535": ("to 131070", (whole * 2).astype(np.uint32), {}),
        "negative numbers": ("from -65535", (-whole).astype(np.int32), {}),
        "CMYK of 16 bits": ("CMYK, 16 bits", gradient(4, 65535), {"photometric": 5}),
        "Lab of 16 bits": ("Lab, 16 bits", gradient(3, 65535), {"photometric": 8}),
        "complex numbers": ("64 bits", whole.astype(np.int64), {"more": [(339, 3, 1, b"\6\0")]}),
    }
    packed = {"photometric": 2, "compression": "packbits", "predictor": 2}
    refused["PackBits of differences"] = "predictor 2", gradient(3, 65535), packed
    ignored = [(317, 3, 1, b"\2\0")]  # which no reader heeds without compression
    data = tiffs.write(values, photometric=2, more=ignored)
    yield Case("tiff predictor of nothing", data, truth)
    for name, (word, numbers, options) in refused.items():
        data = tiffs.write(numbers, **{"photometric": 1, **options})
        yield Case(f"tiff {name}", data, None, refused=word)
    yield Case(
        "tiff 32 bits", tiffs.write(whole.astype(np.uint32), photometric=1), whole / 65535, 16
    )
    plain = Image.fromarray(values)
    for mode in ("1", "P", "CMYK", "LAB"):
        image = plain.convert(mode) if mode != "LAB" else plain.convert("LAB")
        if mode == "LAB":
            yield Case("tiff LAB", saved(image, "tiff"), truth, error=6 / 255)
            continue
        seen = np.asarray(image.convert("L" if mode == "1" else "RGB")) / 255
        seen = seen[..., None] if seen.ndim == 2 else seen
        yield Case(f"tiff {mode}", saved(image, "tiff"), seen, error=2 / 255)
    for compression in ("jpeg", "tiff_ccitt", "group4"):
        image = plain if compression == "jpeg" else plain.convert("1")
        seen = np.asarray(image.convert("RGB" if compression == "jpeg" else "L")) / 255
        seen = seen[..., None] if seen.ndim == 2 else seen
        data = saved(image, "tiff", compression=compression)
        yield Case(f"tiff {compression}", data, seen, error=6 / 255)


def others():
    """BMP, GIF and Netpbm's formats."""
    values = gradient(3, kind=np.uint8)
    image = Image.fromarray(values)
    yield Case("bmp", saved(image, "bmp", dpi=(300, 300)), values / 255, about={"dpi": (300, 300)})
    palette = image.quantize(32)
    seen = np.asarray(palette.convert("RGB")) / 255
    yield Case("bmp palette", saved(palette, "bmp"), seen)
    yield Case("gif", saved(palette, "gif"), seen)
    for channels, kind in ((1, b"P5"), (3, b"P6"), (1, b"P2"), (3, b"P3")):
        for top in (255, 1000, 4095, 65535):
            numbers = gradient(channels, top)
            head = kind + b"\n# a comment\n%d %d\n%d\n" % (WIDTH, HEIGHT, top)
            body = numbers.astype(">u2" if top > 255 else np.uint8).tobytes()
            if kind in (b"P2", b"P3"):
                body = b" ".join(b"%d" % number for number in numbers.ravel())
            yield Case(f"ppm {kind!r} {top}", head + body, numbers / top, 8 if top == 255 else 16)
    for kind, channels in ((b"Pf", 1), (b"PF", 3)):
        for order, scale in (("<", b"-1.0"), (">", b"1.0")):
            numbers = gradient(channels, 1, np.float32)
            head = kind + b"\n%d %d\n%s\n" % (WIDTH, HEIGHT, scale)
            body = numbers[::-1].astype(f"{order}f4").tobytes()
            yield Case(f"pfm {kind!r} {scale!r}", head + body, numbers, 16)
            body = (numbers[::-1] * 255).astype(f"{order}f4").tobytes()
            yield Case(f"pfm {kind!r} {scale!r} 255", head + body, None, refused="to 255")


def noise():
    """Random bytes in the place of metadata: the pixels are always right."""
    dice = random.Random(14)
    values = gradient(3, kind=np.uint8)
    for index in range(240):
        body = bytearray(dice.choice((exif(), XMP, ICC, IPTC, dice.randbytes(300))))
        for _ in range(dice.randrange(1, 40)):
            body[dice.randrange(len(body))] = dice.randrange(256)
        body = bytes(body[: dice.randrange(1, len(body) + 1)])
        kind = dice.choice((b"zTXt", b"iTXt", b"tEXt", b"eXIf", b"iCCP", b"gAMA", b"cHRM", b"pHYs"))
        marker = dice.choice((0xE1, 0xE2, 0xED, 0xE0, 0xFE, 0xEB))
        start = dice.choice((b"", b"Exif\0\0", b"ICC_PROFILE\0\1\1", b"Photoshop 3.0\0", b"JFIF\0"))
        four = dice.choice((b"EXIF", b"XMP ", b"ICCP"))
        data = (
            png(values, 8, more=chunk(kind, body)),
            jpeg(values, segment(marker, start + body)),
            webp(values, 0x2C, riff(four, body)),
            tiffs.write(values, photometric=2, more=[
                (dice.choice((270, 282, 296, 305, 700, 34377, 34675, 34665, 34853)),
                 dice.randrange(14), dice.choice((1, 4, len(body))), body)]),
        )[index % 4]  # fmt: skip
        yield Case(f"noise {index}", data, values / 255, error=3 / 255, about={"anything": True})


def broken():
    """Whole files at random: a result or a refusal, and nothing else."""
    dice = random.Random(15)
    sources = [*layouts(), *jpegs(), *webps(), *others()]
    for index in range(400):
        data = bytearray(dice.choice(sources).data)
        for _ in range(dice.randrange(1, 6)):
            at = dice.randrange(len(data))
            data[at : at + dice.randrange(4)] = dice.randbytes(dice.randrange(4))
        yield Case(f"broken {index}", bytes(data[: dice.randrange(1, 2 * len(data))]), None)


KINDS = (pngs, jpegs, webps, tiff_cases, others, noise, broken)


@cache
def cases():
    """Return all cases in an order that mixes them."""
    found = [case for kind in KINDS for case in kind()]
    random.Random(12).shuffle(found)
    return found


class Repeats:
    """Stands in for the service: every pixel becomes four."""

    def run(self, operation, images, monitor, *, size=None):
        enlarged = images.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
        made = enlarged.shape[2], enlarged.shape[1]
        assert size is None
        assert operation.target(images.shape[2], images.shape[1]) == made
        return Result(enlarged, {"size": made}, "repeated")


def attempt(case, format, folder):
    """Put a case through the command's steps; return what came of it, or raise."""
    source, target = folder / "in.bin", folder / f"out.{TARGETS[format]}"
    source.write_bytes(case.data)
    job = batch.FileJob(source, target)
    try:
        output = batch.OutputOptions(overwrite=True)
        done = batch.run_job(job, TWICE, output, Repeats(), Monitor())
    except InvalidInputError as error:
        said = str(error)
        if case.refused:
            assert case.refused in said, said
            return "refused"
        if case.pixels is None:
            return "broken"
        clear = case.pixels.shape[2] in (2, 4) and case.pixels[..., -1].min() < 1
        assert format == "jpeg" and clear and "transparency" in said, said
        return "alpha"
    assert not case.refused, "it was taken"
    if case.pixels is None:
        return "read"
    check(case, format, target.read_bytes(), "; ".join(done.left_out))
    return "right"


def check(case, format, data, left_out):
    """Compare a result with what is known."""
    found = codecs.decode(data)
    truth = case.pixels
    if "gAMA" in case.about and format != "png":
        colours = truth[..., : truth.shape[2] - 1 + truth.shape[2] % 2]
        curved = np.where(
            colours <= 0.0031308, 12.92 * colours, 1.055 * colours ** (1 / 2.4) - 0.055
        )
        truth = np.concatenate([curved, truth[..., colours.shape[2] :]], axis=2)
        assert "gamma" in left_out
    truth = truth.repeat(2, axis=0).repeat(2, axis=1)
    pixels = found.pixels.numpy()
    channels = pixels.shape[2]
    if channels in (1, 3) and truth.shape[2] in (2, 4):
        assert truth[..., -1].min() == 1, "alpha is gone"
        truth = truth[..., :-1]
    if channels > 2 and truth.shape[2] < 3:
        truth = np.concatenate([truth[..., :1]] * 3 + [truth[..., 1:]], axis=2)
    assert pixels.shape == truth.shape, (pixels.shape, truth.shape)
    seen = np.ones_like(truth[..., :1])
    if channels in (2, 4):
        seen = np.where(truth[..., -1:] > 0, 1, 0)  # nobody sees the colour of nothing
    error = np.abs((pixels - truth) * seen).mean()
    lossy = {"jpeg": 4 / 255, "webp": 6 / 255}.get(format, 0)  # WebP has a quarter of the colours
    assert error <= case.error + lossy, f"mean error {error * 255:.1f} of 255"
    if case.bits == 16:
        assert (found.bits == 16) if format in codecs.DEEP_FORMATS else "bits" in left_out
    if format in codecs.DEEP_FORMATS and case.bits == 16 and case.error < 1 / 255:
        assert error < 2e-3 / 2, f"low bytes are gone: {error * 65535:.0f} of 65535"
    if case.name.startswith("pfm") or " x 32 f" in case.name or " x 64 f" in case.name:
        assert "beyond 16" in left_out
    if case.damaged:
        assert case.damaged in left_out, left_out or "nothing was said"
    if not case.damaged and not case.about and case.bits == 8:
        assert not left_out, left_out
    if format == "tiff" and channels == 2 and case.bits == 16:
        return  # which Pillow does not know
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        for name in case.about:
            arrived(name, case.about[name], image, data, format, left_out)


def arrived(name, value, image, data, format, left_out):
    """Check by Pillow, or by the bytes, that what describes a picture is there or told."""
    tags = image.getexif()
    assert tags.get(0x0112, 1) == 1
    if name == "exif":
        assert tags[0x010F].rstrip("\0") == "Maker"
        assert b"THUMBNAIL" not in data
        below = tags.get_ifd(0x8769)
        assert (below[0xA002], below[0xA003]) == image.size
    elif name == "text":
        if format == "png":
            assert list(image.text) == ["workflow", "Title", "parameters"]
            assert list(image.text.values()) == ["{}", "日", "a cat"]
            assert image.text["Title"].lang == "ja"
        else:
            assert "workflow, Title" in left_out
        if format in ("jpeg", "webp"):
            comment = tags.get_ifd(0x8769)[0x9286]
            assert comment == b"UNICODE\0" + "a cat".encode("utf-16-be")
    elif name == "large text":
        assert format != "png" or image.text["parameters"] == "a" * 1_600_000
        assert "parameters" in left_out
    elif name == "icc":
        gray = format == "webp" and image.mode == "L"
        assert gray or image.info["icc_profile"] == ICC
    elif name == "dpi":
        wanted = (300, 300) if value is True else value
        told = image.info["dpi"] if format != "webp" else (tags[0x011A], tags[0x011B])
        assert all(abs(a - b) < 0.01 * b for a, b in zip(told, wanted, strict=True)), told
    elif name == "xmp":
        assert XMP.replace(b"'23'", b"'46'").replace(b">18<", b">36<") in data
    elif name == "iptc":
        assert IPTC in data if format in ("jpeg", "tiff") else "IPTC" in left_out
    elif name == "comment":
        assert b"hello there" in data if format in ("png", "jpeg") else "comment" in left_out
    elif name in ("cICP", "cHRM"):
        assert name.encode() in data if format == "png" else "colour space" in left_out


def run(share=1):
    """Try every `share`th case; return how many, and what came of them."""
    counts = Counter()
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for index, case in enumerate(cases()):
            format = list(TARGETS)[index % len(TARGETS)]
            if index % share:
                continue
            try:
                counts[attempt(case, format, Path(folder))] += 1
            except Exception as error:
                raise AssertionError(f"{case.name} to {format}: {error}") from error
    return counts


if __name__ == "__main__":
    start = time.perf_counter()
    counts = run()
    seconds = time.perf_counter() - start
    sys.stdout.write(f"{sum(counts.values())} files: {dict(counts)} in {seconds:.0f} s\n")
