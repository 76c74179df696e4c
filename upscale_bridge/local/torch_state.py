"""The state of torch that our work runs in, whatever the caller has set for its own.

Autocast would compute fp32 in 16 bits, a default device would move what has none, functions that
look at every call would see ours. All of that belongs to the calling thread; the default number
format and the precision of products belong to the whole process and are put back when the last of
our calls ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import overrides

_DEVICES = ("cpu", "cuda", "xpu", "mps", "hpu", "mtia", "xla", "ipu", "privateuseone")

_FULL = ("ieee", "none")
_COARSE = "bf16"
_GAIN = 1.2  # times that oneDNN is to be quicker than what multiplies otherwise
_SHAPES = ((36, 112, 64, 32), (36, 112, 192, 64))  # of the products in `winograd.py`


class _OfProcess:
    """Settings of the whole process, changed until the last of our calls that needs that ends."""

    def __init__(self, change: Callable[[], ExitStack]) -> None:
        """`change` returns what puts back what was set before."""
        self._change = change
        self._lock = threading.Lock()
        self._inside = 0
        self._put_back = ExitStack()

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._lock:
            if not self._inside:
                self._put_back = self._change()
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    self._put_back.close()


@contextmanager
def own_state() -> Iterator[None]:
    """Work without autocast, gradients, function modes and default device of the caller.

    Whether the caller is in inference mode stays as it is: hosts that are asked for memory or
    progress may change tensors of theirs. What outlives a call is made within `lasting`.
    """
    with ExitStack() as stack:
        while _function_modes():
            stack.enter_context(overrides._pop_mode_temporarily())
        for device in filter(_casts, _DEVICES):
            stack.enter_context(torch.autocast(device, enabled=False))
        stack.enter_context(torch.no_grad())
        yield


@contextmanager
def lasting() -> Iterator[None]:
    """Make tensors that anybody may change or use later, also outside inference mode."""
    with torch.inference_mode(False), torch.no_grad():
        yield


@contextmanager
def usual_numbers() -> Iterator[None]:
    """Make tensors float32 by default, for networks rely on that, and multiply float32 as such.

    A processor that has units for 16 bits takes those for products of float32 if it may.
    """
    with _usual.held():
        yield


@contextmanager
def quick_products() -> Iterator[None]:
    """Let oneDNN multiply float32 on the CPU where that is quicker and loses nothing.

    For products of the kind that was tried: Winograd's.

    torch hands products to MKL, which leaves AVX-512 of AMD's processors unused, unless bf16 would
    do. oneDNN computes in bf16 then only with units made for it, as Intel's AMX; elsewhere in whole
    float32. Meanwhile `torch.get_float32_matmul_precision` finds two answers and raises.
    """
    with _quick.held():
        yield


def _set_usual_numbers() -> ExitStack:
    changed = ExitStack()
    if (dtype := torch.get_default_dtype()) != torch.float32:
        torch.set_default_dtype(torch.float32)
        changed.callback(torch.set_default_dtype, dtype)
    if (precision := _product_precision()) != "highest":
        torch.set_float32_matmul_precision("highest")
        changed.callback(torch.set_float32_matmul_precision, precision)
    for kind in ("matmul", "conv"):
        setting = _of_onednn(kind)
        if setting is not None and setting.fp32_precision not in _FULL:
            _set_precision(changed, setting, "ieee")
    return changed


def _set_quick_products() -> ExitStack:
    changed = ExitStack()
    if _onednn_gains():
        _set_precision(changed, _of_onednn("matmul"), _COARSE)
    return changed


_usual, _quick = _OfProcess(_set_usual_numbers), _OfProcess(_set_quick_products)


def _of_onednn(kind: str) -> Any:
    """Return the setting of a kind of product, or None before torch 2.9."""
    return getattr(torch.backends.mkldnn, kind, None)


def _set_precision(changed: ExitStack, setting: Any, precision: str) -> None:
    changed.callback(setattr, setting, "fp32_precision", setting.fp32_precision)
    setting.fp32_precision = precision


@lru_cache(maxsize=1)
def _onednn_gains() -> bool:
    """Try, once in a process, whether oneDNN is as exact as what multiplies else, and quicker."""
    if _of_onednn("matmul") is None:
        return False
    seconds = dict.fromkeys(("ieee", _COARSE), 0.0)
    for shape in _SHAPES:
        errors = {}
        for precision in seconds:
            errors[precision], taken = _tried(precision, *shape)
            seconds[precision] += taken
        exact = errors[_COARSE] <= 2 * errors["ieee"]
        if not exact:
            return False
    return seconds["ieee"] > _GAIN * seconds[_COARSE]


def _tried(precision: str, count: int, rows: int, depth: int, columns: int) -> tuple[float, float]:
    """Return the largest error of products and the seconds that they take."""
    random = torch.Generator().manual_seed(0)
    one = torch.rand(count, rows, depth, generator=random, dtype=torch.float32) - 0.5
    other = torch.rand(count, depth, columns, generator=random, dtype=torch.float32) - 0.5
    times = []
    with ExitStack() as changed:
        _set_precision(changed, _of_onednn("matmul"), precision)
        for _ in range(5):
            started = time.perf_counter()
            found = torch.bmm(one, other)
            times.append(time.perf_counter() - started)
    error = (found.double() - torch.bmm(one.double(), other.double())).abs().max()
    return float(error), min(times)


def _product_precision() -> str:
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # it was set for one kind of device, by the way that came with torch 2.9
        return "highest"


def _function_modes() -> int:
    # torch has had them since 2.0; a default device is one of them.
    count: Any = getattr(torch._C, "_len_torch_function_stack", int)
    return int(count())


def _casts(device: str) -> bool:
    """Tell whether the calling thread is within autocast for a kind of device."""
    try:
        return torch.is_autocast_enabled(device)
    except RuntimeError:  # this torch does not know the device
        return False
    except TypeError:  # before torch 2.4, where each device had a function of its own
        named = {"cuda": torch.is_autocast_enabled, "cpu": torch.is_autocast_cpu_enabled}
        return named[device]() if device in named else False
