"""Which files of a folder are pictures, or videos."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import videos
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


@dataclass(frozen=True)
class Kind:
    """Files of one kind, by the endings of their names."""

    word: str
    """What they are called."""
    written: Mapping[str, str]
    """Endings under which results are written, and their formats."""
    read: Collection[str]
    """Endings of formats that are read."""
    not_read: Collection[str]
    """Endings of others, unless the first bytes tell another format."""
    better: str
    """As what a file is to be saved that is not read."""
    result: str
    """The ending of a result whose source has one that is not written."""
    sniff: Callable[[bytes], str]
    """Returns the format that first bytes tell, in lower case if it is read."""


PICTURES = Kind("pictures", WRITTEN, READ, NOT_READ, "PNG or JPEG", ".png", sniff)
VIDEOS = Kind(
    "videos",
    {".mp4": "mp4"},
    {".mp4", ".m4v", ".mov", ".qt", ".webm", ".mkv"},
    {
        *(".avi", ".wmv", ".asf", ".flv", ".f4v", ".mpg", ".mpeg", ".m2v", ".mpv", ".vob", ".ogv"),
        *(".ts", ".mts", ".m2ts", ".3gp", ".3g2", ".rm", ".rmvb", ".dv", ".mxf", ".y4m", ".ivf"),
    },
    "MP4",
    ".mp4",
    videos.sniff,
)

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


def files(
    folder: Path,
    kind: Kind = PICTURES,
    *,
    recursive: bool,
    without: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[tuple[Path, bool]]:
    """Yield every file of a kind in a folder, in order, and whether its format is read.

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
            known = ending in kind.read or ending in kind.not_read
            if name.startswith(".") or not known or not path.is_file():
                continue
            yield path, ending in kind.read or _is_readable(path, kind)


def _is_readable(path: Path, kind: Kind) -> bool:
    """Tell whether a file with an ending of another format is one that is read."""
    try:
        with path.open("rb") as file:
            return kind.sniff(file.read(256)).islower()
    except OSError:
        return False
