"""Draw an operation's parameters as gradio components (3.41 and 4.40)."""

from __future__ import annotations

from typing import Any

import gradio as gr

from upscale_bridge.params import Param, Value
from upscale_bridge.vendors import VENDORS

_SPELLINGS = {
    "url": "URL",
    "nsfw": "NSFW",
    "ttl": "TTL",
    "w": "width",
    "h": "height",
    "gfpgan": "GFPGAN",
    "codeformer": "CodeFormer",
    **{vendor.name: vendor.title for vendor in VENDORS},
}
_SLIDER_STEPS = 5000  # a slider with more cannot be set by hand


def label(item: Param) -> str:
    """Return a parameter's name as the WebUI writes names."""
    words = item.name.replace("_", " ").capitalize().split(" ")
    return " ".join(_SPELLINGS.get(word.lower(), word) for word in words)


def component(
    item: Param,
    choices: list[str] | None = None,
    default: Value | None = None,
    *,
    open_list: bool = False,
    visible: bool = True,
) -> Any:
    """Return the component of one parameter; `choices` make a list of a text, to which others can
    be typed if it is an `open_list`."""
    common: dict[str, Any] = {
        "label": label(item),
        "info": item.help,
        "value": item.default if default is None else default,
        "visible": visible,
    }
    if choices is not None or item.choices:
        common |= {"allow_custom_value": True} if open_list else {}
        return gr.Dropdown(choices=choices if choices is not None else list(item.choices), **common)
    match item.kind:
        case "bool":
            return gr.Checkbox(**common)
        case "text":
            return gr.Textbox(lines=1, **common)
        case "int" if not _fits_slider(item):
            return gr.Number(precision=0, **common)
    low = item.minimum if item.above is None else item.above
    return gr.Slider(minimum=low, maximum=item.maximum, step=item.step or 1, **common)


def _fits_slider(item: Param) -> bool:
    return item.maximum is not None and item.maximum <= _SLIDER_STEPS
