"""The core's sentences as a user of the WebUI can follow them.

They name commands of the shell as `upscale-bridge WORDS`. An extension puts no command on the path:
where the WebUI has a place of its own that is named, else what runs the command from its folder.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

_FOLDER = Path(__file__).parents[1]
_KEYS = re.compile(r"(or |, )(?:run )?`upscale-bridge keys set [^`]+`(?: \(in ComfyUI: [^)]*\))?")
_DOWNLOAD = re.compile(r"run `upscale-bridge models download [^`]+`, ")
_FETCH = re.compile(r"by `upscale-bridge models download [^`]+`")
_COMMAND = re.compile(r"`upscale-bridge ([^`]+)`")


def reworded(text: str) -> str:
    """Return a message of the core in the WebUI's words."""
    text = _KEYS.sub(r"\1see Settings / Upscale Bridge", text)
    text = _DOWNLOAD.sub("", text)
    text = _FETCH.sub("with the panel Upscale Bridge of the Extras tab", text)
    return text if shutil.which("upscale-bridge") else _COMMAND.sub(_from_folder, text)


def _from_folder(found: re.Match[str]) -> str:
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    return f"`{python} -m upscale_bridge {found[1]}` in the folder {_FOLDER}"
