"""Tables of contents of weights files: which numbers lie where, in safetensors and torch's formats.

Nothing is made of what they say here; `reader` checks it first.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zipfile
from dataclasses import dataclass
from typing import IO, Any

from ..errors import UnsupportedModelError
from .pickles import MOST_BYTES as MOST_PICKLE
from .pickles import Sketch, Storage, read_pickle

SAFE = (".safetensors", ".sft")
"""Names of files that hold no pickle."""

MOST_BYTES = 8 << 30
"""Of a file; the largest upscale models have about 2.5 GB."""

MOST_SIDES = 8
"""Dimensions of a tensor."""

SIZES = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint8": 1,
    "bool": 1,
    "untyped": 1,
}
"""Bytes of a number, by torch's name of its format."""

_SAFETENSORS = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "BOOL": "bool",
    "U8": "uint8",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
}

_MOST_VERSION = 40  # characters
_MOST_CONTENTS = 16 << 20  # bytes of a zip archive's table of contents
_MAGIC = 0x1950A86A20F9469CFC6C  # of torch's format before 1.6
_PICKLE = tuple(bytes([0x80, protocol]) for protocol in (2, 3, 4, 5))


class TorchScriptError(ValueError):
    """The file holds a program."""


@dataclass(frozen=True)
class Table:
    """A file's table of contents."""

    tree: Any
    """`Sketch`es in dictionaries."""
    places: dict[str, tuple[int, int]]
    """Where the numbers of a storage lie in the file, and how many bytes they have."""


class WeightsFile:
    """An open file whose bytes are asked for by their place."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self._before = os.fstat(stream.fileno())
        self.size = self._before.st_size
        if self.size > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES >> 30} GB")

    def read(self, at: int, size: int) -> bytes:
        if at < 0 or size < 0 or at + size > self.size:
            raise ValueError("it is cut off")
        self.stream.seek(at)
        data = self.stream.read(size)
        if len(data) < size:
            raise ValueError("it is cut off")
        return data

    def read_into(self, at: int, size: int) -> bytearray:
        """Return bytes that may be changed, and that lie as numbers need it."""
        if at < 0 or size < 0 or at + size > self.size:
            raise ValueError("it is cut off")
        data = bytearray(size)
        view = memoryview(data)
        self.stream.seek(at)
        done = 0
        while done < size:
            step = self.stream.readinto(view[done:])  # type: ignore[attr-defined]
            if not step:
                raise ValueError("it is cut off")
            done += step
        return data

    def refuse_change(self, name: str) -> None:
        """Raise `UnsupportedModelError` if the file was written while it was read."""
        now = os.fstat(self.stream.fileno())
        if (now.st_size, now.st_mtime_ns) != (self._before.st_size, self._before.st_mtime_ns):
            raise UnsupportedModelError(
                f"{name} is being written by another program; run again when it is complete."
            )


def read_table(file: WeightsFile, suffix: str) -> Table:
    """Return what a file says that it holds; its first bytes tell the format, not its name.

    Only a name that promises no pickle is held to it. Raises `ValueError` for damage and for
    what is none of the formats, `TorchScriptError` and `ForbiddenNameError`.
    """
    start = file.read(0, min(file.size, 9))
    if start[:4] == b"PK\3\4":
        return _read_zip(file, suffix)
    if start[8:] == b"{":
        return _read_safetensors(file)
    if start[:2] in _PICKLE and suffix not in SAFE:
        return _read_legacy(file)
    raise ValueError("it does not begin like one" if start else "it is empty")


def read_version(file: WeightsFile) -> str:
    """Return the version in a file's metadata, which safetensors alone has; "" if there is none."""
    if file.read(0, min(file.size, 9))[8:] != b"{":
        return ""
    notes = _safetensors_header(file)[1].get("__metadata__")
    version = notes.get("version") if isinstance(notes, dict) else None
    if not isinstance(version, str) or len(version) > _MOST_VERSION or not version.isprintable():
        return ""
    return version


def _safetensors_header(file: WeightsFile) -> tuple[int, dict[str, Any]]:
    """Return the header's size and itself: a length of 8 bytes, then JSON of that length.

    The format is described in README of huggingface/safetensors.
    """
    size = struct.unpack("<Q", file.read(0, 8))[0]
    if size > MOST_PICKLE:
        raise ValueError("its header is too long")
    header: dict[str, Any] = json.loads(file.read(8, size))
    return size, header


def _read_safetensors(file: WeightsFile) -> Table:
    """Return the table of contents that a safetensors header is."""
    size, header = _safetensors_header(file)
    tree, places, end = {}, {}, 0
    entries = [item for item in header.items() if item[0] != "__metadata__"]
    try:
        entries.sort(key=lambda item: item[1]["data_offsets"][0])
        for name, entry in entries:
            start, stop = entry["data_offsets"]
            kind, shape = _SAFETENSORS[entry["dtype"]], tuple(entry["shape"][: MOST_SIDES + 1])
            if type(start) is not int or type(stop) is not int or not end <= start <= stop:
                raise ValueError("its tensors overlap")
            end = stop
            count = (stop - start) // SIZES[kind]
            places[name] = 8 + size + start, stop - start
            stride = [math.prod(shape[at + 1 :]) for at in range(len(shape))]
            tree[name] = Sketch(Storage(name, kind, count), kind, 0, shape, tuple(stride))
    except (LookupError, TypeError) as error:
        raise ValueError("its header makes no sense") from error
    return Table(tree, places)


def _read_zip(file: WeightsFile, suffix: str) -> Table:
    """Read torch's format since 1.6: entries stored as they are, under one folder.

    An archive that is built in another way is refused: programs differ in how they read it.
    """
    entries = _zip_entries(file)
    if suffix in SAFE:
        raise ValueError("its name says safetensors, but it is a zip archive")
    pickles = [name for name in entries if name.count("/") <= 1 and name.endswith("data.pkl")]
    if len(pickles) != 1:
        raise ValueError("it is a zip archive of something else")
    folder = pickles[0].removesuffix("data.pkl")
    order = entries.get(f"{folder}byteorder")
    if order is not None and file.read(order[0], min(order[1], 9)) != b"little":
        raise ValueError("its numbers are big-endian")
    at, size = entries[pickles[0]]
    if size > MOST_PICKLE:
        raise ValueError("its pickle is too long")
    contents = read_pickle(file.read(at, size))
    places = {key: entries.get(f"{folder}data/{key}", (0, 0)) for key in contents.storages}
    return Table(contents.value, places)


def _zip_entries(file: WeightsFile) -> dict[str, tuple[int, int]]:
    """Return where the bytes of each entry lie, and how many there are."""
    end = file.size - 22
    if end < 0:
        raise ValueError("it is cut off")
    mark, size, at, comment = struct.unpack("<4s8xIIH", file.read(end, 22))
    large = file.read(end - 20, 20) if end >= 20 else b""
    if large[:4] == b"PK\6\7":  # torch writes this 64-bit form in any case
        end = struct.unpack("<8xQ4x", large)[0]
        size, at = struct.unpack("<40xQQ", file.read(end, 56))
        comment += file.size - end - 56 - 20 - 22  # nothing may lie between the three
    if mark != b"PK\5\6" or comment or at + size != end or size > _MOST_CONTENTS:
        raise ValueError("its zip archive is cut off or built in an odd way")
    try:
        infos = sorted(zipfile.ZipFile(file.stream).infolist(), key=lambda info: info.header_offset)
    except (zipfile.BadZipFile, NotImplementedError, struct.error) as error:
        raise ValueError("its zip archive is damaged") from error
    parts = [info.orig_filename.lower().replace("\\", "/").split("/") for info in infos]
    if any("code" in part or part[-1] == "constants.pkl" for part in parts):
        raise TorchScriptError
    entries, last = {}, 0
    for info in infos:
        name = info.orig_filename
        start = info.header_offset
        local = file.read(start, 30)
        after, extra = struct.unpack_from("<HH", local, 26)
        data = start + 30 + after + extra
        written = name.encode("utf-8" if info.flag_bits & 0x800 else "cp437")
        if local[:4] != b"PK\3\4" or file.read(start + 30, after) != written or start < last:
            raise ValueError("its zip archive is built in an odd way")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise ValueError("its zip archive is compressed, which torch does not do")
        if info.flag_bits & 1:
            raise ValueError("its zip archive is encrypted")
        last = data + info.file_size
        entries[name] = data, info.file_size
    if last > at or len({name.lower() for name in entries}) < len(infos):
        raise ValueError("its zip archive is built in an odd way")
    return entries


def _read_legacy(file: WeightsFile) -> Table:
    """Read torch's format before 1.6: five pickles, then the numbers of one storage after another.

    The pickles are a magic number, a version, facts about the machine, the weights without their
    numbers, and the keys of the storages in the order in which they follow.
    """
    at, pickles = 0, []
    for _ in range(5):
        pickles.append(read_pickle(file.read(at, min(MOST_PICKLE, file.size - at))))
        at += pickles[-1].size
    magic, _, machine, weights, keys = pickles
    if magic.value != _MAGIC or not isinstance(keys.value, list):
        raise ValueError("it is a pickle of something else")
    if not isinstance(machine.value, dict) or machine.value.get("little_endian") is not True:
        raise ValueError("its numbers are big-endian")
    places = {}
    for key in keys.value:
        storage = weights.storages.get(key) if isinstance(key, str) else None
        if storage is None or key in places:
            raise ValueError("its numbers do not fit its pickle")
        count = struct.unpack("<q", file.read(at, 8))[0]
        size = count * SIZES[storage.kind]
        if count != storage.count or at + 8 + size > file.size:
            raise ValueError("it is cut off")
        places[key] = at + 8, size
        at += 8 + size
    return Table(weights.value, places)
