"""Models: loaded weights, and copies of them that can be called."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import UnsupportedModelError
from .folded_span import fold, folds
from .fused_esrgan import slim
from .kernel_esrgan import with_kernels
from .receptive_field import (
    LARGEST_HALO,
    ReceptiveField,
    measure_receptive_field,
    plain_convolutions,
)
from .roll_up import roll_up
from .rolled import Rolled
from .torch_state import lasting

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

log = logging.getLogger(__name__)

# Networks that keep no state between calls, as a folded SPAN. Others do: two threads in spandrel's
# SPAN, which replaces its weights in every call, crash the process.
_CONCURRENT = ("Compact", "ESRGAN")

_MOST_SCALE = 32
_FEW = 24  # convolutions, each of which sees a pixel further; more are measured

_CPU = torch.device("cpu")
_TRUE = torch.tensor(True)


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
                    with_kernels(descriptor.model, device)
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
