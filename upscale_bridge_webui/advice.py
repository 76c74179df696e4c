"""What the panel says before a run: size, key, model and licence; the price on request.

`advice` asks nobody, as long as the setting show_prices is off.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

from upscale_bridge.contract.operation import RemoteOperation
from upscale_bridge.errors import UpscaleError
from upscale_bridge.params import Operation
from upscale_bridge.preflight import Note, advise, ask_price

from . import host
from .operations import KINDS, made
from .wording import reworded

_MARKS = {"missing": "<b>This would fail:</b> ", "warning": "<b>Note:</b> ", "info": ""}


def advice(title: str, values: dict[str, Any], size: tuple[int, int] | None) -> str:
    """Return HTML about the operation of a title on an image of `size` (width, height)."""
    try:
        operation = made(KINDS[title], values)
        found = advise(host.service(), operation, size)
        lines = [_line(note) for note in found.notes]
        if found.size is not None:
            width, height = found.size
            lines.insert(0, f"Result: {width} x {height} px.")
        if any(note.way == "price now" for note in found.notes):
            lines += _price(operation)
    except UpscaleError as error:
        return problem(error)
    return _shown(lines)


def price(title: str, values: dict[str, Any]) -> str:
    """Ask the service of an operation what an image costs and what is left; return HTML.

    It is not billed.
    """
    try:
        return _shown(_price(made(KINDS[title], values)))
    except UpscaleError as error:
        return problem(error)


def problem(error: UpscaleError) -> str:
    """Return HTML about an error."""
    return _shown([f"<b>{_escaped(error)}</b>"])


def _price(operation: Operation) -> list[str]:
    if not isinstance(operation, RemoteOperation):
        return []
    told = ask_price(host.service(), operation)
    return [_escaped(text) for text in told] or ["The service tells no price."]


def _line(note: Note) -> str:
    text = _MARKS[note.level] + _escaped(note.text)
    if note.way == "key":
        text += " Settings / Upscale Bridge says how to set it."
    if note.way == "download" and note.level != "info":
        text += " Tick Download to have it fetched."
    return text


def _escaped(text: object) -> str:
    return html.escape(reworded(str(text)))


def _shown(lines: Iterable[str]) -> str:
    return "".join(f"<p>{line}</p>" for line in lines)
