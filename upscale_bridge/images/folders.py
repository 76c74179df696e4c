"""Which files of a folder are pictures."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from .headers import sniff

WRITTEN = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
}
"""Endings of names under which results are written, and their formats."""

READ = {
    *WRITTEN,
    *(".apng", ".jif", ".jfi", ".mpo", ".btf", ".tf8", ".bmp", ".dib", ".gif", ".avif"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".pfm"),
}
"""Endings of formats that are read."""

NOT_READ = {
    *(".heic", ".heif", ".hif", ".avifs", ".jxl", ".jp2", ".j2k", ".jpf", ".jpx", ".jpc", ".j2c"),
    *(".tga", ".psd", ".psb", ".xcf", ".kra", ".exr", ".hdr", ".dds", ".pcx", ".sgi", ".qoi"),
    *(".ico", ".icns", ".cur", ".svg", ".eps", ".ai", ".pdf", ".wmf", ".emf", ".xbm", ".xpm"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2", ".pef", ".srw", ".jxr"),
}
"""Endings of pictures that are not, unless their first bytes tell another format."""

_FOREIGN_FOLDERS = {"@eadir", "__macosx", "#recycle", "$recycle.bin"}
# What a NAS, macOS and Windows put there: thumbnails, other data, what was thrown away.

Identity = tuple[int, int] | Path


def identity(path: Path) -> Identity:
    """Return what all names of a file or folder share; its path when it is not there."""
    try:
        found = path.stat()
    except OSError:
        return path.resolve() if path.is_absolute() else Path.cwd() / path
    return found.st_dev, found.st_ino


def is_there(path: Path) -> bool:
    """Tell whether something has this name, False when the system will not say.

    `Path.exists` raises for names that are too long and for folders that are closed.
    """
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def is_folder(path: Path) -> bool:
    """Tell whether it is a folder, False when the system will not say."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def pictures(
    folder: Path,
    *,
    recursive: bool,
    without: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[tuple[Path, bool]]:
    """Yield every picture in a folder, in order, and whether its format is read.

    Links to folders are followed, each folder is entered once. Hidden files and folders are passed
    over, and those of other programs; so is the folder `without`.
    """
    seen = {identity(folder)}
    if without is not None and identity(without) != identity(folder):
        seen.add(identity(without))

    def unreadable(error: OSError) -> None:
        say(f"{error.filename} cannot be looked into ({error.strerror}).")

    for root, folders, names in os.walk(folder, followlinks=True, onerror=unreadable):
        kept = []
        for name in sorted(folders) if recursive else ():
            if name.startswith(".") or name.casefold() in _FOREIGN_FOLDERS:
                continue
            below = identity(Path(root, name))
            if below not in seen:
                seen.add(below)
                kept.append(name)
        folders[:] = kept
        for name in sorted(names):
            path = Path(root, name)
            ending = path.suffix.lower()
            if name.startswith(".") or ending not in (READ | NOT_READ) or not path.is_file():
                continue
            yield path, ending in READ or _is_readable(path)


def _is_readable(path: Path) -> bool:
    """Tell whether a file with an ending of another format is one that is read."""
    try:
        with path.open("rb") as file:
            return sniff(file.read(256)).islower()
    except OSError:
        return False
