"""Run lint, types and all tests; nothing else decides whether a change is good.

    python3 dev/check.py [pytest arguments]

Makes `.venv` on the first run.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from environment import ROOT, prepare, prepare_aside

NOVITA_CLIENT_V2 = "novita-client==0.5.3"  # the last release that speaks v2
# Whole files, in their order: those that start a server or a browser do so once. Some tests wait
# for a process or a time limit, so that three at once keep two cores busy. `-n 0` is one.
THREE_AT_ONCE = ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")
IN_MEMORY = Path("/dev/shm")  # a disk makes databases wait at each transaction
NEEDED_BYTES = 4 * 2**30  # tests leave 0.7 GB


def main() -> int:
    """Run every check to its end and return 0 only if all passed."""
    python = prepare("requirements.txt", "requirements-check.txt")
    os.environ["NOVITA_CLIENT_V2"] = str(prepare_aside(python, NOVITA_CLIENT_V2))
    with ExitStack() as stack:
        files = files_in_memory(stack)
        commands = checks(python, *files, *sys.argv[1:])
        failed = [name for name, command in commands.items() if not passes(name, command)]
    if failed:
        print("Failed: " + ", ".join(failed), flush=True)
    return 1 if failed else 0


def files_in_memory(stack: ExitStack) -> tuple:
    """Return what makes pytest keep its files in memory until the stack ends, if there is room."""
    if not IN_MEMORY.is_dir() or not os.access(str(IN_MEMORY), os.W_OK):
        return ()
    if shutil.disk_usage(str(IN_MEMORY)).free < NEEDED_BYTES:
        return ()
    if os.statvfs(str(IN_MEMORY)).f_flag & os.ST_NOEXEC:  # some tests install programs
        return ()
    folder = stack.enter_context(tempfile.TemporaryDirectory(dir=str(IN_MEMORY)))
    return ("--basetemp", str(Path(folder) / "tests"))


def checks(python: Path, *chosen: str) -> dict:
    """Return each check's name and command; `chosen` goes to pytest."""
    tool = [str(python), "-m"]
    return {
        "lint": [*tool, "ruff", "check", "."],
        "format": [*tool, "ruff", "format", "--check", "."],
        "types": [str(python), "dev/typed.py"],
        "tests": [*tool, "pytest", *THREE_AT_ONCE, *chosen],
    }


def passes(name: str, command: list) -> bool:
    """Run one check in the project's root."""
    print(f"== {name}", flush=True)
    return subprocess.run(command, cwd=str(ROOT), check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
