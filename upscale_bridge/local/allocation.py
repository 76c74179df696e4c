"""How much memory a network may take while it is built.

Its builder reads sizes and counts from shapes and names in the file: a table of 4 million numbers
asks for a window whose index has 10^12. Each operation is tried without memory first.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

_LEAST = 4096  # bytes that a tensor costs at least, with the layer that it belongs to


class TooMuchMemoryError(ValueError):
    """A network would take more memory than its file can be the reason for."""


class MemoryLimit(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it no operation of this thread makes a tensor once `size` bytes are used up."""

    def __init__(self, size: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.left = size

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Tell torch not to import its compiler, in seconds, so as to tell it to keep out."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not func._schema.is_mutable:
            self.left -= max(_LEAST, _size(func, args, kwargs))
            if self.left < 0:
                raise TooMuchMemoryError(
                    "the network that it describes is far larger than the file"
                )
        return func(*args, **kwargs)


def _size(func: Any, args: Any, kwargs: dict[str, Any]) -> int:
    """Return the bytes of what an operation would make."""
    names = {argument.name for argument in func._schema.arguments}
    meta = {**kwargs, "device": "meta"} if "device" in names else kwargs
    try:
        made = func(*tree_map(_without_memory, args), **tree_map(_without_memory, meta))
    except (RuntimeError, NotImplementedError):  # it needs values; its result is no larger
        return 0
    results = made if isinstance(made, (tuple, list)) else [made]
    return sum(one.numel() * one.element_size() for one in results if isinstance(one, Tensor))


def _without_memory(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to("meta") if value.device.type != "meta" else value
    return torch.device("meta") if isinstance(value, torch.device) else value
