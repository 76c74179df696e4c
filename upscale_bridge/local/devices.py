"""Where models run: device, number format and room in memory.

`Memory` is the policy of a process of our own. A host with a memory manager (ComfyUI) passes a
subclass, so that its own models make room for ours and ours for its.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from ..errors import InvalidInputError

log = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
PRECISIONS = {dtype: name for name, dtype in DTYPES.items()}

_OUT_OF_MEMORY_WORDS = (
    "out of memory",  # CUDA, ROCm (HIP), MPS, XPU
    "not enough memory",  # DirectML, the CPU allocator on Windows
    "can't allocate memory",  # the CPU allocator on Linux
    "alloc_failed",  # cuBLAS and cuDNN status codes
    "out_of_device_memory",  # Level Zero, below XPU
    "out_of_resources",
    "unable to find an engine",  # cuDNN when no plan's workspace fits
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether `error` is any backend's way of saying that an allocation failed."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(word in text for word in _OUT_OF_MEMORY_WORDS)


def bring(module: torch.nn.Module, device: torch.device) -> None:
    """Move `module` to `device`; when it is there this takes a tenth of what its `to` takes."""
    for kept in (module.parameters(), module.buffers()):
        for one in kept:
            if one.device.type != device.type or device.index not in (None, one.device.index):
                module.to(device)
                return


def main_memory() -> int | None:
    """Return the bytes that programs may still take, where the system tells (Linux), else None."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None
    group = Path("/sys/fs/cgroup")  # a container may take less
    try:
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        used = int((group / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return free
    return min(free, limit - used)


class Memory:
    """Device and memory of this process, for one device named by the user or found."""

    def __init__(self, device: str = "auto") -> None:
        self._wanted = device

    def device(self) -> torch.device:
        """Return the device to compute on, or raise `InvalidInputError` when it is not there."""
        if self._wanted == "auto":
            return torch.device(_best_device_name())
        try:
            device = torch.device(self._wanted)
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise InvalidInputError(
                "device",
                f"The device {self._wanted!r} cannot be used by this PyTorch; use auto or cpu.",
            ) from error
        return device

    def free_bytes(self, device: torch.device) -> int | None:
        """Return how many bytes can be allocated on `device`, or None when nobody knows."""
        if device.type == "cuda":
            idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
            return int(torch.cuda.mem_get_info(device)[0]) + idle
        return main_memory() if device.type == "cpu" else None

    def make_room(self, size: int, device: torch.device) -> None:
        """Ask the host to free `size` bytes on `device`; there is nobody to ask here."""

    def place(self, module: torch.nn.Module, device: torch.device) -> None:
        """Bring `module` to `device`, to stay there while it is in use."""
        bring(module, device)

    def empty_cache(self, device: torch.device) -> None:
        """Give unused cached blocks back to the device."""
        backend: Any = getattr(torch, device.type, None)
        if hasattr(backend, "empty_cache"):
            backend.empty_cache()

    def dtype(
        self, precision: str, device: torch.device, *, half: bool, bfloat: bool
    ) -> torch.dtype:
        """Choose the number format for a model that supports `half` and `bfloat`.

        A wish that device or model cannot fulfil becomes fp32, the format that always works.
        """
        if precision == "auto":
            if half and self._has_fast_half(device):
                return torch.float16
            if bfloat and device.type == "cuda" and torch.cuda.is_bf16_supported(False):
                return torch.bfloat16
            return torch.float32
        if (precision == "fp16" and not (half and device.type != "cpu")) or (
            precision == "bf16" and not bfloat
        ):
            log.warning("%s is not possible with this model on %s; using fp32.", precision, device)
            return torch.float32
        if precision == "bf16" and device.type == "cpu" and not _has_bf16_unit():
            log.warning(
                "This CPU has no unit for bf16: it takes longer than fp32 and is up to 10 steps "
                "of 8 bits off; choose fp32 or auto."
            )
        return DTYPES[precision]

    def _has_fast_half(self, device: torch.device) -> bool:
        # Compute capability 7.0 (Volta) brought tensor cores; fp16 on Pascal is 64 times slower.
        if device.type == "cuda":
            capable = torch.cuda.get_device_capability(device) >= (7, 0)
            return capable or torch.version.hip is not None
        return device.type in ("mps", "xpu")


def _has_bf16_unit() -> bool:
    """Tell whether the CPU multiplies bf16 itself, as far as this torch knows."""
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_is_arm_sve_supported")
    return any(getattr(torch.cpu, name, bool)() for name in tests)


def backend() -> str:
    """Return what this PyTorch was built for, in words."""
    if torch.version.cuda:
        return f"CUDA {torch.version.cuda}"
    if torch.version.hip:
        return f"ROCm {torch.version.hip}"
    others = (("XPU", getattr(torch, "xpu", None)), ("MPS", torch.backends.mps))
    return next((name for name, one in others if one and one.is_available()), "CPU only")


def described() -> dict[str, str]:
    """Return the devices that this PyTorch can use, each with a few words about it."""
    found = {}
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        about = torch.cuda.get_device_properties(index)
        capability = f"{about.major}.{about.minor}"
        size = about.total_memory / 1e9
        found[f"cuda:{index}"] = f"{about.name}, {size:.0f} GB, compute capability {capability}"
    if _best_device_name() in ("xpu", "mps"):
        found[_best_device_name()] = "there"
    free = main_memory()
    room = "" if free is None else f", {free / 1e9:.1f} GB of memory free"
    found["cpu"] = f"{torch.get_num_threads()} threads{room}"
    return found


def _best_device_name() -> str:
    if torch.cuda.is_available():
        return "cuda"
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        return "xpu"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"
