"""What describes a picture beside its pixels: read from any format, fitted into another.

Damaged parts are left out and named; nothing here can cost the picture.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.parsers import expat

from . import exif as exifs
from .containers import Part
from .directories import EXIF_IFD, GPS_IFD, Directory
from .tiff import PIXEL_TAGS

MOST_TEXT = 32 << 20
"""Bytes of all texts of a PNG, inflated; what is beyond is left out. Pillow reads 64 MB."""

_MOST_INFLATED = 1 << 20  # Pillow refuses a whole file for a larger compressed text
_MOST_PROFILE = 16 << 20
EXIF, XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
MORE_XMP, PHOTOSHOP = b"http://ns.adobe.com/xmp/extension/\0", b"Photoshop 3.0\0"
ICC, XMP_TEXT = b"ICC_PROFILE\0", b"XML:com.adobe.xmp\0"
# How large a chunk of this kind is, which stands once in a PNG and says what its numbers mean
_PNG_COLOURS = {"cICP": 4, "gAMA": 4, "cHRM": 32, "sRGB": 1, "mDCV": 24, "cLLI": 8}
_RESOURCES = (b"8BIM", b"MeSa", b"PHUT", b"AgHg", b"DCSR")
# Taken elsewhere, or of no meaning for one upright page
_TIFF_TAGS = {274, 297, 330, 700, 33723, 34377, 34665, 34675, 34853, 40965}
# Of no meaning for other pixels, or drawn anew by whoever needs it
_PNG_DROPPED = {"bKGD", "hIST", "sBIT", "tIME", "acTL", "fcTL", "fdAT", "sPLT", "iDOT", "vpAg"}


@dataclass
class Metadata:
    """What a copy of a picture should keep."""

    icc: bytes | None = field(default=None, repr=False)
    """The colour profile that the pixels are in."""
    exif: bytes | None = field(default=None, repr=False)
    """EXIF data from its TIFF header on, without orientation and thumbnail."""
    xmp: bytes | None = field(default=None, repr=False)
    photoshop: bytes | None = field(default=None, repr=False)
    """Photoshop's image resources, IPTC data among them."""
    density: tuple[float, float, bool] | None = None
    """Pixels per inch, across and down; False where only their ratio is known."""
    colours: dict[str, bytes] = field(default_factory=dict)
    """PNG's chunks about colours, without the profile."""
    texts: list[Part] = field(default_factory=list, repr=False)
    """PNG's chunks of text, in their order."""
    comment: bytes = b""
    left_out: list[str] = field(default_factory=list)
    """What could not be kept, in words."""

    @property
    def gamma(self) -> float | None:
        """The exponent of pixels that are in no other colour space, unless it is sRGB's."""
        if self.icc or "gAMA" not in self.colours or {"sRGB", "cICP"} & set(self.colours):
            return None
        gamma = struct.unpack(">I", self.colours["gAMA"])[0] / 100_000
        return None if 0.44 < gamma < 0.47 else float(gamma)


def of_png(parts: Sequence[Part]) -> Metadata:
    """Return what the chunks of a PNG (3rd edition) say."""
    found, room, exif = Metadata(), MOST_TEXT, None
    for kind, data, sound in parts:
        name = f"its {kind} chunk"
        if kind in _PNG_DROPPED:
            continue
        if not sound or kind == "tRNS":  # a sound one went with the pixels
            found.left_out.append(f"{name} (damaged)")
        elif kind in ("tEXt", "zTXt", "iTXt"):
            text, size, problem = _text(kind, data, room)
            room -= size
            if kind == "iTXt" and data.startswith(XMP_TEXT) and text is not None:
                found.xmp = text.data.split(b"\0", 5)[-1]
            elif text is not None:
                found.texts.append(text)
            if problem:
                found.left_out.append(problem)
        elif kind == "eXIf":
            exif = data
        elif kind == "iCCP":
            found.icc, problem = _profile_of_png(data)
            found.left_out += [problem] * bool(problem)
        elif kind == "pHYs":
            found.density = _png_density(data)
            found.left_out += [f"{name} (damaged)"] * (found.density is None)
        elif kind in _PNG_COLOURS and kind not in found.colours and _is_sound(kind, data):
            found.colours[kind] = data
        elif kind in _PNG_COLOURS:
            found.left_out.append(f"{name} (damaged)")
        elif kind.isalpha() and kind[3:].islower() and kind[:1].islower():
            found.texts.append(Part(kind, data))  # safe to copy, as its name says
        else:
            found.left_out.append(name)
    _take_exif(found, exif)
    return found


def of_jpeg(parts: Sequence[Part]) -> Metadata:
    """Return what the segments of a JPEG say."""
    found, exif, profile = Metadata(), None, {}
    for kind, data, _ in parts:
        if kind == "APP0" and data.startswith(b"JFIF\0"):
            found.density = _jfif_density(data)
        elif kind == "APP1" and data.startswith(b"Exif\0"):
            exif = exif or data[6:]
        elif kind == "APP1" and data.startswith(XMP):
            found.xmp = data[len(XMP) :]
        elif kind == "APP1" and data.startswith(MORE_XMP):
            found.left_out.append("the further part of its XMP")
        elif kind == "APP2" and data.startswith(ICC) and len(data) > 14:
            profile[data[12]] = data[14:]
        elif kind == "APP13" and data.startswith(PHOTOSHOP):
            found.photoshop = (found.photoshop or b"") + data[len(PHOTOSHOP) :]
        elif kind == "COM":
            found.comment = found.comment or data.rstrip(b"\0")
        elif not (kind == "APP0" or (kind == "APP2" and data.startswith((b"MPF\0", b"FPXR\0")))):
            found.left_out.append(f"its {kind} segment")
    if profile:
        _take_profile(found, b"".join(profile[index] for index in sorted(profile)))
    _take_photoshop(found)
    _take_exif(found, exif)
    return found


def of_webp(parts: Sequence[Part]) -> Metadata:
    """Return what the chunks of a WebP (RFC 9649) say."""
    found, exif = Metadata(), None
    for kind, data, sound in parts:
        if not sound:
            found.left_out.append(f"its {kind.strip()} chunk (damaged)")
        elif kind == "EXIF":
            exif = data
        elif kind == "XMP ":
            found.xmp = data
        elif kind == "ICCP":
            _take_profile(found, data)
        elif kind.isprintable():
            found.left_out.append(f"its {kind.strip()} chunk")
    _take_exif(found, exif)
    return found


def of_tiff(data: bytes) -> Metadata:
    """Return what the tags of a TIFF say."""
    found, ifd = Metadata(), Directory(data)
    damaged: list[object] = []
    for tag, name in ((34675, "icc"), (700, "xmp"), (34377, "photoshop")):
        if tag not in ifd.tags:
            continue
        value = ifd.value(tag)
        if value is None or value[0] not in (1, 7):
            damaged.append(tag)
        elif name == "icc":
            _take_profile(found, value[2])
        else:
            setattr(found, name, value[2])
    iptc = ifd.value(33723)
    if found.photoshop is None and iptc and iptc[0] in (1, 4, 7):
        found.photoshop = _resource(0x0404, iptc[2])
    _take_photoshop(found)
    _take_xmp(found)
    found.density = exifs.read_density(ifd)
    bad = [tag for tag in ifd.tags if tag in exifs.DESCRIPTIVE and ifd.value(tag) is None]
    others = [tag for tag in ifd.tags if tag not in {*PIXEL_TAGS, *exifs.DESCRIPTIVE, *_TIFF_TAGS}]
    try:
        ifd.check()
    except ValueError:
        found.left_out.append("all of its tags but those of the pixels (damaged)")
        return found
    tags = exifs.read_tags(data, ifd, descriptive=True)
    damaged += [tag for tag in (EXIF_IFD, GPS_IFD) if tag in ifd.tags and tag not in tags]
    if tags[0].get(270, (2, 0, b""))[2].startswith(b'{"shape":'):  # tifffile's, of other pixels
        del tags[0][270]
    if any(tags.values()):
        found.exif, problem = exifs.cleaned(exifs.write_tags(tags, ifd.order))
        found.left_out += [problem] * bool(problem)
    if damaged or bad:
        found.left_out.append(f"damaged tags ({listed([*damaged, *bad])})")
    if others:
        found.left_out.append(f"its tags {listed(others)}")
    return found


def listed(things: Sequence[object], most: int = 8) -> str:
    """Return the first few, separated by commas."""
    return ", ".join(map(str, things[:most])) + (", ..." if len(things) > most else "")


def of_info(info: dict[str, object], exif: bytes | None = None) -> Metadata:
    """Return what Pillow found in a file of another format (AVIF, BMP, GIF)."""
    found = Metadata()
    dpi, comment = info.get("dpi"), info.get("comment")
    if isinstance(dpi, tuple) and len(dpi) == 2 and min(dpi) > 0:
        found.density = float(dpi[0]), float(dpi[1]), True
    if isinstance(comment, bytes):
        found.comment = comment.rstrip(b"\0")
    icc, xmp = info.get("icc_profile"), info.get("xmp")
    if isinstance(icc, bytes) and icc:
        _take_profile(found, icc)
    if isinstance(xmp, bytes) and xmp:
        found.xmp = xmp
    _take_exif(found, exif)
    return found


def _take_exif(found: Metadata, exif: bytes | None) -> None:
    """Keep what of EXIF and XMP is sound, and EXIF's density when nothing else tells one."""
    if exif is not None:
        found.exif, problem = exifs.cleaned(exif)
        found.left_out += [problem] * bool(problem)
    if found.exif and found.density is None:
        found.density = exifs.read_density(Directory(found.exif))
    _take_xmp(found)


def _take_xmp(found: Metadata) -> None:
    if found.xmp is not None and not _is_xmp(found.xmp):
        found.xmp = None
        found.left_out.append("damaged XMP")


def _is_xmp(data: bytes) -> bool:
    """Tell whether it is XML that nothing strange happens in."""
    if b"<!" in data or b"rdf:RDF" not in data:
        return False
    try:
        expat.ParserCreate().Parse(data.strip(b"\0 \r\n\t"), True)
    except (expat.ExpatError, ValueError):
        return False
    return True


def _take_profile(found: Metadata, icc: bytes) -> None:
    """Keep a colour profile (ICC.1:2022) whose header is one."""
    size = struct.unpack_from(">I", icc)[0] if len(icc) >= 132 else 0
    if 132 <= size <= len(icc) <= _MOST_PROFILE and icc[36:40] == b"acsp":
        found.icc = icc
    else:
        found.left_out.append("damaged colour profile")


def _take_photoshop(found: Metadata) -> None:
    """Keep Photoshop's resources but thumbnails (1033, 1036), if they can be read."""
    if found.photoshop is None:
        return
    data, at, kept = found.photoshop, 0, b""
    while at + 12 <= len(data):
        name = data[at + 6] + 1
        start = at + 6 + name + name % 2 + 4
        if data[at : at + 4] not in _RESOURCES or start > len(data):
            break
        size = struct.unpack_from(">I", data, start - 4)[0]
        if start + size > len(data):
            break
        end = start + size + size % 2
        if struct.unpack_from(">H", data, at + 4)[0] not in (1033, 1036):
            kept += data[at:end].ljust(end - at, b"\0")
        at = end
    if data[at:].strip(b"\0"):
        found.left_out.append("damaged IPTC or Photoshop data")
    found.photoshop = kept or None


def _resource(number: int, data: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + bytes(len(data) % 2)


def _png_density(data: bytes) -> tuple[float, float, bool] | None:
    if len(data) != 9 or data[8] > 1:
        return None
    across, down = struct.unpack(">II", data[:8])
    scale = 0.0254 if data[8] else 1.0
    return (across * scale, down * scale, bool(data[8])) if across and down else None


def _jfif_density(data: bytes) -> tuple[float, float, bool] | None:
    if len(data) < 12:
        return None
    unit, across, down = struct.unpack_from(">BHH", data, 7)
    if unit > 2 or not across or not down or (unit == 0 and across == down):
        return None
    scale = 2.54 if unit == 2 else 1.0
    return across * scale, down * scale, unit > 0


def _is_sound(kind: str, data: bytes) -> bool:
    if len(data) != _PNG_COLOURS[kind]:
        return False
    if kind == "gAMA":
        return 1000 <= int.from_bytes(data, "big") <= 10_000_000
    if kind == "cHRM":
        return all(0 < value <= 200_000 for value in struct.unpack(">8I", data)[1::2])
    return kind != "sRGB" or int(data[0]) < 4


def _text(kind: str, data: bytes, room: int) -> tuple[Part | None, int, str]:
    """Return a chunk of text that any reader takes, its size, and what is wrong with it.

    A compressed text that Pillow would refuse with the whole file is stored as it is.
    """
    keyword, found, rest = data.partition(b"\0")
    shown = keyword.decode("latin-1", "replace")[:79]
    name = f"its text {shown!r}" if shown else f"its {kind} chunk"
    damaged = None, 0, f"{name} (damaged)"
    if not found or not 1 <= len(keyword) <= 79:
        return damaged
    plain, packed = kind, kind == "zTXt"
    head, body = b"", rest
    if kind == "zTXt":
        plain, head, body = "tEXt", b"", rest[1:]
        if rest[:1] != b"\0":
            return damaged
    elif kind == "iTXt":
        parts = rest[2:].split(b"\0", 2)
        if len(parts) < 3 or rest[:1] not in (b"\0", b"\1"):
            return damaged
        packed, body = rest[:1] == b"\1", parts[2]
        head = b"\0\0" + parts[0] + b"\0" + parts[1] + b"\0"
    text = _inflated(body, room) if packed else body
    if text is None:
        return damaged
    if len(text) > room:
        return None, 0, f"{name} (more than {MOST_TEXT >> 20} MB of texts)"
    if kind == "iTXt":
        try:
            text.decode("utf-8")
        except UnicodeDecodeError:
            return damaged
    if packed and len(text) > _MOST_INFLATED:
        part = Part(plain, keyword + b"\0" + head + text)
        return part, len(text), f"the compression of {name} (others could not open the file)"
    if kind == "iTXt" and keyword == XMP_TEXT[:-1]:
        return Part(kind, keyword + b"\0" + head + text), len(text), ""
    return Part(kind, data), len(text), ""


def _inflated(data: bytes, room: int) -> bytes | None:
    """Return what was compressed, a byte more than `room` at most; None for damage."""
    unpacker = zlib.decompressobj()
    try:
        found = unpacker.decompress(data, room + 1)
    except zlib.error:
        return None
    return found if unpacker.eof or len(found) > room else None


def _profile_of_png(data: bytes) -> tuple[bytes | None, str]:
    name, found, rest = data.partition(b"\0")
    icc = _inflated(rest[1:], _MOST_PROFILE) if found and len(name) < 80 else None
    if icc is None:
        return None, "damaged colour profile"
    taken = Metadata()
    _take_profile(taken, icc)
    return taken.icc, "".join(taken.left_out)
