"""Files of uploads and results, under names that nobody can guess."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Protocol

from ..errors import SettingsError
from ..remote.clock import Clock
from ..storage.settings import make_folder
from .ledger import Ledger, Limits

_NAME = re.compile(r"[A-Za-z0-9_-]{22}\.(png|jpg|webp|bin)")
_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
MIMES = {suffix: mime for mime, suffix in _SUFFIXES.items()}


class Place(Protocol):
    """Where files lie; what cannot be done for its sake raises `SettingsError`."""

    def store(self, name: str, data: bytes) -> None:
        """Store a file, whole or not at all."""

    def open(self, name: str) -> tuple[IO[bytes], int] | None:
        """Return a file and its size in bytes, None when there is none of that name."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def free(self) -> int | None:
        """Return how many bytes may still be stored; None where nobody knows."""

    def address(self, name: str, seconds: float) -> str | None:
        """Return where clients fetch a file themselves for that time; None where they cannot."""


class Folder:
    """A folder of this machine, or one that several machines share; safe between processes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def store(self, name: str, data: bytes) -> None:
        folder = make_folder(self._path, private=True)
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

    def open(self, name: str) -> tuple[IO[bytes], int] | None:
        path = self._path / name
        if not path.is_file():
            return None
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        return file, os.fstat(file.fileno()).st_size

    def remove(self, name: str) -> None:
        (self._path / name).unlink(missing_ok=True)

    def free(self) -> int:
        return shutil.disk_usage(make_folder(self._path, private=True)).free

    def address(self, name: str, seconds: float) -> None:
        """Only the server hands files out."""

    def settle(self) -> dict[str, int]:
        """Remove parts that were never finished; return the sizes of all files, bytes."""
        found = {}
        for path in make_folder(self._path, private=True).iterdir():
            if _NAME.fullmatch(path.name):
                found[path.name] = path.stat().st_size
            else:
                path.unlink(missing_ok=True)
        return found


class Files:
    """Files and how much room they take; safe between processes."""

    def __init__(self, place: Place, ledger: Ledger, most_bytes: int) -> None:
        """No file is taken that would make all of them larger than `most_bytes`."""
        self._place, self._ledger, self._most = place, ledger, most_bytes

    @property
    def most(self) -> int:
        """The disk quota, bytes."""
        return self._most

    def new_name(self, mime: str) -> str:
        """Return a name for a file of this type."""
        return secrets.token_urlsafe(16) + _SUFFIXES.get(mime, ".bin")

    def accept(
        self,
        name: str,
        data: bytes,
        customer: str,
        share: int | None = None,
        *,
        room: str,
        size: int,
    ) -> None:
        """Set `size` bytes aside as a `room`, and store its first file, whole or not at all.

        Raises `NoRoomError` when the quota, the customer's `share` of it in bytes, or the disk
        does not have them, `SettingsError` when the file cannot be written.
        """
        self._ledger.add_room(room, customer, size, self._limits(share), (name, len(data)))
        try:
            self._store(name, data)
        except SettingsError:
            self.release(room)
            raise

    def release(self, room: str) -> None:
        """Give back what is left of a room."""
        self._ledger.remove(room)

    def write(self, name: str, data: bytes, *, room: str) -> None:
        """Store a file for which there is a room, whole or not at all.

        Raises `SettingsError` when it cannot be written.
        """
        self._ledger.fill(room, name, len(data))
        self._store(name, data)

    def take(
        self,
        name: str,
        data: bytes,
        customer: str,
        share: int | None = None,
        allowances: Sequence[tuple[float, int]] = (),
    ) -> None:
        """Store an upload, whole or not at all; raises what `accept` raises.

        `allowances` are (seconds, most uploads of the customer in that time).
        """
        self._ledger.add_upload(name, customer, len(data), self._limits(share), allowances)
        self._store(name, data)

    def read(self, name: str) -> bytes | None:
        """Return a file, None when there is none of that name."""
        found = self.open(name)
        if found is None:
            return None
        with found[0] as file:
            return file.read()

    def open(self, name: str) -> tuple[IO[bytes], int] | None:
        """Return a file and its size in bytes, None when there is none of that name."""
        return self._place.open(name) if _NAME.fullmatch(name) else None

    def address(self, name: str, base_url: str, seconds: float) -> str:
        """Return where a client of the server at `base_url` fetches a file, for that time."""
        return self._place.address(name, seconds) or f"{base_url}/files/{name}"

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        if _NAME.fullmatch(name):
            self._place.remove(name)
            self._ledger.remove(name)

    def sweep(self, seconds: float, needed: Callable[[str], bool]) -> None:
        """Remove all files that are older than this and not `needed`."""
        for name in self._ledger.older(seconds):
            if not needed(name):
                self.remove(name)

    def rooms(self) -> list[str]:
        """Return the names of the rooms that should have found their job by now."""
        return self._ledger.rooms()

    def size(self) -> int:
        """Return how many bytes lie here."""
        return self._ledger.size()

    def _store(self, name: str, data: bytes) -> None:
        """Store what the ledger knows of already: anything else would never be removed."""
        try:
            self._place.store(name, data)
        except SettingsError:
            self._ledger.remove(name)
            raise

    def _limits(self, share: int | None) -> Limits:
        free = self._place.free()
        return Limits(
            most=self._most,
            share=self._most if share is None else share,
            free=self._most if free is None else free,
        )


class FolderFiles(Files):
    """Those in a folder of this machine, with a ledger beside it."""

    def __init__(self, folder: Path, most_bytes: int, clock: Clock | None = None) -> None:
        self._folder = Folder(folder)
        ledger = Ledger.in_file(folder.with_suffix(".sqlite3"), clock)
        super().__init__(self._folder, ledger, most_bytes)

    def settle(self) -> None:
        """Take up what lies in the folder and is not known, after a crash or an older version."""
        self._ledger.adopt(self._folder.settle())
