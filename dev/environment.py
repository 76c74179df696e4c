"""Make the virtual environment `.venv` that the two commands run in.

Standard library only, and written so that an old Python can still say that it is too old.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
OLDEST = (3, 10)
NEEDED_BYTES = 2 * 2**30  # PyTorch for the CPU and the rest; with CUDA it is four times that


def prepare(*requirements: str) -> Path:
    """Install the named files of dev/ into `.venv` unless that is done; return its Python."""
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:2]))
        sys.exit(f"Python {found} is too old; run this with Python 3.10 or newer.")
    python = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    for name in requirements:
        file = ROOT / "dev" / name
        stamp = ENVIRONMENT / f"{file.stem}.installed"
        wanted = hashlib.sha256(file.read_bytes() + sys.version.encode()).hexdigest()
        if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
            continue
        _refuse_full_disk()
        if not python.exists():
            _make_environment()
        print(f"Installing {name} into {ENVIRONMENT} ...", flush=True)
        _pip(python, "install", "--quiet", "--requirement", str(file))
        stamp.write_text(wanted, encoding="ascii")
    return python


def prepare_aside(python: Path, package: str) -> Path:
    """Install one package, without what it needs, in a folder of its own; return the folder."""
    folder = ENVIRONMENT / package
    if not folder.exists():
        _pip(python, "install", "--quiet", "--no-deps", "--target", str(folder), package)
    return folder


def _refuse_full_disk() -> None:
    free = shutil.disk_usage(str(ROOT)).free
    if free < NEEDED_BYTES:
        sys.exit(
            f"The disk of {ROOT} has {free / 2**30:.1f} GiB free; "
            f"{NEEDED_BYTES / 2**30:.0f} GiB are needed (8 GiB for a PyTorch with CUDA). "
            "Free some space and run this again."
        )


def _make_environment() -> None:
    done = subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=False)
    if done.returncode:
        shutil.rmtree(str(ENVIRONMENT), ignore_errors=True)
        sys.exit(
            "Python could not make a virtual environment; its reason stands above. "
            "On Debian and Ubuntu, install the package python3-venv and run this again."
        )


def _pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", *arguments, "--disable-pip-version-check"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode == 0:
        return
    sys.stderr.write(done.stderr)
    if "No space left" in done.stderr:
        sys.exit(f"The disk of {ROOT} is full. Free 8 GiB and run this again.")
    sys.exit("pip failed; its reason stands above. Check the network and run this again.")
