"""Writes TIFF files in every layout, by TIFF 6.0 and its technical notes; independent of ours."""

import struct
import zlib

import numpy as np

COMPRESSIONS = {"none": 1, "lzw": 5, "deflate": 8, "old deflate": 32946, "packbits": 32773}


def pack(values, bits, order):
    """Return rows of whole numbers of any width, each row filled up to whole bytes."""
    if bits % 8 == 0:
        return values.astype(values.dtype.newbyteorder(order)).tobytes()
    rows = values.reshape(len(values), -1).astype(np.uint32)
    shifts = np.arange(bits - 1, -1, -1)
    ones = (rows[..., None] >> shifts & 1).astype(np.uint8).reshape(len(rows), -1)
    return np.packbits(ones, axis=1).tobytes()


def predicted(values, predictor, order):
    """Return the bytes of differences [rows, columns, samples]."""
    size = values.dtype.itemsize
    if predictor == 2:
        whole = np.ascontiguousarray(values).view(f"u{size}")
        before = np.zeros_like(whole)
        before[:, 1:] = whole[:, :-1]
        return (whole - before).astype(f"{order}u{size}").tobytes()
    rows, columns, samples = values.shape
    octets = values.astype(f">f{size}").view(np.uint8).reshape(rows, columns * samples, size)
    planes = octets.transpose(0, 2, 1).reshape(rows, -1, samples)
    before = np.zeros_like(planes)
    before[:, 1:] = planes[:, :-1]
    return (planes - before).tobytes()


def compress(data, name):
    """Return valid streams; LZW and PackBits without any gain."""
    if name == "none":
        return data
    if name.endswith("deflate"):
        return zlib.compress(data)
    if name == "packbits":
        pieces = (data[at : at + 128] for at in range(0, len(data), 128))
        return b"".join(bytes([len(piece) - 1]) + piece for piece in pieces)
    codes = []
    for at in range(0, len(data), 250):  # nine bits suffice until the table is cleared
        codes += [256, *data[at : at + 250]]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def write(
    values, *, photometric, bits=None, planar=False, order="<", compression="none", predictor=1,
    tile=None, rows=5, big=False, extra=(), more=(),
):  # fmt: skip
    """Return a TIFF of numbers [height, width, samples]; `more` are (tag, type, count, bytes)."""
    height, width, samples = values.shape
    bits = bits or values.dtype.itemsize * 8
    planes = [values[..., n : n + 1] for n in range(samples)] if planar else [values]
    blocks = []
    for plane in planes:
        step, wide = (tile, tile) if tile else (rows, width)
        for top in range(0, height, step):
            for left in range(0, width, wide):
                block = plane[top : top + step, left : left + wide]
                if tile:
                    over = ((0, tile - block.shape[0]), (0, tile - block.shape[1]), (0, 0))
                    block = np.pad(block, over, mode="edge")
                raw = pack(block, bits, order)
                if predictor != 1:
                    raw = predicted(block, predictor, order)
                blocks.append(compress(raw, compression))
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    head = 16 if big else 8
    starts = np.cumsum([head, *map(len, blocks)])[:-1].tolist()

    def shorts(*numbers):
        return 3, len(numbers), struct.pack(f"{order}{len(numbers)}H", *numbers)

    def longs(*numbers):
        return 4, len(numbers), struct.pack(f"{order}{len(numbers)}I", *numbers)

    tags = {256: longs(width), 257: longs(height), 258: shorts(*[bits] * samples)}
    tags |= {259: shorts(COMPRESSIONS[compression]), 262: shorts(photometric)}
    tags |= {277: shorts(samples), 284: shorts(2 if planar else 1), 317: shorts(predictor)}
    tags |= {339: shorts(*[kind] * samples)} if kind != 1 else {}
    tags |= {338: shorts(*extra)} if extra else {}
    if tile:
        tags |= {322: shorts(tile), 323: shorts(tile), 324: longs(*starts)}
        tags[325] = longs(*map(len, blocks))
    else:
        tags |= {273: longs(*starts), 278: longs(rows), 279: longs(*map(len, blocks))}
    tags |= {tag: value for tag, *value in more}
    data = b"".join(blocks)
    at = head + len(data)
    word, entry, count = (8, "HHQ", "Q") if big else (4, "HHI", "H")
    behind = at + struct.calcsize(order + count) + len(tags) * (20 if big else 12) + word
    entries = body = b""
    for tag, (type_, many, value) in sorted(tags.items()):
        field = value.ljust(word, b"\0")
        if len(value) > word:
            field = struct.pack(order + ("Q" if big else "I"), behind + len(body))
            body += value
        entries += struct.pack(order + entry, tag, type_, many) + field
    directory = struct.pack(order + count, len(tags)) + entries + bytes(word) + body
    mark = b"II" if order == "<" else b"MM"
    start = struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0, at) if big else (42, at)))
    return mark + start + data + directory
