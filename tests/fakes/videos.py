"""The smallest files that heads call videos, and what the stand-in makes of them."""

import hashlib
import struct


def box(kind, *content, wide=False):
    """Return a box of MP4."""
    body = b"".join(content)
    if wide:
        return struct.pack(">I4sQ", 1, kind, len(body) + 16) + body
    return struct.pack(">I4s", len(body) + 8, kind) + body


def track(width, height, handler=b"vide", turned=False, version=0):
    times = bytes(32 if version else 20)
    a, b, c, d = (0, 1 << 16, -1 << 16, 0) if turned else (1 << 16, 0, 0, 1 << 16)
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    head = struct.pack(">B3x", version) + times + bytes(16) + matrix
    size = struct.pack(">II", width << 16, height << 16)
    kind = box(b"hdlr", bytes(8), handler, bytes(13))
    return box(b"trak", box(b"tkhd", head, size), box(b"mdia", box(b"mdhd", bytes(24)), kind))


def movie(*tracks, scale=1000, ticks=2500, version=0):
    if version:
        content = struct.pack(">B3x16xIQ", 1, scale, ticks)
    else:
        content = struct.pack(">B3x8xII", 0, scale, ticks)
    return box(b"moov", box(b"mvhd", content, bytes(80)), *tracks)


def mp4(*parts, brand=b"isom"):
    return box(b"ftyp", brand, bytes(4), b"isom") + b"".join(parts)


FRAMES = box(b"mdat", bytes(100))
SOUND = track(0, 0, handler=b"soun")
WHOLE = mp4(FRAMES, movie(SOUND, track(64, 48)))


def element(id, content, size=None):
    """Return an element of Matroska; its size takes eight bytes."""
    kind = id.to_bytes((id.bit_length() + 7) // 8, "big")
    length = len(content) if size is None else size
    return kind + (length | 1 << 56).to_bytes(8, "big") + content


def matroska(kind=b"webm", *, length=1500.0, scale=None, video=True, size=None, after=b""):
    info = element(0x2AD7B1, scale.to_bytes(4, "big")) if scale else b""
    info += element(0x4489, struct.pack(">d", length)) if length else b""
    sides = element(0xB0, (64).to_bytes(2, "big")) + element(0xBA, (48).to_bytes(1, "big"))
    tracks = element(0xAE, element(0xE1, b""))
    tracks += element(0xAE, element(0xE0, sides)) if video else b""
    frames = element(0x1F43B675, bytes(50))
    parts = element(0x1549A966, info) + element(0x1654AE6B, tracks) + frames
    head = element(0x1A45DFA3, element(0x4286, b"\1") + element(0x4282, kind))
    return head + element(0x18538067, parts, size) + after


def clip(seed=0, size=4000):
    """Return an MP4 of 64 x 48 px whose frames are so many bytes of nothing much."""
    frames = hashlib.sha256(str(seed).encode()).digest() * (size // 32)
    return mp4(box(b"mdat", frames), movie(track(64, 48)))


def enlarged(data):
    """Return what the stand-in makes of a video: one that plays the same, and is another file."""
    return data + box(b"free", hashlib.sha256(data).digest())
