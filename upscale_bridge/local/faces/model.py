"""A loaded model that restores faces."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...errors import UnsupportedModelError
from ..torch_state import lasting, own_state, usual_numbers

if TYPE_CHECKING:
    from ..devices import Memory

Floats = npt.NDArray[np.float32]

SIDE = 512
"""Pixels of the square that all of them take and give."""

_ROOM = 2 << 30  # bytes that a face takes on a device, beside the weights

# What each network is told beside the pixels, and that the first of its results is the face.
_TOLD: dict[str, Callable[[float], dict[str, Any]]] = {
    "GFPGAN": lambda _: {"return_rgb": False, "randomize_noise": False},
    "RestoreFormer": lambda _: {},
    "CodeFormer": lambda weight: {"weight": weight},
}


class FaceModel:
    """GFPGAN, RestoreFormer or CodeFormer; thread-safe, one face at a time.

    It computes in fp32, and gives the same for the same face.
    """

    def __init__(self, name: str, descriptor: Any) -> None:
        """`descriptor` is spandrel's; raises `UnsupportedModelError` for what restores no faces."""
        self.name = name
        self.architecture: str = getattr(getattr(descriptor, "architecture", None), "id", "")
        if self.architecture not in _TOLD:
            raise UnsupportedModelError(
                f"{name} restores no faces; choose GFPGAN, RestoreFormer or CodeFormer."
            )
        channels = descriptor.input_channels, descriptor.output_channels
        if channels != (3, 3):
            raise UnsupportedModelError(
                f"{name} maps {channels[0]} channels to {channels[1]}; only models with 3 channels "
                "restore faces."
            )
        self._module: torch.nn.Module = descriptor.model.eval().requires_grad_(False)
        self._check: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        for part in self._module.modules():
            part.register_forward_pre_hook(self._pause)

    def _pause(self, _module: torch.nn.Module, _inputs: object) -> None:
        self._check()

    @own_state()
    @usual_numbers()
    def restore(
        self,
        face: Floats,
        weight: float,
        memory: Memory,
        check: Callable[[], None] = lambda: None,
    ) -> Floats:
        """Return the restored face [512, 512, 3] in 0..1.

        `face` is RGB of the same form, upright as FFHQ has faces; `weight`, 0..1, is how true
        CodeFormer stays to it. `check` is called before every layer, and what it raises ends the
        call. Raises `ValueError` when no face comes out.
        """
        with self._lock, lasting():
            device = memory.device()
            memory.make_room(_ROOM, device)
            memory.place(self._module, device)
            pixels = torch.from_numpy(np.ascontiguousarray(face.transpose(2, 0, 1)))[None]
            self._check = check
            told = _TOLD[self.architecture](weight)
            result: Tensor = self._module(pixels.to(device) * 2 - 1, **told)[0]
            restored: Floats = ((result[0].float().cpu() + 1) / 2).permute(1, 2, 0).numpy()
        if restored.shape != face.shape or not np.isfinite(restored).all():
            raise ValueError("what came out is no picture of a face")
        return restored.clip(0.0, 1.0)
