"""Draw an operation's parameters as ComfyUI widgets."""

from __future__ import annotations

from typing import Any

from ..upscale_bridge.params import Operation, Param

_TYPES = {"int": "INT", "float": "FLOAT", "bool": "BOOLEAN", "text": "STRING"}
_FINEST = 0.001


def widgets(operation: type[Operation]) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Return ComfyUI's description of every parameter, in order."""
    return {item.name: widget(item) for item in operation.params()}


def by_group(
    operation: type[Operation], drawn: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the widgets that a prompt must name, and those that older ones do not know.

    ComfyUI refuses a prompt that lacks a required input.
    """
    later = {item.name for item in operation.params() if item.later}
    required = {name: one for name, one in drawn.items() if name not in later}
    return required, {name: one for name, one in drawn.items() if name in later}


def widget(item: Param, choices: list[str] | None = None) -> tuple[Any, dict[str, Any]]:
    """Return ComfyUI's description of one parameter; `choices` make a list of a text."""
    options: dict[str, Any] = {"default": item.default, "tooltip": item.help}
    if item.advanced:
        options["advanced"] = True
    if choices is not None or item.kind == "choice":
        return (list(choices if choices is not None else item.choices), options)
    if item.minimum is not None:
        options["min"] = item.minimum
    if item.above is not None:
        options["min"] = item.above + _FINEST
    if item.maximum is not None:
        options["max"] = item.maximum
    if item.step is not None:
        options["step"] = item.step
    if item.kind == "float":
        options["round"] = _FINEST  # finer than the step, so that 1.333 can be typed
    return (_TYPES[item.kind], options)
