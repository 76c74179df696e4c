"""Install what the host lacks of requirements.txt; hosts run this once or at every start.

Standard library only. Says and does nothing when everything is there. A package that is present
is left alone whatever its version: the host chose it. Without a network it costs one quick try a
day, not one at every start.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

_DAY = 86_400.0


def missing(requirements: str) -> list[str]:
    """Return the lines of `requirements` whose package cannot be imported."""
    lines = [line.strip() for line in requirements.splitlines() if line.strip()]
    return [line for line in lines if importlib.util.find_spec(_package(line)) is None]


def _package(requirement: str) -> str:
    return re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0].replace("-", "_")


def main() -> int:
    """Install the missing packages with pip; return the exit status, 0 when that is put off."""
    text = Path(__file__).with_name("requirements.txt").read_text(encoding="utf-8")
    wanted = missing(text)
    if not wanted or "--skip-install" in sys.argv:
        return 0
    names = ", ".join(wanted)
    obstacle = _obstacle()
    if obstacle:
        print(f"Upscale Bridge needs {names}, and {obstacle}.", flush=True)
        return 1
    failure = _failure(wanted)
    again = f"the next try is tomorrow, or at the next start once {failure} is removed"
    if _is_of_today(failure):
        print(f"Upscale Bridge needs {names}, which could not be installed; {again}.", flush=True)
        return 0
    print(f"Upscale Bridge installs {names}", flush=True)
    status = _install(wanted)
    if status:
        print(f"Upscale Bridge could not install {names}; {again}.", flush=True)
        with contextlib.suppress(OSError):  # then it is tried at the next start
            failure.touch()
    else:
        failure.unlink(missing_ok=True)
    return status


def _install(wanted: list[str]) -> int:
    """Install packages; what fails ends it, since the rest would wait for the same network."""
    # --no-deps for spandrel: it must not bring another torch into the host's environment.
    plain = [line for line in wanted if not line.startswith("spandrel")]
    alone = [line for line in wanted if line.startswith("spandrel")]
    if alone:
        plain += [name for name in ("safetensors", "einops", "typing_extensions") if _lacks(name)]
    return (_pip(*plain) if plain else 0) or (_pip("--no-deps", *alone) if alone else 0)


def _obstacle() -> str:
    """Return what keeps pip from installing anything here, and what to do; empty for nothing."""
    if sys.prefix != sys.base_prefix:  # a virtual environment
        place = sysconfig.get_path("purelib")
        if os.access(place, os.W_OK):
            return ""
        return (
            f"{place} cannot be written: have its owner install that, or run the host from an "
            "environment of your own"
        )
    if Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").is_file():
        return (
            "this Python belongs to the operating system (PEP 668): run the host from a virtual "
            f"environment ({sys.executable} -m venv FOLDER)"
        )
    return ""


def _failure(wanted: list[str]) -> Path:
    """Return the file whose time is that of the last failure for these packages and this Python."""
    about = "\n".join([sys.prefix, *wanted])
    name = hashlib.sha256(about.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"upscale-bridge-install-{name}")


def _is_of_today(failure: Path) -> bool:
    try:
        return 0 <= time.time() - failure.stat().st_mtime < _DAY
    except OSError:
        return False


def _lacks(name: str) -> bool:
    return importlib.util.find_spec(name) is None


def _pip(*arguments: str) -> int:
    index = os.environ.get("INDEX_URL", "")  # the WebUI's launcher goes by it
    chosen = ["--index-url", index] if index else []
    options = ["--prefer-binary", "--retries=0", "--timeout=5", *chosen]
    command = [sys.executable, "-m", "pip", "install", *options, *arguments]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
