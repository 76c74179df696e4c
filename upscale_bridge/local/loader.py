"""From a weights file to a Model: the only module that imports spandrel."""

from __future__ import annotations

import hashlib
import logging
import re
import sys
import threading
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import EngineError, UnsupportedModelError
from .allocation import MemoryLimit
from .catalogue import has_extra_architectures
from .faces.model import FaceModel
from .lazy_modules import run_when_used
from .model import Model
from .reader import read_weights, weights_version
from .torch_state import lasting, own_state, usual_numbers

log = logging.getLogger(__name__)

# Bytes that a network may take while it is built, and how many times those of its weights. The
# architectures of spandrel 0.4.2 take up to 5 times those of fp32 weights.
_ROOM = 64 << 20
_ROOM_SHARE = 16

_UNUSED = [f"torchvision.{part}" for part in ("datasets", "io", "models", "ops")]
"""What torchvision imports with itself and spandrel has no use for; it brings torch's compiler."""

_PART = "vqvae."
"""What the names of a network begin with in a checkpoint of RestoreFormer's authors."""

_spandrel_lock = threading.Lock()


@own_state()
@lasting()
@usual_numbers()
def load_model(path: Path, name: str | None = None) -> Model:
    """Load a weights file, or raise `UnsupportedModelError`.

    No code in the file is run. What it makes takes a small multiple of its size in memory.
    """
    return wrap_descriptor(_read_descriptor(path), name or path.stem, weights_version(path))


@own_state()
@lasting()
@usual_numbers()
def load_face_model(path: Path) -> FaceModel:
    """Load the weights file of a model that restores faces; see `load_model`."""
    return FaceModel(path.stem, _read_descriptor(path))


def _read_descriptor(path: Path) -> Any:
    """Return spandrel's descriptor of what a file holds, or raise `UnsupportedModelError`."""
    spandrel = import_spandrel()

    def choose(tree: dict[str, Any]) -> dict[str, Any]:
        return _own_part(spandrel.canonicalize_state_dict(tree))

    weights = read_weights(path, choose)
    try:
        _refuse_wild_numbers(weights)
        descriptor = _build(path.name, weights, spandrel)
    except UnsupportedModelError:
        raise
    except spandrel.UnsupportedModelError as error:
        raise UnsupportedModelError(
            f"{path.name} holds no architecture that spandrel knows; "
            "check that it is an upscale model, or install a newer spandrel."
        ) from error
    except Exception as error:  # shapes that do not fit can fail anywhere in an architecture
        raise UnsupportedModelError(
            f"{path.name} does not fit the network that it seems to be ({_reason(error)}); "
            "download it again from a source that you trust."
        ) from error
    return descriptor


def _own_part(tree: dict[str, Any]) -> dict[str, Any]:
    """Return the network of a checkpoint that holds those of its training as well, as that of
    RestoreFormer's authors does."""
    part = {
        name.removeprefix(_PART): value for name, value in tree.items() if name.startswith(_PART)
    }
    return part or tree


def _build(name: str, weights: dict[str, Tensor], spandrel: Any) -> Any:
    """Return spandrel's descriptor; weights that its network does not have are left out.

    A network is built with random weights; the caller's sequence of random numbers stays as it is.
    """
    loader = spandrel.ModelLoader("cpu", _registry(spandrel))
    room = _ROOM + _ROOM_SHARE * sum(one.numel() * one.element_size() for one in weights.values())
    try:
        with torch.random.fork_rng(devices=[]), MemoryLimit(room):
            return loader.load_from_state_dict(dict(weights))
    except RuntimeError as error:
        names = _surplus(str(error))
        if not names:
            raise
        some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        if not weights.keys() >= set(names):  # spandrel has renamed them
            raise UnsupportedModelError(
                f"{name} has weights beyond those of its network ({some}); get a file that holds "
                "the network alone."
            ) from error
    log.warning("%s: left out what its network does not have (%s).", name, some)
    rest = {key: value for key, value in weights.items() if key not in names}
    with torch.random.fork_rng(devices=[]), MemoryLimit(room):
        return loader.load_from_state_dict(rest)


def _surplus(message: str) -> list[str]:
    """Return the names that `load_state_dict` complains of, if it has no other complaint."""
    if "Missing key(s)" in message or "size mismatch" in message:
        return []
    return re.findall(r'"([^"]+)"', message.partition("Unexpected key(s) in state_dict:")[2])


def _refuse_wild_numbers(weights: dict[str, Tensor]) -> None:
    """Refuse names such as body.4000000000.weight: builders make a layer for each number below."""
    most = 1000 + 4 * len(weights)
    for name in weights:
        for part in name.split("."):
            if part.isdecimal() and (len(part) > 9 or int(part) > most):
                raise ValueError(f"it has {len(weights)} tensors, and one is number {part[:20]}")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def wrap_descriptor(descriptor: object, name: str, version: str = "") -> Model:
    """Make a `Model` of what spandrel's loader (or a host's own model loader) returned."""
    spandrel = import_spandrel()
    if not isinstance(descriptor, spandrel.ImageModelDescriptor):
        raise UnsupportedModelError(
            f"{name} is not a model that turns one image into one image; choose an upscale model."
        )
    return Model(name, descriptor, version)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in lower-case hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def import_spandrel() -> Any:
    """Import spandrel.

    It imports torchvision, which fails when its compiled operators do not fit the
    installed torch. Upscale models do not use those operators: their schemas suffice.
    """
    with _spandrel_lock, run_when_used([] if "torchvision" in sys.modules else _UNUSED):
        try:
            import spandrel
        except ImportError as error:
            raise EngineError(
                f"The package spandrel cannot be used ({error}); install it, as install.py does, "
                "with `pip install --no-deps spandrel`."
            ) from error
        except RuntimeError as error:
            if "torchvision::" not in str(error):
                raise
            log.info("torchvision does not fit this torch (%s); using it without nms.", error)
            _define_torchvision_schemas()
            import spandrel
        return spandrel


def _registry(spandrel: Any) -> Any:
    """Return spandrel's architectures, with the extra ones if the user installed them.

    It is a copy: hosts add the extra ones to spandrel's own, which refuses them the second time.
    """
    registry = spandrel.MAIN_REGISTRY.copy()
    if has_extra_architectures():
        from spandrel_extra_arches import EXTRA_REGISTRY

        registry.add(*(one for one in EXTRA_REGISTRY if registry.get(one.architecture.id) is None))
    return registry


def _define_torchvision_schemas() -> None:
    for operator in ("nms", "qnms"):
        try:
            torch.library.define(
                f"torchvision::{operator}",
                "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
            )
        except RuntimeError as error:
            log.debug("torchvision::%s is there already: %s", operator, error)
