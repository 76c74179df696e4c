"""What describes a picture, brought into the form that a format has for it."""

from __future__ import annotations

import re
import struct
import zlib

from . import exif as exifs
from .containers import Part
from .directories import EXIF_IFD, Directory, TagValue
from .metadata import EXIF, ICC, PHOTOSHOP, XMP, XMP_TEXT, Metadata, listed

_MOST_SEGMENT = 65_533  # bytes of a JPEG's segment, without its length
_SRGB_PRIMARIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)  # of cHRM
_SRGB_CICP = (b"\1\x0d\0\1", b"\1\1\0\1", b"\1\x06\0\1")
_XMP_SIZES = {
    0: rb"tiff:ImageWidth|exif:PixelXDimension",
    1: rb"tiff:ImageLength|exif:PixelYDimension",
    2: rb"tiff:Orientation",
}
_TITLE = {"png": "PNG", "jpeg": "JPEG", "webp": "WebP", "tiff": "TIFF"}


def fit(
    about: Metadata, format: str, size: tuple[int, int]
) -> tuple[list[Part] | exifs.Tags, str, list[str]]:
    """Return what a file of `format` gets, in which byte order, and what it cannot hold.

    `size` is the result's width and height, which metadata are corrected to. TIFF gets tags, all
    other formats parts.
    """
    lost: list[str] = []
    xmp = _resized_xmp(about.xmp, *size) if about.xmp else None
    exif = exifs.resized(about.exif, *size) if about.exif else None
    exif = _with_more(about, exif, format)
    icc = about.icc
    if icc and format == "webp" and icc[16:20] == b"GRAY":
        icc = None
        lost.append("its colour profile for gray")
    if format == "tiff":
        order = "<" if exif and exif[:2] == b"II" else ">" if exif else "<"
        tags = _tiff(about, icc, exif, xmp, order)
        return tags, order, [*lost, *_unfit(about, format)]
    if format == "png":
        parts = _png(about, icc, exif, xmp)
    elif format == "jpeg":
        parts = _jpeg(about, icc, exif, xmp, lost)
    else:
        pairs = (("ICCP", icc), ("EXIF", exif), ("XMP ", xmp))
        parts = [Part(kind, data) for kind, data in pairs if data]
    return parts, "", [*lost, *_unfit(about, format)]


def _with_more(about: Metadata, exif: bytes | None, format: str) -> bytes | None:
    """Add to EXIF what the format has no other place for: the WebUI's parameters, the density."""
    if format == "png":
        return exif
    first: dict[int, TagValue] = {}
    comment = ""
    if format in ("jpeg", "webp"):
        comment = next((text_of(part)[1] for part in about.texts if _is_parameters(part)), "")
    ifd = Directory(exif) if exif else None
    below = ifd.below(EXIF_IFD) if ifd else None
    if below and exifs.USER_COMMENT in below.tags:
        comment = ""
    if format == "webp" and about.density and about.density[2]:
        order = "<" if exif and exif[:2] == b"II" else ">"
        if ifd is None or exifs.X_RESOLUTION not in ifd.tags:
            first = exifs.density_tags(*about.density[:2], order)
    return exifs.with_tags(exif, first, comment) if first or comment else exif


def _is_parameters(part: Part) -> bool:
    return part.data.startswith(b"parameters\0") and part.kind in ("tEXt", "zTXt", "iTXt")


def text_of(part: Part) -> tuple[str, str]:
    """Return keyword and text of a sound chunk of text."""
    keyword, _, rest = part.data.partition(b"\0")
    if part.kind == "iTXt":
        body = rest[2:].split(b"\0", 2)[2]
        text = (zlib.decompress(body) if rest[:1] == b"\1" else body).decode("utf-8")
    else:
        text = (zlib.decompress(rest[1:]) if part.kind == "zTXt" else rest).decode("latin-1")
    return keyword.decode("latin-1"), text


def _png(about: Metadata, icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> list[Part]:
    colours = dict(about.colours)
    parts = [Part("cICP", colours.pop("cICP"))] if "cICP" in colours else []
    if icc:
        colours.pop("sRGB", None)  # one of both only
        parts.append(Part("iCCP", b"ICC Profile\0\0" + zlib.compress(icc)))
    parts += [Part(kind, data) for kind, data in colours.items()]
    if about.density:
        across, down, inches = about.density
        scale = 0.0254 if inches else 1.0
        sides = (min(max(round(side / scale), 1), 2**31 - 1) for side in (across, down))
        parts.append(Part("pHYs", struct.pack(">IIB", *sides, inches)))
    if exif:
        parts.append(Part("eXIf", exif))
    if xmp:
        parts.append(Part("iTXt", XMP_TEXT + b"\0\0\0\0" + xmp))
    if about.comment and not any(part.data.startswith(b"Comment\0") for part in about.texts):
        text = about.comment.decode("utf-8", "replace").encode("utf-8")
        parts.append(Part("iTXt", b"Comment\0\0\0\0\0" + text))
    return [*parts, *about.texts]


def _jpeg(
    about: Metadata, icc: bytes | None, exif: bytes | None, xmp: bytes | None, lost: list[str]
) -> list[Part]:
    parts = []
    if about.density:
        across, down, inches = about.density
        if not inches:  # a ratio of whole numbers up to 65535
            scale = 100 / min(across, down)
            across, down = across * scale, down * scale
        sides = (min(max(round(side), 1), 65535) for side in (across, down))
        parts.append(Part("APP0", b"JFIF\0\1\1" + struct.pack(">BHH", inches, *sides) + b"\0\0"))
    for name, mark, data in (("EXIF", EXIF, exif), ("XMP", XMP, xmp)):
        if data and len(mark) + len(data) > _MOST_SEGMENT:
            lost.append(f"its {name} of {len(data) / 1000:.0f} kB, where a JPEG holds 65")
        elif data:
            parts.append(Part("APP1", mark + data))
    photoshop = about.photoshop or b""
    step = _MOST_SEGMENT - len(PHOTOSHOP)
    for start in range(0, len(photoshop), step):
        parts.append(Part("APP13", PHOTOSHOP + photoshop[start : start + step]))
    if icc:
        step = _MOST_SEGMENT - 14
        pieces = [icc[start : start + step] for start in range(0, len(icc), step)]
        if len(pieces) > 255:
            lost.append("its colour profile, which is too large")
            pieces = []
        for index, piece in enumerate(pieces):
            parts.append(Part("APP2", ICC + bytes([index + 1, len(pieces)]) + piece))
    named = (part for part in about.texts if part.data.startswith(b"Comment\0"))
    comment = about.comment or next((text_of(part)[1].encode() for part in named), b"")
    if comment:
        parts.append(Part("COM", comment[:_MOST_SEGMENT]))
    return parts


def _tiff(
    about: Metadata, icc: bytes | None, exif: bytes | None, xmp: bytes | None, order: str
) -> exifs.Tags:
    tags = exifs.read_tags(exif, Directory(exif)) if exif else {0: {}}
    first = {tag: value for tag, value in tags[0].items() if tag in exifs.DESCRIPTIVE}
    if about.density:
        across, down, inches = about.density
        first |= exifs.density_tags(across, down, order)
        if not inches:
            first[exifs.RESOLUTION_UNIT] = (3, 1, struct.pack(order + "H", 1))
    for tag, data in ((34675, icc), (700, xmp), (34377, about.photoshop)):
        if data:
            first[tag] = (7 if tag == 34675 else 1, len(data), data)
    return {**tags, 0: first}


def _unfit(about: Metadata, format: str) -> list[str]:
    """Return what a format has no place for, in words."""
    title, lost = _TITLE[format], []
    if format != "png":
        taken = {"jpeg": ("parameters", "Comment"), "webp": ("parameters",)}.get(format, ())
        names = [part.data.partition(b"\0")[0].decode("latin-1") for part in about.texts]
        names = [name for name in dict.fromkeys(names) if name not in taken]
        if names:
            lost.append(f"its texts {listed(names)}")
        if about.comment and format != "jpeg":
            lost.append("its comment")
        if not about.icc and _is_wide(about.colours):
            lost.append("its colour space, so that colours will look different")
    if about.photoshop and format in ("png", "webp"):
        lost.append("its IPTC and Photoshop data")
    return [f"{what} ({title} has no place for it)" for what in lost]


def _is_wide(colours: dict[str, bytes]) -> bool:
    """Tell whether PNG's chunks name a colour space other than sRGB, up to the gamma."""
    if "cICP" in colours:
        return colours["cICP"] not in _SRGB_CICP
    if "sRGB" in colours or "cHRM" not in colours:
        return False
    found = struct.unpack(">8I", colours["cHRM"])
    return any(abs(a - b) > 500 for a, b in zip(found, _SRGB_PRIMARIES, strict=True))


def _resized_xmp(xmp: bytes, width: int, height: int) -> bytes:
    """Return XMP with the size of the picture corrected, and upright."""
    for index, value in enumerate((width, height, 1)):
        names = _XMP_SIZES[index]
        number = str(value).encode()
        pattern = rb"((?:" + names + rb")\s*=\s*[\"']|<(?:" + names + rb")>\s*)\d+"
        xmp = re.sub(pattern, rb"\g<1>" + number, xmp)
    return xmp
