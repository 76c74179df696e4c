"""Files of results, which bear the names of their requests.

A file that is on its way is called REQUEST.OWNER.RANDOM.part, so that those of dead programs are
known without a clock. It gets its final name once all of it is on the disk.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

_PART = ".part"


def part_name(request: str, owner: str) -> str:
    """Return a new name for a file that is on its way to the program `owner`."""
    return f"{request}.{owner}.{secrets.token_hex(4)}{_PART}"


def remove_files(folder: Path, request: str) -> None:
    """Remove all files of a request but those that are on their way."""
    for path in folder.glob(f"{request}.*"):
        if path.suffix != _PART:
            path.unlink(missing_ok=True)


def remove_parts(folder: Path, lives: Callable[[str], bool]) -> None:
    """Remove the files that were on their way to programs that do not live any more."""
    for path in folder.glob(f"*{_PART}"):
        _, _, owner = path.stem.partition(".")
        if not lives(owner.partition(".")[0]):
            path.unlink(missing_ok=True)
