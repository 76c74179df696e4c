"""Files of uploads and results, under names that nobody can guess."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import SettingsError
from ..remote.clock import Clock
from ..storage.settings import make_folder
from .ledger import ROOM, UPLOAD, Ledger

_NAME = re.compile(r"[A-Za-z0-9_-]{22}\.(png|jpg|webp|bin)")
_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
MIMES = {suffix: mime for mime, suffix in _SUFFIXES.items()}


class Files:
    """One folder of files; safe between processes."""

    def __init__(self, folder: Path, most_bytes: int, clock: Clock | None = None) -> None:
        """No file is taken that would make all of them larger than `most_bytes`."""
        self._folder, self._most = folder, most_bytes
        self._ledger = Ledger(folder.with_suffix(".sqlite3"), clock)

    @property
    def most(self) -> int:
        """The disk quota, bytes."""
        return self._most

    def new_name(self, mime: str) -> str:
        """Return a name for a file of this type."""
        return secrets.token_urlsafe(16) + _SUFFIXES.get(mime, ".bin")

    def reserve(self, room: str, size: int, customer: str, share: int | None = None) -> None:
        """Set `size` bytes aside for what `write` is to put into `room`.

        Raises `NoRoomError` when the quota, the customer's `share` of it in bytes, or the disk
        does not have them.
        """
        self._add(room, customer, ROOM, size, share)

    def release(self, room: str) -> None:
        """Give back what is left of a room."""
        self._ledger.remove(room)

    def write(self, name: str, data: bytes, *, room: str) -> None:
        """Store a file for which there is a room, whole or not at all.

        Raises `SettingsError` when the disk cannot be written.
        """
        self._store(name, data)
        self._ledger.fill(room, name, len(data))

    def take(
        self,
        name: str,
        data: bytes,
        customer: str,
        share: int | None = None,
        allowances: Sequence[tuple[float, int]] = (),
    ) -> None:
        """Store an upload, whole or not at all; raises what `reserve` and `write` raise.

        `allowances` are (seconds, most uploads of the customer in that time).
        """
        self._add(name, customer, UPLOAD, len(data), share, allowances)
        try:
            self._store(name, data)
        except SettingsError:
            self._ledger.remove(name)
            raise

    def read(self, name: str) -> bytes | None:
        """Return a file, None when there is none of that name."""
        path = self.path(name)
        try:
            return path.read_bytes() if path else None
        except FileNotFoundError:
            return None

    def path(self, name: str) -> Path | None:
        """Return where a file lies, None when there is none of that name."""
        if not _NAME.fullmatch(name):
            return None
        path = self._folder / name
        return path if path.is_file() else None

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        if _NAME.fullmatch(name):
            (self._folder / name).unlink(missing_ok=True)
            self._ledger.remove(name)

    def sweep(self, seconds: float, needed: Callable[[str], bool]) -> None:
        """Remove all files that are older than this and not `needed`."""
        for name in self._ledger.older(seconds):
            if not needed(name):
                self.remove(name)

    def rooms(self) -> list[str]:
        """Return the names of the rooms that should have found their job by now."""
        return self._ledger.rooms()

    def settle(self) -> None:
        """Take up what lies in the folder and is not known, after a crash or an older version."""
        found = {}
        for path in make_folder(self._folder, private=True).iterdir():
            if _NAME.fullmatch(path.name):
                found[path.name] = path.stat().st_size
            else:
                path.unlink(missing_ok=True)  # a part that was never finished
        self._ledger.adopt(found)

    def size(self) -> int:
        """Return how many bytes lie here."""
        return self._ledger.size()

    def _add(
        self,
        name: str,
        customer: str,
        kind: str,
        size: int,
        share: int | None,
        allowances: Sequence[tuple[float, int]] = (),
    ) -> None:
        free = shutil.disk_usage(make_folder(self._folder, private=True)).free
        share = self._most if share is None else share
        self._ledger.add(
            name,
            customer,
            kind,
            size,
            most=self._most,
            share=share,
            free=free,
            allowances=allowances,
        )

    def _store(self, name: str, data: bytes) -> None:
        folder = make_folder(self._folder, private=True)
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
