"""Files of uploads and results, under names that nobody can guess."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from ..errors import SettingsError
from ..settings import make_folder

_NAME = re.compile(r"[A-Za-z0-9_-]{22}\.(png|jpg|webp|bin)")
_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
MIMES = {suffix: mime for mime, suffix in _SUFFIXES.items()}


class Files:
    """One folder of files; safe between processes."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """No file is taken that would make the folder larger than `most_bytes`."""
        self._folder, self._most = folder, most_bytes

    def new_name(self, mime: str) -> str:
        """Return a name for a file of this type."""
        return secrets.token_urlsafe(16) + _SUFFIXES.get(mime, ".bin")

    def write(self, name: str, data: bytes) -> None:
        """Store a file, whole or not at all; raises `SettingsError` when the disk quota is met."""
        folder = make_folder(self._folder, private=True)
        if self.size() + len(data) > self._most:
            raise SettingsError("The server's disk quota is used up; try again later.")
        temporary = folder / f".{name}.{secrets.token_hex(4)}"
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(folder / name)
        except OSError as error:
            raise SettingsError(f"Cannot write {name} ({error.strerror}).") from error
        finally:
            temporary.unlink(missing_ok=True)

    def read(self, name: str) -> bytes | None:
        """Return a file, None when there is none of that name."""
        if not _NAME.fullmatch(name):
            return None
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        if _NAME.fullmatch(name):
            (self._folder / name).unlink(missing_ok=True)

    def sweep(self, before: float) -> None:
        """Remove all files that were written before a time."""
        for path, facts in self._facts():
            if facts.st_mtime < before:
                path.unlink(missing_ok=True)

    def size(self) -> int:
        """Return how many bytes lie here."""
        return sum(facts.st_size for _, facts in self._facts())

    def _facts(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield the files that are still there: others remove some meanwhile."""
        for path in self._listing():
            with contextlib.suppress(FileNotFoundError):
                yield path, path.stat()

    def _listing(self) -> list[Path]:
        return list(self._folder.iterdir()) if self._folder.is_dir() else []
