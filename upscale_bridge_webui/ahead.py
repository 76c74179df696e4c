"""The lower end of the panel: what is known before a run, and two buttons.

The text follows the values and the image of the tab by itself, and asks nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
from modules import script_callbacks

from upscale_bridge.contract.operation import RemoteOperation
from upscale_bridge.errors import UpscaleError

from . import advice, lists, upscalers
from .operations import KINDS, field, parameters

_IMAGE = "extras_image"
_SIZE = """async (width, height, ...values) => {
    await new Promise((go) => setTimeout(go, 100));  // the page is drawn anew first
    const image = gradioApp().querySelector("#extras_image img");
    if (!image || !image.offsetParent) return [0, 0, ...values];
    try { await image.decode(); } catch { }
    return [image.naturalWidth, image.naturalHeight, ...values];
}"""
"""Puts the size of the image that the Extras tab shows before the values; 0 where there is none."""

_shown: dict[str, Any] = {}
"""The component of the tab's image, while the page is drawn."""


def draw(operation: Any, found: dict[str, Any]) -> None:
    """Draw it below the components `found`, of all operations, of which `operation` names one."""
    first = operation.value
    with gr.Row():
        refresh = gr.Button("Refresh models", size="sm")
        price = gr.Button("Ask for the price", size="sm", visible=_is_priced(first))
    width, height = gr.Number(value=0, visible=False), gr.Number(value=0, visible=False)
    notes = gr.HTML(value=advice.advice(first, {}, None))
    inputs = [width, height, operation, *found.values()]
    event: dict[str, Any] = {"inputs": inputs, "show_progress": False, "_js": _SIZE}
    listed = {
        field(kind, item): (kind, item)
        for kind in KINDS.values()
        for item in parameters(kind)
        if lists.choices(kind, item) is not None
    }

    def told(title: str, values: dict[str, Any], size: Any) -> Any:
        return advice.advice(title, values, size)

    def told_price(title: str, values: dict[str, Any], size: Any) -> Any:
        return advice.advice(title, values, size) + advice.price(title, values)

    def refreshed(title: str, values: dict[str, Any], size: Any) -> Any:
        problem = _refresh(title)
        changes = [gr.update(choices=lists.choices(*one)) for one in listed.values()]
        return [advice.advice(title, values, size) + problem, *changes]

    def chosen(title: str, values: dict[str, Any], size: Any) -> Any:
        return advice.advice(title, values, size), gr.update(visible=_is_priced(title))

    names = list(found)
    for one in found.values():
        _when_set(one)(_with_values(told, names), outputs=[notes], **event)
    operation.change(_with_values(chosen, names), outputs=[notes, price], **event)
    price.click(_with_values(told_price, names), outputs=[notes], **event)
    lists_of_models = [found[name] for name in listed]
    refresh.click(_with_values(refreshed, names), outputs=[notes, *lists_of_models], **event)
    if _IMAGE in _shown:
        _shown[_IMAGE].change(_with_values(told, names), outputs=[notes], **event)


def _with_values(tell: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
    def handle(width: float, height: float, title: str, *values: Any) -> Any:
        size = (int(width), int(height)) if width and height else None
        return tell(title, dict(zip(names, values, strict=True)), size)

    return handle


def _when_set(one: Any) -> Any:
    """Return the event that comes once when a user has set a component."""
    if isinstance(one, gr.Slider):
        return one.release
    return one.blur if isinstance(one, gr.Textbox) else one.change


def _is_priced(title: str) -> bool:
    kind = KINDS.get(title)
    return kind is not None and issubclass(kind, RemoteOperation) and kind.pricing is not None


def _refresh(title: str) -> str:
    upscalers.add()  # for pages that are opened from now on
    try:
        lists.refresh(KINDS[title])
    except UpscaleError as error:
        return advice.problem(error)
    return ""


def register() -> None:
    """Find the tab's image whenever the WebUI builds its page."""

    def look(component: Any, **options: Any) -> None:
        if options.get("elem_id") == _IMAGE:
            _shown[_IMAGE] = component

    script_callbacks.on_before_ui(_shown.clear)
    script_callbacks.on_after_component(look)
