"""Install what the host lacks of requirements.txt; hosts run this once or at every start.

Standard library only. Says and does nothing when everything is there. A package that is present
is left alone whatever its version: the host chose it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path


def missing(requirements: str) -> list[str]:
    """Return the lines of `requirements` whose package cannot be imported."""
    lines = [line.strip() for line in requirements.splitlines() if line.strip()]
    return [line for line in lines if importlib.util.find_spec(_package(line)) is None]


def _package(requirement: str) -> str:
    return re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0].replace("-", "_")


def main() -> int:
    """Install the missing packages with pip; return pip's exit status."""
    text = Path(__file__).with_name("requirements.txt").read_text(encoding="utf-8")
    wanted = missing(text)
    if not wanted or "--skip-install" in sys.argv:
        return 0
    print("Upscale Bridge installs " + ", ".join(wanted), flush=True)
    # --no-deps for spandrel: it must not bring another torch into the host's environment.
    plain = [line for line in wanted if not line.startswith("spandrel")]
    alone = [line for line in wanted if line.startswith("spandrel")]
    status = _pip(*plain) if plain else 0
    if alone:
        needs = [n for n in ("safetensors", "einops", "typing_extensions") if _lacks(n)]
        status = (_pip(*needs) if needs else 0) or _pip("--no-deps", *alone) or status
    return status


def _lacks(name: str) -> bool:
    return importlib.util.find_spec(name) is None


def _pip(*arguments: str) -> int:
    index = os.environ.get("INDEX_URL", "")  # the WebUI's launcher goes by it
    chosen = ["--index-url", index] if index else []
    command = [sys.executable, "-m", "pip", "install", "--prefer-binary", *chosen, *arguments]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
