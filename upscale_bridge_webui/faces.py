"""The WebUI's own restorers of faces, which take the place of ours where they are there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from modules import shared

from upscale_bridge.contract.extras import CODEFORMER, FACE_MODELS
from upscale_bridge.errors import EngineError, ModelNotFoundError
from upscale_bridge.local.catalogue import find_spec
from upscale_bridge.texts import shortened

if TYPE_CHECKING:
    import torch

_NAMES = {"GFPGAN": FACE_MODELS[0], "CodeFormer": CODEFORMER}
"""What the WebUI calls them, and the names of their weights."""


def restorers() -> dict[str, Callable[[torch.Tensor, float], torch.Tensor]]:
    """Return them by the names of their weights."""
    found: dict[str, Any] = {one.name(): one for one in getattr(shared, "face_restorers", ())}
    return {
        name: partial(_restored, name, found[theirs])
        for theirs, name in _NAMES.items()
        if theirs in found
    }


def _restored(name: str, restorer: Any, image: torch.Tensor, weight: float) -> torch.Tensor:
    """Return [height, width, 3] in 0..1 with its faces restored; other pixels stay exact.

    The WebUI fetches weights itself, and gives the image back when it cannot load them; raises
    `ModelNotFoundError` then.
    """
    import numpy as np
    import torch

    told = {"w": weight} if name == CODEFORMER else {}
    before = (image * 255).round().byte().numpy()
    try:
        after = np.asarray(restorer.restore(before.copy(), **told))
    except (OSError, RuntimeError, ValueError) as error:  # it fetches what finds faces as well
        raise EngineError(
            f"The WebUI's {restorer.name()} failed ({shortened(str(error))}); its log says why."
        ) from error
    spec = find_spec(name)
    if spec is not None and getattr(restorer, "net", restorer) is None:
        raise ModelNotFoundError(
            f"The WebUI could not load its {restorer.name()}; its log says why. Put "
            f"{spec.file_name} ({spec.terms}) into {getattr(restorer, 'model_path', 'its folder')}."
        )
    change = torch.from_numpy(after.astype(np.float32) - before)
    return (image + change / 255).clamp(0.0, 1.0)
