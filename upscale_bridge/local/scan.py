"""Which weights files lie in a folder, looked for anew only where something has changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

EXTENSIONS = (".safetensors", ".sft", ".pth", ".pt", ".ckpt")
"""Weights files that can be loaded, best first when a name has several."""

_MOST_FOLDERS = 20_000
_UNSETTLED = 3_000_000_000  # ns; coarser than any file system tells times


@dataclass(frozen=True)
class Scan:
    """What was found below a folder."""

    files: dict[str, Path]
    """By their paths below the folder, with slashes; of the same name the best kind comes first."""
    changed: dict[Path, int | None]
    """When each of the folders was last changed, nanoseconds; None for what is no folder."""
    at: int
    """When it was looked at, nanoseconds."""

    def holds(self) -> bool:
        """Tell whether all is as it was; what has changed just before may do so unnoticed."""
        return all(
            then == _changed(folder) and (then or 0) + _UNSETTLED < self.at
            for folder, then in self.changed.items()
        )


def scan_folder(folder: Path) -> Scan:
    """Look at all files and folders below a folder."""
    at, entered = time.time_ns(), [folder]
    found = sorted(walk(folder, entered=entered), key=_order)
    files = {path.relative_to(folder).as_posix(): path for path in found}
    return Scan(files, {path: _changed(path) for path in entered}, at)


def _changed(folder: Path) -> int | None:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return None


def walk(
    folder: Path,
    extensions: Sequence[str] = EXTENSIONS,
    *,
    once: bool = True,
    entered: list[Path] | None = None,
) -> Iterable[Path]:
    """Yield the files of these kinds below `folder`; links are followed, as hosts do.

    Each folder is entered once, without a link if there is such a way; or under all its names,
    but for those that go in circles. All that were entered are put into `entered`.
    """
    seen: set[object] = set()
    linked: list[tuple[Path, tuple[object, ...]]] = [(folder, ())]
    while linked:
        near = [linked.pop(0)]
        while near and len(seen) < _MOST_FOLDERS:
            path, above = near.pop()
            place = _place(path)
            if place in above or (once and place in seen):
                continue
            seen.add(place if once else path)
            if entered is not None:
                entered.append(path)
            folders, files = _listed(path)
            yield from (file for file in files if file.name.lower().endswith(tuple(extensions)))
            for below in reversed(folders):
                (linked if below.is_symlink() else near).append((below, (*above, place)))


def _listed(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the folders and the files in a folder; none when it cannot be looked into."""
    try:
        with os.scandir(folder) as entries:  # which knows folders without looking at each
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return [], []
    folders: list[Path] = []
    files: list[Path] = []
    for entry in found:
        (folders if _is_folder(entry) else files).append(folder / entry.name)
    return folders, files


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself, for one
        return False


def _place(folder: Path) -> object:
    """Return what all names of a folder share; its path when it cannot be looked at."""
    try:
        found = folder.stat()
    except OSError:
        return folder
    return found.st_dev, found.st_ino


def _order(path: Path) -> tuple[str, int]:
    """Sort by name; where a name has several files the best kind comes first."""
    return stem_of(path.as_posix()), EXTENSIONS.index(path.suffix.lower())


def stem_of(name: str) -> str:
    """Return `name` without the extension of a weights file."""
    for extension in EXTENSIONS:
        if name.lower().endswith(extension):
            return name[: -len(extension)]
    return name
