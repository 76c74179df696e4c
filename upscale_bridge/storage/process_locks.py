"""Which processes are alive: each holds a lock that the operating system drops with it.

The lock is an open sqlite transaction, which needs no code of its own for any operating system,
and no clock: neither a long sleep of the machine nor a slow disk makes a living process look dead.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
from pathlib import Path

from .settings import make_folder


class Owners:
    """The processes of a user; thread-safe."""

    def __init__(self, folder: Path) -> None:
        """`folder` holds one file for each living process."""
        self._folder = folder
        self._lock = threading.Lock()
        self._token = ""
        self._held: sqlite3.Connection | None = None

    def own(self) -> str:
        """Return the name of this process; from then on it is seen to live."""
        with self._lock:
            while self._held is None or not (self._folder / self._token).exists():
                # Another process may have swept the new file away before it was locked.
                make_folder(self._folder, private=True)
                self._token = secrets.token_hex(8)
                self._held = sqlite3.connect(
                    self._folder / self._token, isolation_level=None, check_same_thread=False
                )
                self._held.execute("BEGIN EXCLUSIVE")
            return self._token

    def lives(self, owner: str) -> bool:
        """Tell whether a process still lives; the file of a dead one is removed."""
        path = self._folder / owner
        if not owner or owner == self._token:
            return bool(owner)
        if not path.exists():
            return False
        connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            connection.execute("BEGIN EXCLUSIVE")
            with contextlib.suppress(PermissionError):  # Windows keeps files that are open
                path.unlink(missing_ok=True)
        except sqlite3.OperationalError:
            return True
        finally:
            connection.close()
        return False

    def others(self) -> bool:
        """Tell whether another process lives."""
        names = [path.name for path in make_folder(self._folder, private=True).iterdir()]
        return any(name != self._token and self.lives(name) for name in names if name.isalnum())

    def sweep(self) -> None:
        """Remove the files of all dead processes."""
        for path in make_folder(self._folder, private=True).iterdir():
            if path.name.isalnum():  # else a side file of sqlite
                self.lives(path.name)
