"""The operations that the WebUI offers, and the values of their parameters."""

from __future__ import annotations

from typing import Any

from upscale_bridge.contract.operation import RemoteOperation
from upscale_bridge.local.extras import LocalExtras
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.params import Operation, Param
from upscale_bridge.vendors import OPERATIONS

_ALL: tuple[type[Operation], ...] = (LocalUpscale, LocalExtras, *OPERATIONS)
KINDS = {kind.title: kind for kind in _ALL}
"""All of them by their titles, that of this machine first."""

_NOT_TOLD = ("when_too_large", "when_unavailable", "attempt", "download")


def always(kind: type[Operation]) -> dict[str, Any]:
    """Return what every run from the WebUI says: it has no place for the address of an image."""
    return dict(kind.without_address) if issubclass(kind, RemoteOperation) else {}


def parameters(kind: type[Operation]) -> list[Param]:
    """Return the parameters that the WebUI shows."""
    hidden = kind.client_only if issubclass(kind, RemoteOperation) else ()  # the image is the tab's
    return [item for item in kind.params() if item.name not in hidden]


def field(kind: type[Operation], item: Param) -> str:
    """Return the name of a parameter's value among all operations'."""
    return f"{kind.__name__}_{item.name}"


def made(kind: type[Operation], values: dict[str, Any]) -> Operation:
    """Return the operation of the panel's values; None and missing mean the default."""
    found = {item.name: values.get(field(kind, item)) for item in parameters(kind)}
    chosen = {name: value for name, value in found.items() if value is not None}
    return kind(**chosen, **always(kind))


def _matters(operation: Operation, item: Param) -> bool:
    """Tell whether a parameter has an effect that older infotexts would not have told."""
    chooser, value = item.only_for
    if chooser and getattr(operation, chooser) != value:
        return False
    return not item.later or getattr(operation, item.name) != item.default


def told(operation: Operation) -> str:
    """Return what an image's infotext says about an operation."""
    kind = type(operation)
    values = {
        item.name: getattr(operation, item.name)
        for item in parameters(kind)
        if item.name not in _NOT_TOLD and _matters(operation, item)
    }
    listed = ", ".join(f"{name} {value}" for name, value in values.items() if value != "")
    return f"{kind.title}: {listed}"
