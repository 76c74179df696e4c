"""Weights files: safetensors, and torch's two formats of pickles, checked before they are read.

Where the numbers lie, and that no tensor has more of them than the file, is known from its table
of contents and its pickle before a tensor is made. TorchScript, which holds code, is refused
unread. No part of torch's or safetensors' own readers sees the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import UnsupportedModelError
from .pickles import ForbiddenNameError, Sketch
from .tables import MOST_SIDES, SIZES, TorchScriptError, WeightsFile, read_table, read_version

MOST_TENSORS = 50_000
"""The largest upscale models have some thousands."""

_SHARED = 4  # times the file's size that all tensors may have together, when some share numbers


def read_weights(
    path: Path, choose: Callable[[dict[str, Any]], Mapping[str, Any]]
) -> dict[str, Tensor]:
    """Return the tensors of a weights file, or raise `UnsupportedModelError`.

    `choose` picks the network's own out of a checkpoint, before any tensor is made. All is read
    from one open file; one that changes meanwhile is refused.
    """
    try:
        if not path.is_file():
            raise FileNotFoundError(2, "No such file")
        with path.open("rb") as stream:
            file = WeightsFile(stream)
            try:
                return _read(file, path.suffix.lower(), choose)
            finally:
                file.refuse_change(path.name)
    except OSError as error:
        raise UnsupportedModelError(
            f"{path.name} cannot be read ({error.strerror or error}); check the file and its "
            "permissions."
        ) from error
    except TorchScriptError as error:
        raise UnsupportedModelError(
            f"{path.name} is TorchScript, a program and not weights alone; nothing in it was run. "
            "Get the model as .safetensors, or its weights as .pth."
        ) from error
    except ForbiddenNameError as error:
        raise UnsupportedModelError(
            f"{path.name} asks for {error}, which no weights need; nothing in it was run. Get the "
            "model as .safetensors from a source that you trust."
        ) from error
    except (ValueError, MemoryError, RecursionError) as error:
        raise UnsupportedModelError(
            f"{path.name} is damaged or not a weights file, nothing in it was run "
            f"({error or type(error).__name__}); download it again from a source that you trust."
        ) from error


def weights_version(path: Path) -> str:
    """Return what a weights file that has been read says of its version; "" if nothing."""
    try:
        with path.open("rb") as stream:
            return read_version(WeightsFile(stream))
    except (OSError, ValueError):  # another file by now, of which nothing is known
        return ""


def _read(
    file: WeightsFile, suffix: str, choose: Callable[[dict[str, Any]], Mapping[str, Any]]
) -> dict[str, Tensor]:
    table = read_table(file, suffix)
    if not isinstance(table.tree, dict):
        raise ValueError("it holds no weights with names")
    sketches = {
        name: value for name, value in choose(table.tree).items() if isinstance(value, Sketch)
    }
    _check(sketches, table.places, file.size)
    return _make(file, sketches, table.places)


def _check(
    sketches: Mapping[str, Sketch], places: Mapping[str, tuple[int, int]], size: int
) -> None:
    """Refuse tensors that would take more memory than a small multiple of the file's `size`."""
    if not sketches:
        raise ValueError("it holds no weights with names")
    if len(sketches) > MOST_TENSORS:
        raise ValueError(f"it has more than {MOST_TENSORS} tensors")
    total = 0
    for name, sketch in sketches.items():
        try:
            total += _size(sketch, places[sketch.storage.key][1])
        except (LookupError, TypeError) as error:
            raise ValueError(f"its tensor {name[:100]!a} makes no sense") from error
    if total > _SHARED * size:
        raise ValueError("its tensors share their numbers too often")


def _size(sketch: Sketch, place: int) -> int:
    """Return the bytes of a tensor that lies within its `place` bytes, or raise `ValueError`."""
    storage = sketch.storage
    numbers = [sketch.offset, *sketch.shape, *sketch.stride]
    if len(sketch.shape) != len(sketch.stride) or len(sketch.shape) > MOST_SIDES:
        raise ValueError("a tensor in it has too many dimensions")
    if any(type(number) is not int or number < 0 for number in numbers) or storage.count < 0:
        raise ValueError("a tensor in it has sides that are no numbers")
    if storage.kind not in (sketch.kind, "untyped") or sketch.kind == "untyped":
        raise ValueError("a tensor in it does not fit its numbers")
    if storage.count * SIZES[storage.kind] > place:
        raise ValueError("it is cut off")
    unit = SIZES[sketch.kind]
    there = storage.count * SIZES[storage.kind] // unit
    # A side of 0 counts as 1, or an empty tensor could be as long as it likes.
    count: int = math.prod(max(side, 1) for side in sketch.shape)
    last = sum((side - 1) * step for side, step in zip(sketch.shape, sketch.stride, strict=True))
    if count > max(there, 1) or (0 not in sketch.shape and sketch.offset + last >= there):
        raise ValueError("a tensor in it is larger than its numbers")
    return count * unit


def _make(
    file: WeightsFile, sketches: Mapping[str, Sketch], places: Mapping[str, tuple[int, int]]
) -> dict[str, Tensor]:
    made: dict[str, Tensor] = {}
    read: dict[str, bytearray] = {}
    for name, sketch in sketches.items():
        kind = getattr(torch, sketch.kind, None)
        if kind is None:
            raise ValueError(f"its numbers are {sketch.kind}, which this torch does not know")
        if 0 in sketch.shape:
            made[name] = torch.empty(sketch.shape, dtype=kind)
            continue
        storage = sketch.storage
        if storage.key not in read:
            size = storage.count * SIZES[storage.kind]
            read[storage.key] = file.read_into(places[storage.key][0], size)
        flat = torch.frombuffer(read[storage.key], dtype=kind)
        made[name] = flat.as_strided(sketch.shape, sketch.stride, sketch.offset)
        _refuse_nonsense(name, made[name])
    return made


def _refuse_nonsense(name: str, tensor: Tensor) -> None:
    if tensor.is_floating_point():
        values = tensor.float() if tensor.element_size() == 1 else tensor
        if bool(values.isnan().any()) or not bool(values.isfinite().any()):
            raise ValueError(f"its tensor {name[:100]!a} has values that are no numbers")
