"""Who may submit: keys, of which only hashes are stored, and what each key may do."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidInputError, SettingsError
from ..remote.wire import whole
from ..settings import make_folder, write_private

_MINUTE, _DAY = 60.0, 86_400.0


@dataclass(frozen=True)
class Customer:
    """The owner of a key."""

    name: str
    per_minute: int = 0
    per_day: int = 0
    """Most submits in that time; 0 for no limit."""

    @property
    def allowances(self) -> tuple[tuple[float, int], ...]:
        """(seconds, most submits) for each limit that is set."""
        limits = ((_MINUTE, self.per_minute), (_DAY, self.per_day))
        return tuple((seconds, most) for seconds, most in limits if most)


class Customers:
    """The keys file: names, hashes and limits as JSON; read anew for every request."""

    def __init__(self, path: Path, *, required: bool = False) -> None:
        """`required` keys are asked for even when the file is removed."""
        self.path, self._required = path, required

    def who(self, key: str) -> Customer | None:
        """Return the owner of a key; without a keys file every key, and none, has one."""
        if not self.path.exists():
            if self._required:
                return None
            return Customer("anyone-" + _digest(key)[:8] if key else "anyone")
        found = None
        for name, entry in self._read().items():
            stored = str(entry.get("sha256", ""))
            if stored.isascii() and hmac.compare_digest(stored, _digest(key)):
                limits = {limit: whole(entry.get(limit)) for limit in ("per_minute", "per_day")}
                found = Customer(name, **limits)
        return found

    def add(self, name: str) -> str:
        """Make a key for a new name and return it; it cannot be shown again."""
        known = self._read() if self.path.exists() else {}
        if name in known:
            raise InvalidInputError("NAME", f"There is a key for {name} already; remove it first.")
        key = "ub-" + secrets.token_urlsafe(24)
        self._write({**known, name: {"sha256": _digest(key)}})
        return key

    def remove(self, name: str) -> None:
        """Make a key worthless."""
        known = self._read() if self.path.exists() else {}
        if known.pop(name, None) is None:
            raise InvalidInputError("NAME", f"There is no key for {name}.")
        self._write(known)

    def names(self) -> list[str]:
        """Return all names."""
        return sorted(self._read()) if self.path.exists() else []

    def _read(self) -> dict[str, dict[str, object]]:
        try:
            found = json.loads(self.path.read_bytes())
            return {str(name): dict(entry) for name, entry in found.items()}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise SettingsError(
                f"The keys file {self.path} cannot be read; mend or remove it."
            ) from error

    def _write(self, known: dict[str, dict[str, object]]) -> None:
        make_folder(self.path.parent)
        write_private(self.path, json.dumps(known, indent=1))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
