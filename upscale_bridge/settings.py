"""The user's data folder; the only reader of environment variables."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .errors import SettingsError

HOME_VARIABLE = "UPSCALE_BRIDGE_HOME"


def home() -> Path:
    """Return the folder of settings, models, journal and cache; it need not exist yet.

    `UPSCALE_BRIDGE_HOME` wins; else the place the operating system has for such data.
    """
    override = os.environ.get(HOME_VARIABLE, "").strip()
    if override:
        return Path(override).expanduser()
    if sys.platform == "win32":
        return (
            Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "upscale-bridge"
        )
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/upscale-bridge"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "upscale-bridge"


def make_folder(path: Path) -> Path:
    """Create `path` with all parents, or raise `SettingsError`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"Cannot create the folder {path} ({error.strerror}); "
            f"point {HOME_VARIABLE} at a folder that you can write to."
        ) from error
    return path
