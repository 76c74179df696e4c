"""The pictures that the stand-in reads, enlarges and, where a test wants it, spoils."""

import base64
import binascii
import io
import struct
import zlib

from PIL import Image, ImageOps

MIME = {
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "mp4": "video/mp4",
}


def encode(image, kind):
    """Return the file's bytes; WebP without loss, JPEG with little."""
    options = {"jpeg": {"quality": 95}, "webp": {"lossless": True}}.get(kind, {})
    if kind == "jpeg":
        image = image.convert("RGB")
    file = io.BytesIO()
    image.save(file, kind.upper(), **options)
    return file.getvalue()


def stranger(size=(64, 48)):
    """Return the picture that stands for every address that is not the stand-in's own."""
    return encode(Image.linear_gradient("L").resize(size).convert("RGB"), "png")


def size_of(data):
    """Return width and height, or raise `ValueError` if it is no picture."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return image.size
    except OSError as error:
        raise ValueError("not a picture") from error


def from_base64(text):
    """Return the bytes of bare base64 or of a data URI, or raise `ValueError`."""
    if text.startswith("data:"):
        head, comma, text = text.partition(",")
        if not comma or not head.endswith(";base64"):
            raise ValueError("not a base64 data URI")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def enlarge(data, size, kind, crop=False):
    """Return the picture at `size` as a file of `kind`; `crop` keeps its aspect and cuts."""
    with Image.open(io.BytesIO(data)) as image:
        if image.mode not in ("L", "LA", "RGB", "RGBA"):
            image = image.convert("RGBA" if "transparency" in image.info else "RGB")
        resize = ImageOps.fit if crop else Image.Image.resize
        return encode(resize(image, size, Image.Resampling.BICUBIC), kind)


def bomb(size=(30000, 30000)):
    """Return a small PNG whose header promises `size`."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(100_000))),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def animation(size=(64, 48)):
    """Return a GIF of two frames."""
    first, second = Image.new("RGB", size, "red"), Image.new("RGB", size, "blue")
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=[second], duration=100)
    return file.getvalue()
