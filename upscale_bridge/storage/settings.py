"""The user's data folder and settings; the only reader of environment variables."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInputError, SettingsError
from ..params import Params, param
from ..vendors import VENDORS

if TYPE_CHECKING:
    from ..contract.vendor import Vendor

HOME_VARIABLE = "UPSCALE_BRIDGE_HOME"
FILE = "settings.json"


def _address(vendor: Vendor) -> tuple[str, type, Any]:
    title = vendor.title
    help = f"Address of a host that speaks {title}'s API; empty: {title}."
    return address_name(vendor.name), str, param("", help)


def address_name(vendor: str) -> str:
    """Return the setting that holds the address of a vendor, by its name."""
    return f"{vendor}_base_url"


if TYPE_CHECKING:
    _Addresses = Params
else:
    _Addresses = make_dataclass("_Addresses", map(_address, VENDORS), bases=(Params,), frozen=True)


@dataclass(frozen=True)
class Settings(_Addresses):
    """The user's choices that hold for all hosts of this machine.

    First comes the base URL of each vendor (novita_base_url, ...); empty is the vendor's own.
    """

    concurrency: int = param(
        3, "Images that one vendor works on at the same time.", minimum=1, maximum=64
    )
    task_seconds: int = param(
        600, "Longest wait for a running task, in seconds.", minimum=10, maximum=86_400
    )
    queue_seconds: int = param(
        3600, "Longest wait for a queued task, in seconds.", minimum=10, maximum=604_800
    )
    result_days: int = param(
        7, "Days for which results are kept and reused.", minimum=1, maximum=3650
    )
    keys_over_network: bool = param(
        False,
        "Let ComfyUI's page set keys from other machines too, not only from the one it runs on.",
    )
    show_prices: bool = param(
        False,
        "Ask services that tell prices what a run will cost whenever its settings change; without, "
        "they are asked on request.",
    )
    max_cost_run: float = param(
        0.0,
        "US dollars that one run may cost; one that would cost more, or whose price nobody tells, "
        "is refused before anything is submitted. 0 means no limit.",
        minimum=0.0,
        maximum=100_000.0,
        step=0.01,
    )
    max_cost_day: float = param(
        0.0,
        "The same for all that was submitted from this machine in the last 24 hours.",
        minimum=0.0,
        maximum=100_000.0,
        step=0.01,
    )

    def base_url(self, vendor: str) -> str:
        """Return the address set for a vendor's name; empty for the vendor's own."""
        value: str = getattr(self, address_name(vendor))
        return value


def load_settings(host: Mapping[str, object] | None = None) -> Settings:
    """Return the settings: those of `host`, else the environment's, else the file's, else defaults.

    The environment has the base URLs alone (NOVITA_BASE_URL, ...). Raises `SettingsError`.
    """
    file, chosen = _read_file(), {**_read_environment(), **(host or {})}
    values = {**file, **chosen}
    known = {item.name for item in Settings.params()}
    try:
        return Settings(**{name: value for name, value in values.items() if name in known})  # type: ignore[arg-type]
    except InvalidInputError as error:
        place = "the host's settings" if error.name in chosen else str(home() / FILE)
        raise SettingsError(f"{error} Mend it in {place}.") from error


def environment(name: str) -> str:
    """Return an environment variable, empty when it is not set."""
    return os.environ.get(name, "").strip()


def home() -> Path:
    """Return the folder of settings, models, journal and results; it need not exist yet.

    `UPSCALE_BRIDGE_HOME` wins; else the place the operating system has for such data.
    """
    override = environment(HOME_VARIABLE)
    if override:
        return Path(override).expanduser()
    if sys.platform == "win32":
        return (
            Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "upscale-bridge"
        )
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/upscale-bridge"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "upscale-bridge"


def make_folder(path: Path, *, private: bool = False) -> Path:
    """Create `path` with all parents, or raise `SettingsError`; `private` is for its owner only."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o777)
    except OSError as error:
        raise SettingsError(
            f"Cannot create the folder {path} ({error.strerror}); "
            f"point {HOME_VARIABLE} at a folder that you can write to."
        ) from error
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all; raises `SettingsError`."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        # Its mode is right before the first byte is in it.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except OSError as error:
        raise SettingsError(f"Cannot write {path} ({error.strerror}).") from error
    finally:
        temporary.unlink(missing_ok=True)


def _read_environment() -> dict[str, object]:
    found = {address_name(one.name): environment(one.url_variable) for one in VENDORS}
    return {name: value for name, value in found.items() if value}


def _read_file() -> dict[str, object]:
    path = home() / FILE
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"Cannot read {path} ({error}); mend or remove it.") from error
    if not isinstance(found, dict):
        raise SettingsError(f"{path} must hold a JSON object; mend or remove it.")
    return found
