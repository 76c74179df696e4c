"""The state of torch that our work runs in, whatever the caller has set for its own.

Autocast would compute fp32 in 16 bits, a default device would move what has none, functions that
look at every call would see ours. All of that belongs to the calling thread; the default number
format belongs to the whole process and is put back when the last of our calls ends.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import overrides

_DEVICES = ("cpu", "cuda", "xpu", "mps", "hpu", "mtia", "xla", "ipu", "privateuseone")

_lock = threading.Lock()
_inside = 0
_callers_dtype = torch.float32


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
def usual_dtype() -> Iterator[None]:
    """Make tensors float32 by default; for networks, which rely on that."""
    global _inside, _callers_dtype
    with _lock:
        if not _inside:
            _callers_dtype = torch.get_default_dtype()
            _set_default_dtype(torch.float32)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _set_default_dtype(_callers_dtype)


def _set_default_dtype(dtype: torch.dtype) -> None:
    if torch.get_default_dtype() != dtype:
        torch.set_default_dtype(dtype)


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
