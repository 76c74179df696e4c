"""Check the types of everything that is shipped.

    python dev/typed.py

`nodes/` has no package of its own: ComfyUI makes the whole folder one, under any name. So it is
checked below a link of a fixed name.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MYPY = [sys.executable, "-m", "mypy", "--cache-dir", str(ROOT / ".mypy_cache")]


def main() -> int:
    """Check both and return 0 only if all is right."""
    packages = subprocess.run(MYPY, cwd=ROOT, check=False).returncode
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pack").symlink_to(ROOT, target_is_directory=True)
        how = ["--config-file", str(ROOT / "pyproject.toml"), "--follow-imports", "silent"]
        nodes = subprocess.run([*MYPY, *how, "-p", "pack.nodes"], cwd=folder, check=False)
    return packages or nodes.returncode


if __name__ == "__main__":
    sys.exit(main())
