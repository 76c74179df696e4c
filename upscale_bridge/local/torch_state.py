"""The state of torch that our work runs in, whatever the caller has set for its own.

Autocast would compute fp32 in 16 bits, a default device would move what has none, functions that
look at every call would see ours. All of that belongs to the calling thread; the default number
format and the precision of products belong to the whole process and are put back when the last of
our calls ends.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import overrides

_DEVICES = ("cpu", "cuda", "xpu", "mps", "hpu", "mtia", "xla", "ipu", "privateuseone")

_FULL = ("ieee", "none")

_lock = threading.Lock()
_inside = 0
_put_back = ExitStack()


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
    global _inside, _put_back
    with _lock:
        if not _inside:
            _put_back = _set_usual_numbers()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _put_back.close()


def _set_usual_numbers() -> ExitStack:
    """Change what is set otherwise for the whole process; return what puts that back."""
    changed = ExitStack()
    if (dtype := torch.get_default_dtype()) != torch.float32:
        torch.set_default_dtype(torch.float32)
        changed.callback(torch.set_default_dtype, dtype)
    if (precision := _product_precision()) != "highest":
        torch.set_float32_matmul_precision("highest")
        changed.callback(torch.set_float32_matmul_precision, precision)
    for kind in ("matmul", "conv"):
        setting: Any = getattr(torch.backends.mkldnn, kind, None)  # since torch 2.9
        if setting is not None and (before := setting.fp32_precision) not in _FULL:
            setting.fp32_precision = "ieee"
            changed.callback(setattr, setting, "fp32_precision", before)
    return changed


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
