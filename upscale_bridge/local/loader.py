"""From a weights file to a Model: the only module that imports spandrel."""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import logging
import re
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import EngineError, UnsupportedModelError
from .allocation import MemoryLimit
from .folded_span import fold, folds
from .fused_esrgan import slim
from .kernel_esrgan import with_kernels
from .reader import read_weights, weights_version
from .receptive_field import (
    LARGEST_HALO,
    ReceptiveField,
    measure_receptive_field,
    plain_convolutions,
)
from .roll_up import roll_up
from .rolled import Rolled
from .torch_state import lasting, own_state, usual_dtype

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

log = logging.getLogger(__name__)

EXTENSIONS = (".safetensors", ".sft", ".pth", ".pt", ".ckpt")
"""Weights files that can be loaded, best first when a name has several."""

# Networks that keep no state between calls, as a folded SPAN. Others do: two threads in spandrel's
# SPAN, which replaces its weights in every call, crash the process.
_CONCURRENT = ("Compact", "ESRGAN")

_MOST_SCALE = 32
_FEW = 24  # convolutions, each of which sees a pixel further; more are measured

# Bytes that a network may take while it is built, and how many times those of its weights. The
# architectures of spandrel 0.4.2 take up to 5 times those of fp32 weights.
_ROOM = 64 << 20
_ROOM_SHARE = 16

_CPU = torch.device("cpu")
_TRUE = torch.tensor(True)
_spandrel_lock = threading.Lock()


class Model:
    """Loaded weights and all that a caller needs to know about them.

    Thread-safe. The weights stay in fp32 on the CPU; `replica()` makes copies for other devices
    and number formats.
    """

    def __init__(self, name: str, descriptor: ImageModelDescriptor[Any], version: str = "") -> None:
        _refuse_unsuitable(name, descriptor)
        self.name = name
        self.version = version
        """What the file says of it, or empty."""
        self.architecture: str = descriptor.architecture.name
        self.scale: int = descriptor.scale
        """The model's own scale factor."""
        self.channels: int = descriptor.input_channels
        """1, 3 or 4, the same in and out."""
        self.supports_half = descriptor.supports_half
        self.supports_bfloat16 = descriptor.supports_bfloat16
        self.tiling: str = descriptor.tiling.name
        """SUPPORTED, DISCOURAGED or INTERNAL, as spandrel says."""
        self.concurrent: bool = descriptor.architecture.id in _CONCURRENT or folds(descriptor.model)
        """Whether several threads may run one replica."""
        self.minimum: int = max(1, descriptor.size_requirements.minimum)
        """Smallest side of an input that needs no padding, in pixels."""
        self.multiple: int = descriptor.size_requirements.multiple_of
        """Sides that are multiples of this need no padding."""
        wide = (p.shape[0] for p in descriptor.model.parameters() if p.dim() > 1)
        self.widest: int = max(wide, default=1)
        """Most channels that any layer puts out."""
        self._master = descriptor
        self._replicas: dict[tuple[torch.device, torch.dtype], Replica] = {}
        self._sight: ReceptiveField | None = None
        self._lock = threading.Lock()

    def weights(self) -> dict[str, Tensor]:
        """Return all tensors of the network, not to be changed."""
        found: dict[str, Tensor] = self._master.model.state_dict()
        return found

    def with_weights(self, weights: dict[str, Tensor], name: str) -> Model:
        """Return the same network with other weights."""
        descriptor = self._copy()
        descriptor.model.load_state_dict(weights)
        return Model(name, descriptor, self.version)

    def _copy(self) -> ImageModelDescriptor[Any]:
        master = copy.copy(self._master)
        vars(master).pop("patcher", None)  # ComfyUI's memory manager's, not ours to copy
        return copy.deepcopy(master)

    def sight(
        self,
        device: torch.device = _CPU,
        dtype: torch.dtype = torch.float32,
        check: Callable[[], None] = lambda: None,
    ) -> ReceptiveField:
        """Return how far the model sees; measured once, where it lies now.

        `check` is called before every layer, and what it raises ends the measurement.
        """
        replica = self.replica(device, dtype)
        run = partial(replica, check=check)
        with self._lock:
            if self._sight is None:
                convolutions = plain_convolutions(replica.module)
                if replica.lean or 0 < convolutions <= _FEW:
                    halo = LARGEST_HALO if replica.lean else convolutions
                    self._sight = ReceptiveField(halo, self.multiple)
                else:
                    self._sight = measure_receptive_field(
                        run, self.channels, self.scale, self.multiple, device, dtype
                    )
                    if convolutions:
                        self._sight = ReceptiveField(self._sight.halo, self.multiple)
                log.debug("%s: %s", self.name, self._sight)
            return self._sight

    @lasting()
    def replica(self, device: torch.device, dtype: torch.dtype) -> Replica:
        """Return the model in `dtype`, to run on `device`; it is not moved there yet."""
        with self._lock:
            key = (device, dtype)
            if key not in self._replicas:
                descriptor = self._copy()
                if folds(descriptor.model):
                    fold(descriptor.model)
                lean = slim(descriptor.model.eval())
                if lean and device.type == "cuda" and dtype != torch.float32:
                    with_kernels(descriptor.model)
                # The cast goes past spandrel's own check: the caller has asked supports_*.
                descriptor.model.to(dtype=dtype, memory_format=torch.channels_last)
                replica = Replica(descriptor, device, lean=lean)
                if key == (_CPU, torch.float32):
                    replica.rolled = roll_up(replica.module, self.channels)
                self._replicas[key] = replica
            return self._replicas[key]


class _Call(threading.local):
    """What a thread's call of a replica has been given, and what it has found."""

    finite = _TRUE

    @staticmethod
    def check() -> None:
        """Replaced for each call."""


class Replica:
    """One copy of a model in one number format, callable on a batch of one image."""

    def __init__(
        self, descriptor: ImageModelDescriptor[Any], device: torch.device, *, lean: bool = False
    ) -> None:
        self._descriptor = descriptor
        self.lean = lean
        """Whether it is an ESRGAN that works in strips and takes little memory for large tiles."""
        self.rolled: Rolled | None = None
        """What computes the same without tiles."""
        self.module: torch.nn.Module = descriptor.model.eval().requires_grad_(False)
        self._call = _Call()  # several threads run tiles on one replica
        # spandrel clamps the output, which hides infinity; a hook sees it before that.
        self.module.register_forward_hook(self._look)
        if device.type == "cpu":  # elsewhere a layer is only asked for, not waited for
            for part in self.module.modules():
                part.register_forward_pre_hook(self._pause)

    def _look(self, _module: torch.nn.Module, _inputs: object, output: object) -> None:
        self._call.finite = output.isfinite().all() if isinstance(output, Tensor) else _TRUE

    def _pause(self, _module: torch.nn.Module, _inputs: object) -> None:
        self._call.check()

    def __call__(
        self, pixels: Tensor, check: Callable[[], None] = lambda: None
    ) -> tuple[Tensor, Tensor]:
        """Map [1, channels, height, width] in 0..1 to the model's scale.

        On the CPU `check` is called before every layer; what it raises ends the call, so that a
        large tile can be stopped. Returns the output and whether it was finite, a truth value of
        its device: nothing here waits for that.
        """
        self._call.check = check  # type: ignore[method-assign]
        output: Tensor = self._descriptor(pixels)
        return output, self._call.finite


@lasting()
def mixed(first: Model, second: Model, share: float) -> Model:
    """Return a model whose weights lie between those of two, `share` of the way to the second.

    Raises `UnsupportedModelError` unless they are of one architecture with the same layers.
    """
    ours, theirs = first.weights(), second.weights()
    alike = (first.architecture, first.scale) == (second.architecture, second.scale)
    if not alike or {k: v.shape for k, v in ours.items()} != {
        k: v.shape for k, v in theirs.items()
    }:
        raise UnsupportedModelError(
            f"{first.name} ({first.architecture}, {first.scale}x) and {second.name} "
            f"({second.architecture}, {second.scale}x) cannot be mixed: their layers differ; "
            "choose two models of one architecture and size."
        )
    between = {
        name: torch.lerp(one, theirs[name].to(one.dtype), share) if one.is_floating_point() else one
        for name, one in ours.items()
    }
    name = f"{first.name} x {1 - share:.2f} + {second.name} x {share:.2f}"
    return first.with_weights(between, name)


@own_state()
@lasting()
@usual_dtype()
def load_model(path: Path, name: str | None = None) -> Model:
    """Load a weights file, or raise `UnsupportedModelError`.

    No code in the file is run. What it makes takes a small multiple of its size in memory.
    """
    spandrel = import_spandrel()
    weights = read_weights(path, spandrel.canonicalize_state_dict)
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
    return wrap_descriptor(descriptor, name or path.stem, weights_version(path))


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
    with _spandrel_lock:
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
    if importlib.util.find_spec("spandrel_extra_arches"):
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


def _refuse_unsuitable(name: str, descriptor: ImageModelDescriptor[Any]) -> None:
    if descriptor.purpose == "FaceSR":
        raise UnsupportedModelError(
            f"{name} restores aligned faces and cannot upscale whole images; "
            "choose an upscale model."
        )
    if not 1 <= descriptor.scale <= _MOST_SCALE:
        raise UnsupportedModelError(
            f"{name} enlarges {descriptor.scale} times; only models of up to {_MOST_SCALE} times "
            "can be used."
        )
    channels = (descriptor.input_channels, descriptor.output_channels)
    if channels[0] != channels[1] or channels[0] not in (1, 3, 4):
        raise UnsupportedModelError(
            f"{name} maps {channels[0]} channels to {channels[1]}; "
            "only models with 1, 3 or 4 channels in and out can upscale images."
        )
