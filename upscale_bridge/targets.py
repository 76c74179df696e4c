"""Files that results become: refused early where that can be known, and never there in part."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from .errors import InvalidInputError, SettingsError
from .images.folders import is_folder, is_there

_LONGEST_NAME = 255
"""Bytes of a file's name where the system does not tell (signs on Windows)."""

_LEAST_FREE = 1 << 16
"""Bytes without which no picture of use is written."""


def check(target: Path | str) -> None:
    """Raise what would keep a file from being written, as far as it is known before."""
    if isinstance(target, str):
        return
    name = target.name if sys.platform == "win32" else os.fsencode(target.name)
    folder = _existing(target.parent)
    longest = _longest_name(folder)
    if len(name) > longest:
        raise InvalidInputError(
            "--output",
            f"The name of the result, {target.name[:40]}..., has {len(name)} bytes, {longest} are "
            "possible; shorten the name of the picture or the --suffix.",
        )
    if is_folder(target):
        raise SettingsError(f"{target} is a folder; name another one for the results.")
    if not is_folder(folder) or not os.access(folder, os.W_OK | os.X_OK):
        reason = "it cannot be written to" if is_folder(folder) else "it is a file"
        raise SettingsError(f"Cannot write {target} ({folder}: {reason}); choose another folder.")


def check_room(target: Path | str, format: str, size: tuple[int, int], pixel: int) -> None:
    """Raise `SettingsError` if the disk is too full; only a TIFF's size is known before."""
    if isinstance(target, str):
        return
    need = size[0] * size[1] * pixel if format == "tiff" else _LEAST_FREE
    free = shutil.disk_usage(_existing(target.parent)).free
    if free < need:
        raise SettingsError(
            f"Cannot write {target} (it needs {need / 1e6:.1f} MB, {free / 1e6:.1f} MB are free); "
            "free some space or choose another folder."
        )


def _existing(folder: Path) -> Path:
    """Return the folder, or the first above it that is there."""
    return next((path for path in (folder, *folder.absolute().parents) if is_there(path)), folder)


def _longest_name(folder: Path) -> int:
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        return _LONGEST_NAME


def write(target: Path | str, data: bytes, *, overwrite: bool) -> None:
    """Write a file, or to standard output; a file appears only when it is complete."""
    _write(target, lambda file: file.write(data), overwrite=overwrite)


def copy(source: Path, target: Path | str, *, overwrite: bool) -> None:
    """Do what `write` does with what is in another file, of which little is in memory."""
    try:
        with source.open("rb") as content:
            _write(target, lambda file: shutil.copyfileobj(content, file), overwrite=overwrite)
    except OSError as error:
        raise SettingsError(f"Cannot read {source} ({error.strerror}).") from error


def _write(target: Path | str, fill: Callable[[BinaryIO], object], *, overwrite: bool) -> None:
    if isinstance(target, str):
        fill(sys.stdout.buffer)
        return
    temporary = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            if is_there(target) and not overwrite:
                raise SettingsError(
                    f"{target} was made by another program in the meantime and is kept; "
                    "--overwrite replaces it."
                )
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(
            f"Cannot write {target} ({error.strerror}); free some space or choose another folder."
        ) from error
