"""PNG files (3rd edition) of 8 and 16 bits, several times as fast as Pillow writes them."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from .containers import png_chunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[Any]
    Way = tuple[int, int, int]

_THREADS = 8  # at most
_BAND = 2**19  # octets that are compressed by themselves, on one thread
_BLOCK = 2**16  # octets that are filtered at once: they stay in the caches
_SAMPLE = 32  # one row of so many tells how a band is best written
_MEMORY = 9  # zlib's largest: a Huffman table for 32,768 octets
_REPEATS = 16  # times that a band shrinks before repeats further apart are worth looking for
_ADLER = 65521  # the modulus of zlib's checksum (RFC 1950, 9)
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_UP, _AVERAGE, _PAETH = 2, 3, 4
_WAYS = {  # filter, level and strategy of zlib; what the size of a sample is multiplied by
    (_PAETH, 1, zlib.Z_RLE): 1.0,
    (_PAETH, 1, zlib.Z_HUFFMAN_ONLY): 1.0,  # noise
    (_UP, 1, zlib.Z_RLE): 1.05,  # plain surfaces; more runs in a sample than in its band
    (_AVERAGE, 1, zlib.Z_FILTERED): 1.0,  # textures with hardly any colour
}
_SLOW = (_PAETH, 6, zlib.Z_DEFAULT_STRATEGY)


def write(array: NDArray[Any]) -> bytes:
    """Return a PNG of uint8 or uint16 [height, width, 1 to 4 channels], 8 or 16 bits per channel.

    Enlarged pictures hardly repeat themselves but in runs, and rows want the filter of their
    neighbours. Trying all filters on each and looking for all repeats takes most of Pillow's time.
    The same array gives the same octets on any number of threads.
    """
    import numpy as np

    height, width, channels = array.shape
    bits = 8 * array.dtype.itemsize
    octets = array.astype(array.dtype.newbyteorder(">"), copy=False).view(np.uint8)
    rows = octets.reshape(height, -1)
    step = max(1, _BAND // rows.shape[1])

    def band(top: int) -> tuple[bytes, int, int]:
        here = rows[top : top + step]
        before = rows[top - 1 : top] if top else np.zeros_like(rows[:1])
        above = np.concatenate([before, here[:-1]])
        return _band(here, above, channels * array.dtype.itemsize)

    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        pixels = _join(pool.map(band, range(0, height, step)))
    head = struct.pack(">IIBBBBB", width, height, bits, _COLOUR_TYPES[channels], 0, 0, 0)
    chunks = (png_chunk(b"IHDR", head), png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _join(bands: Iterable[tuple[bytes, int, int]]) -> bytes:
    """Return one zlib stream (RFC 1950) of what was deflated, its checksums and sizes."""
    parts, low, high = [b"\x78\x01"], 1, 0
    for deflated, checksum, size in bands:
        parts.append(deflated)
        high = (high + (checksum >> 16) + size * (low - 1)) % _ADLER
        low = (low + (checksum & 0xFFFF) - 1) % _ADLER
    return b"".join([*parts, b"\x03\x00", struct.pack(">HH", high, low)])  # after an empty block


def _band(here: Rows, above: Rows, reach: int) -> tuple[bytes, int, int]:
    def sample(way: Way) -> float:
        return len(_deflate(here[::_SAMPLE], above[::_SAMPLE], reach, way)[0]) * _WAYS.get(way, 2)

    way = min(_WAYS, key=sample)
    made = _deflate(here, above, reach, way)
    if len(made[0]) * _REPEATS < here.size and sample(_SLOW) < sample(way):
        made = _deflate(here, above, reach, _SLOW)
    return (*made, here.size + len(here))


def _deflate(here: Rows, above: Rows, reach: int, way: Way) -> tuple[bytes, int]:
    kind, level, strategy = way
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, _MEMORY, strategy)
    parts, checksum = [], 1
    for block in _filtered(here, above, reach, kind):
        parts.append(packer.compress(block.data))
        checksum = zlib.adler32(block.data, checksum)
    return b"".join([*parts, packer.flush(zlib.Z_SYNC_FLUSH)]), checksum


def _filtered(here: Rows, above: Rows, reach: int, kind: int) -> Iterator[Rows]:
    """Yield blocks of rows as a filter leaves them (9.2), each row after its type.

    A block lasts until the next one: fresh memory for each would take longer than the filter.
    """
    import numpy as np

    height, width = here.shape
    most = min(height, max(1, _BLOCK // width))
    made = np.full((most, 1 + width), kind, np.uint8)
    rooms = np.zeros((7, most, width), np.uint8)
    for top in range(0, height, most):
        block, up = here[top : top + most], above[top : top + most]
        left, corner, *rest = rooms[:, : len(block)]
        left[:, reach:], corner[:, reach:] = block[:, :-reach], up[:, :-reach]
        guess = up
        if kind == _AVERAGE:  # half of the sum, without its ninth bit
            guess = np.bitwise_xor(left, up, out=rest[0])
            guess >>= 1
            guess += np.bitwise_and(left, up, out=rest[1])
        elif kind == _PAETH:
            guess = _paeth(left, up, corner, rest)
        np.subtract(block, guess, out=made[: len(block), 1:])
        yield made[: len(block)]


def _paeth(left: Rows, up: Rows, corner: Rows, rooms: list[Rows]) -> Rows:
    """Return Paeth's guess (9.4) without a number of more than 8 bits.

    With the corner brought to between left and up: in the third next to the lesser of these it is
    the greater, in the third next to the greater the lesser, in the middle the corner.
    """
    import numpy as np

    low, high, guess, first, last = rooms
    np.minimum(left, up, out=low)
    np.maximum(left, up, out=high)
    np.minimum(np.maximum(corner, low, out=guess), high, out=guess)
    below = np.subtract(guess, low, out=low)
    beyond = np.subtract(high, guess, out=high)
    np.greater_equal(np.right_shift(beyond, 1, out=first), below, out=first.view(np.bool_))
    np.greater_equal(np.right_shift(below, 1, out=last), beyond, out=last.view(np.bool_))
    guess += np.multiply(first, beyond, out=first)
    guess -= np.multiply(last, below, out=last)
    return guess
