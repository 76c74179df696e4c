"""The providers' keys: from the environment, else from a file that only its owner can read."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import InvalidInputError, SettingsError
from .redaction import Redactor
from .settings import environment, home, make_folder, write_private

log = logging.getLogger(__name__)

FILE = "keys.json"
_SHOWN = 4
_SHORTEST = 8
_RULE = f"A key is at least {_SHORTEST} letters, digits and signs without spaces"


class Secret:
    """A key that no log, message or dump can show."""

    __slots__ = ("_text", "redactor")

    def __init__(self, text: str) -> None:
        self._text = text
        self.redactor = Redactor(text)
        """What hides the key in texts, should a service say it back."""

    def __repr__(self) -> str:
        return f"<secret {self.hint}>"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a secret is never stored")

    @property
    def hint(self) -> str:
        """What may be shown: the last characters of a key that is long enough."""
        return f"..{self._text[-_SHOWN:]}" if len(self._text) >= 4 * _SHOWN else "set"

    @property
    def account(self) -> str:
        """32 bits of a hash: tells whether it is the same key, and nothing else of it."""
        return hashlib.sha256(b"account\0" + self._text.encode()).hexdigest()[:8]

    def reveal(self) -> str:
        """Return the key itself."""
        return self._text

    def header(self, scheme: str) -> str:
        """Return the value of the header that carries the key."""
        return _KeyHeader(scheme + self._text)

    def scrub(self, data: bytes) -> bytes:
        """Return `data` without the key as it is; `echoes` finds it in texts in every form."""
        return data.replace(self._text.encode(), b"***")


class _KeyHeader(str):
    """A header's value that dumps of headers and of local variables do not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __reduce__(self) -> str:
        raise TypeError("a secret is never stored")


@dataclass(frozen=True)
class FoundKey:
    """A key and where it was found."""

    secret: Secret
    origin: Literal["environment", "file"]


class Keys:
    """Reads and writes keys for one host; thread-safe."""

    def __init__(self, folder: Callable[[], Path] | None = None) -> None:
        """`folder` returns the host's private folder; without it the user's data folder."""
        self._folder = folder or home
        self._lock = threading.Lock()

    @property
    def path(self) -> Path:
        """The file; it need not exist."""
        return self._folder() / FILE

    def find(self, vendor: str) -> FoundKey | None:
        """Return the key for a provider's name, None when there is none.

        Order: the environment (NOVITA_API_KEY, ...), the host's file, the data folder's file.
        """
        variable = f"{vendor.upper()}_API_KEY"
        text = environment(variable)
        if text:
            return FoundKey(_checked(text, variable), "environment")
        for path in dict.fromkeys((self.path, home() / FILE)):
            text = _read(path).get(vendor, "").strip()
            if text:
                return FoundKey(_checked(text, str(path)), "file")
        return None

    def set(self, vendor: str, text: str) -> None:
        """Keep a key in the file; raises `InvalidInputError` for what cannot be a key."""
        text = text.strip()
        if not _is_key(text):
            raise InvalidInputError("key", f"{_RULE}; copy it again.")
        with self._lock:
            self._write({**_read(self.path), vendor: text})

    def remove(self, vendor: str) -> bool:
        """Forget a key of the file; tells whether there was one."""
        with self._lock:
            kept = _read(self.path)
            if kept.pop(vendor, None) is None:
                return False
            self._write(kept)
            return True

    def _write(self, keys: dict[str, str]) -> None:
        make_folder(self.path.parent, private=True)
        write_private(self.path, json.dumps(keys))


class VariableKey(Keys):
    """The key in one environment variable, whatever the provider; no file is read."""

    def __init__(self, variable: str) -> None:
        """An empty name is for no key at all."""
        super().__init__()
        self._variable = variable

    def find(self, vendor: str) -> FoundKey | None:
        text = environment(self._variable) if self._variable else ""
        return FoundKey(_checked(text, self._variable), "environment") if text else None


def _is_key(text: str) -> bool:
    return len(text) >= _SHORTEST and text.isascii() and text.isprintable() and " " not in text


def _checked(text: str, place: str) -> Secret:
    """Return a key that fits into a header: libraries show one that does not in their errors."""
    if not _is_key(text):
        raise SettingsError(f"{place} holds no key: {_RULE[0].lower()}{_RULE[1:]}.")
    return Secret(text)


def _read(path: Path) -> dict[str, str]:
    try:
        data = path.read_bytes()
        if os.name == "posix" and path.stat().st_mode & 0o077:
            log.warning("%s could be read by others; its mode is now 0600.", path)
            path.chmod(0o600)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"Cannot read {path} ({error.strerror}).") from error
    try:
        found = json.loads(data.decode("utf-8"))
        kept = {name: key for name, key in found.items() if key is not None}
        if not all(isinstance(key, str) for key in kept.values()):
            raise ValueError
        return kept
    except (ValueError, AttributeError, RecursionError):
        # The parser's own words would show what stands in the file.
        raise SettingsError(f'{path} must hold JSON such as {{"novita": "key"}}.') from None
