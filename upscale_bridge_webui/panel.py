"""The panel "Upscale Bridge" of the Extras tab: every operation with all its parameters."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr
from modules import scripts_postprocessing
from modules.ui_components import InputAccordion

from upscale_bridge.errors import StoppedError
from upscale_bridge.local.operation import LocalOperation, LocalUpscale
from upscale_bridge.params import Operation, Param

from . import ahead, extras, host, lists
from .components import component
from .operations import KINDS, field, made, parameters, told
from .run import run
from .wording import labelled

log = logging.getLogger("upscale_bridge")


class Panel(scripts_postprocessing.ScriptPostprocessing):  # type: ignore[misc]
    """Runs one operation on each image of the Extras tab, after the tab's own upscalers.

    What entries of ours did among these is added to the infotext.
    """

    name = "Upscale Bridge"
    order = 1100

    def ui(self) -> dict[str, Any]:
        """Draw the panel; an error here would keep the WebUI from starting."""
        try:
            return draw()
        except Exception:
            log.exception("Upscale Bridge cannot draw its panel.")
            return {}

    def process_firstpass(
        self, pp: object, enable: bool | None = None, operation: str | None = None, **values: Any
    ) -> None:
        """Begin with an image; called for all scripts before any of them does something."""
        extras.begin(pp, panel=bool(enable) and operation in KINDS)

    def process(
        self,
        pp: scripts_postprocessing.PostprocessedImage,
        enable: bool | None = None,
        operation: str | None = None,
        **values: Any,
    ) -> None:
        """Enlarge `pp.image`; the API passes None for everything, which means off."""
        if not enable or operation not in KINDS:
            pp.info.update(extras.infotext(pp.image))
            return
        extras.refuse_panel(pp)
        with host.translated():
            wanted = made(KINDS[operation], values)
        extras.refuse_frames(wanted)
        try:
            pp.image, summary = run(wanted, pp.image, lambda _: wanted)
        except StoppedError:
            extras.stop(type(wanted))
            return
        pp.info[extras.TOLD], pp.info[extras.RESULT] = told(wanted), summary


def draw() -> dict[str, Any]:
    """Return all components by the names under which `process` gets their values."""
    first = LocalUpscale.title
    found: dict[str, Any] = {}
    groups = []
    with _switch() as enable:
        operation = gr.Dropdown(
            choices=list(KINDS),
            value=first,
            label="Upscale with",
            info="On this machine, or by a service that needs a key and bills each image once.",
        )
        for title, kind in KINDS.items():
            with gr.Column(visible=title == first) as group:
                gr.Markdown(_about(kind))
                drawn = _draw_parameters(kind, advanced=False)
                with gr.Accordion("Rarely changed", open=False):
                    drawn |= _draw_parameters(kind, advanced=True)
            _show_what_matters(kind, drawn)
            found |= drawn
            groups.append(group)
        ahead.draw(operation, found)
    operation.change(
        partial(_visibility, list(KINDS)),
        inputs=[operation],
        outputs=groups,
        show_progress=False,
    )
    return {"enable": enable, "operation": operation, **found}


@contextmanager
def _switch() -> Iterator[Any]:
    """Draw what turns the panel on, around or above what is drawn meanwhile.

    SD.Next puts every script into an accordion of its name and shows no box in ours, so that a look
    inside would turn it on: there it is a box as its own scripts have.
    """
    if host.is_sdnext():
        yield gr.Checkbox(value=False, label=f"Enable {Panel.name}")
    else:
        with InputAccordion(False, label=Panel.name) as enable:
            yield enable


def _about(kind: type[Operation]) -> str:
    """Return what an operation does, and its vendor's announcement of its end."""
    retirement = getattr(kind, "retirement", "")
    return f"{kind.__doc__}\n\n{retirement}." if retirement else kind.__doc__ or ""


def _draw_parameters(kind: type[Operation], *, advanced: bool) -> dict[str, Any]:
    found = {}
    for item in parameters(kind):
        if item.advanced is advanced:
            found[field(kind, item)] = drawn = _draw_parameter(kind, item)
            # The WebUI tells stored defaults apart by their labels only.
            drawn.do_not_save_to_config = True
    return found


def _draw_parameter(kind: type[Operation], item: Param) -> Any:
    if kind is LocalUpscale and item.name == "tile_size":
        return component(item, default=host.tile_size(int(item.default)))
    chooser, value = item.only_for
    defaults = {one.name: one.default for one in parameters(kind)}
    return component(
        replace(item, help=labelled(item.help)),
        choices=lists.choices(kind, item),
        open_list=not issubclass(kind, LocalOperation) and not item.choices,
        visible=not chooser or defaults[chooser] == value,
    )


def _show_what_matters(kind: type[Operation], drawn: dict[str, Any]) -> None:
    """Show parameters that belong to one choice of another only while that is chosen."""
    for chooser in parameters(kind):
        items = [item for item in parameters(kind) if item.only_for[0] == chooser.name]
        if items:
            drawn[field(kind, chooser)].change(
                partial(_visibility, [item.only_for[1] for item in items]),
                inputs=[drawn[field(kind, chooser)]],
                outputs=[drawn[field(kind, item)] for item in items],
                show_progress=False,
            )


def _visibility(values: list[str], chosen: str) -> list[Any]:
    return [gr.update(visible=value == chosen) for value in values]
