"""The section "Upscale Bridge" of the WebUI's settings. Keys are never among them.

The WebUI writes its settings to config.json, into every page and into its bug reports.
"""

from __future__ import annotations

import html
import logging
from typing import Any

import gradio as gr
from modules import script_callbacks, shared

from upscale_bridge.contract.shared import SharedParams
from upscale_bridge.errors import UpscaleError
from upscale_bridge.params import Param
from upscale_bridge.storage.keys import Keys
from upscale_bridge.storage.settings import Settings, load_settings
from upscale_bridge.vendors import VENDORS

from .components import label
from .names import SETTING_PREFIX
from .wording import labelled

log = logging.getLogger("upscale_bridge")

SECTION = ("upscale_bridge", "Upscale Bridge")
_CATEGORY = "postprocessing"  # where newer hosts gather what enlarges images

_UNAVAILABLE = next(item for item in SharedParams.params() if item.name == "when_unavailable")
_OWN = (
    Param(
        "list_remote",
        "bool",
        True,
        "List the remote services among the upscalers of all tabs; takes effect with Reload UI.",
    ),
    _UNAVAILABLE,
)
_LATER = (
    Param(
        "pay_for_frames",
        "bool",
        False,
        "Let services enlarge the frames of a video, each a payment of its own (Forge Neo).",
    ),
)
_SHARED = tuple(item for item in Settings.params() if item.name != "keys_over_network")


def value(name: str) -> Any:
    """Return what was chosen for one of our settings, its default before the section exists."""
    item = next(item for item in (*_OWN, *_SHARED, *_LATER) if item.name == name)
    return getattr(shared.opts, SETTING_PREFIX + name, item.default)


def chosen_settings() -> Settings:
    """Return the settings; those never touched here come from the environment or the file."""
    chosen = {item.name: value(item.name) for item in _SHARED if value(item.name) != item.default}
    return load_settings(chosen)


def describe_keys() -> str:
    """Return HTML that tells which keys were found, and where others go."""
    keys = Keys()
    rows = []
    for vendor in VENDORS:
        try:
            found = keys.find(vendor.name)
            state = f"found ({found.origin})" if found else "not set"
        except UpscaleError as error:
            state = str(error)
        text = f"{vendor.title}: {state}. Environment variable {vendor.key_variable}."
        rows.append(f"<li>{html.escape(text)}</li>")
    return (
        f"<p>API keys (as of the last Reload UI):</p><ul>{''.join(rows)}</ul><p>They are never "
        "stored here: the WebUI would write them into its page and config.json. Set them in the "
        f"environment, or as JSON in {html.escape(str(keys.path))}: "
        f"<code>{{&quot;{VENDORS[0].name}&quot;: &quot;KEY&quot;}}</code>. Nothing needs a key "
        "to enlarge images on this machine.</p>"
    )


def add() -> None:
    """Draw the section."""
    try:
        shared.opts.add_option(SETTING_PREFIX + "keys", _told(describe_keys()))
        for item in (*_OWN, *_SHARED, *_LATER):
            shared.opts.add_option(SETTING_PREFIX + item.name, _drawn(item))
    except Exception:  # the WebUI would not start
        log.exception("Upscale Bridge cannot draw its settings.")


def _told(text: str) -> shared.OptionInfo:
    if hasattr(shared, "OptionHTML"):
        made = shared.OptionHTML(text)
    else:  # SD.Next, which hides what has no label
        made = shared.OptionInfo(text, "API keys", gr.HTML)
    made.section = SECTION
    made.category_id = _CATEGORY
    return made


def _drawn(item: Param) -> shared.OptionInfo:
    component: Any = gr.Textbox
    more: dict[str, Any] = {}
    if item.kind == "bool":
        component = gr.Checkbox
    elif item.kind == "choice":
        component, more = gr.Dropdown, {"choices": list(item.choices)}
    elif item.kind == "int":
        component, more = gr.Number, {"precision": 0}
    elif item.kind == "float":
        component = gr.Number
    made = shared.OptionInfo(item.default, label(item), component, more, section=SECTION)
    made.category_id = _CATEGORY
    return made.info(labelled(item.help))


def register() -> None:
    """Draw the section whenever the WebUI builds its page."""
    script_callbacks.on_ui_settings(add)
