"""The core's sentences as a user of the WebUI can follow them.

They name commands of the shell as `upscale-bridge WORDS`. An extension puts no command on the path:
where the WebUI has a place of its own that is named, else what runs the command from its folder.
Parameters and settings have their labels in place of their names.
"""

from __future__ import annotations

import re
import shutil
import sys
from functools import lru_cache
from pathlib import Path

from upscale_bridge.params import Params
from upscale_bridge.storage.settings import Settings

from .components import label
from .operations import KINDS

_FOLDER = Path(__file__).parents[1]
_KEYS = re.compile(r"(or |, )(?:run )?`upscale-bridge keys set [^`]+`(?: \(in ComfyUI: [^)]*\))?")
_DOWNLOAD = re.compile(r"run `upscale-bridge models download [^`]+`, ")
_FETCH = re.compile(r"by `upscale-bridge models download [^`]+`")
_NAME = re.compile(r"\b[a-z]+(?:_[a-z0-9]+)+\b")
_COMMAND = re.compile(r"`upscale-bridge ([^`]+)`")


def reworded(text: str) -> str:
    """Return a message of the core in the WebUI's words."""
    text = _KEYS.sub(r"\1see Settings / Upscale Bridge", text)
    text = _DOWNLOAD.sub("", text)
    text = _FETCH.sub("with the panel Upscale Bridge of the Extras tab", text)
    text = labelled(text)
    return text if shutil.which("upscale-bridge") else _COMMAND.sub(_from_folder, text)


def labelled(text: str) -> str:
    """Return a text with the labels of parameters and settings in place of their names."""
    labels = _labels()
    return _NAME.sub(lambda found: labels.get(found[0], found[0]), text)


@lru_cache(maxsize=1)
def _labels() -> dict[str, str]:
    kinds: tuple[type[Params], ...] = (*KINDS.values(), Settings)
    items = [item for kind in kinds for item in kind.params()]
    return {item.name: f"'{label(item)}'" for item in items if "_" in item.name}


def _from_folder(found: re.Match[str]) -> str:
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    return f"`{python} -m upscale_bridge {found[1]}` in the folder {_FOLDER}"
