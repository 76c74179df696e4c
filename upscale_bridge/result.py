"""What an operation gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Result:
    """Images, and what is to be said about them."""

    images: Tensor
    """float32 [batch, height, width, channels] in 0..1 on the CPU."""
    info: dict[str, Any]
    """What was done, as plain data for JSON; no secrets."""
    summary: str
    """One line about it for the user."""
