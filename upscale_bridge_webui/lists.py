"""Lists of what a parameter may be, as far as this machine knows: models and upscalers."""

from __future__ import annotations

from modules import shared

from upscale_bridge.contract.enlarging import NO_MODEL
from upscale_bridge.contract.operation import RemoteOperation
from upscale_bridge.local.extras import NO_MODELS, LocalExtras
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.params import Operation, Param

from . import host
from .names import PREFIX


def choices(kind: type[Operation], item: Param) -> list[str] | None:
    """Return what may be chosen for a text, None for one that has no list; asks nobody."""
    if kind is LocalUpscale and item.name == "model":
        return _models()
    if kind is LocalUpscale and item.name == "mixed_with":
        return [NO_MODEL, *_models()]
    if kind is LocalExtras and item in LocalExtras.upscalers():
        return [*_models(), *NO_MODELS]
    if issubclass(kind, RemoteOperation) and kind.catalogue is not None and item.name == "model":
        return [model.name for model in host.service().client.models(kind)]
    if item.suggestions:  # upscalers, as the WebUI spells them
        others = [one.name for one in shared.sd_upscalers if not one.name.startswith(PREFIX)]
        return [*dict.fromkeys(["", *item.suggestions, *others])]
    return None


def _models() -> list[str]:
    return [entry.name for entry in host.service().library.entries()]


def refresh(kind: type[Operation]) -> None:
    """Ask a service for its catalogue where a key is set; raises an `UpscaleError`."""
    if issubclass(kind, RemoteOperation) and kind.catalogue is not None:
        client = host.service().client
        if not client.hosts.lacks_key(kind.vendor):
            client.offers.refresh(kind)
