"""SPAN with each of its convolutions as one: spandrel's folds three into it in every call.

That takes time for each tile, and replaces weights that another thread may be reading.
"""

from __future__ import annotations

from typing import Any

from torch import nn

_SLOPE = 0.05  # of a Conv3XC's own leaky ReLU


def folds(module: nn.Module) -> bool:
    """Tell whether `fold` knows this network."""
    parts = _parts(module)
    return type(module).__name__ == "SPAN" and bool(parts) and all(map(_known, parts))


def fold(module: nn.Module) -> None:
    """Replace every `Conv3XC` of a spandrel `SPAN`, in fp32, by the convolution that it equals."""
    for owner in list(module.modules()):
        for name, part in list(owner.named_children()):
            if _is_part(part):
                setattr(owner, name, _folded(part))


def _folded(part: Any) -> nn.Module:
    part.update_params()
    convolution: nn.Module = part.eval_conv
    if part.has_relu:
        return nn.Sequential(convolution, nn.LeakyReLU(_SLOPE, inplace=True))
    return convolution


def _parts(module: nn.Module) -> list[Any]:
    return [one for one in module.modules() if _is_part(one)]


def _is_part(module: nn.Module) -> bool:
    return type(module).__name__ == "Conv3XC"


def _known(part: Any) -> bool:
    return hasattr(part, "update_params") and hasattr(part, "has_relu") and part.stride == 1
