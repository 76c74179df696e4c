"""Who may submit: keys, of which only hashes are stored, and what each key may do."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import secrets
from dataclasses import dataclass, field, fields
from pathlib import Path

from ..errors import InvalidInputError, SettingsError
from ..storage.settings import make_folder, write_private

_MINUTE, _DAY = 60.0, 86_400.0


@dataclass(frozen=True)
class ApiClient:
    """The owner of a key; a limit of 0 is the server's own."""

    name: str
    per_minute: int = 0
    per_day: int = 0
    """Most submits, and most uploads, in that time."""
    waiting: int = 0
    """Most tasks that wait at the same time."""
    disk_mb: int = 0
    """Most megabytes of images and results, room for accepted tasks included."""
    input_megapixels: int = 0
    result_megapixels: int = 0
    """Most million pixels of an image, and of a result."""
    alone: bool = field(default=True, compare=False)
    """Whether nobody else has a key, so that all there is may be used."""

    @property
    def allowances(self) -> tuple[tuple[float, int], ...]:
        """(seconds, most submits) for each limit that is set."""
        limits = ((_MINUTE, self.per_minute), (_DAY, self.per_day))
        return tuple((seconds, most) for seconds, most in limits if most)

    def share(self, whole: int, own: int = 0) -> int:
        """Return how much of `whole` the key may take: its `own` limit, or half of it.

        So others find some too; who is alone may take all.
        """
        return own or (whole if self.alone else max(whole // 2, 1))


LIMITS = tuple(item.name for item in fields(ApiClient) if item.type == "int")
"""What the keys file may say of a key."""


class ApiClients:
    """The keys file: names, hashes and limits as JSON; read anew for every request."""

    def __init__(self, path: Path, *, required: bool = False) -> None:
        """`required` keys are asked for even when the file is removed."""
        self.path, self._required = path, required

    @property
    def open(self) -> bool:
        """Whether no key is needed: there is no keys file, and none is required."""
        return not self._required and not self.path.exists()

    def who(self, key: str) -> ApiClient | None:
        """Return the owner of a key; without a keys file every key, and none, has one.

        Raises `SettingsError` when the file, or the owner's entry, cannot be understood.
        """
        if self.open:
            return ApiClient("anyone-" + _digest(key)[:8] if key else "anyone")
        if not self.path.exists():
            return None
        known, found = self._read(), None
        for name, entry in known.items():
            stored = str(entry.get("sha256", ""))
            if stored.isascii() and hmac.compare_digest(stored, _digest(key)):
                found = name
        if found is None:
            return None
        limits = {limit: self._limit(found, limit, known[found].get(limit)) for limit in LIMITS}
        return ApiClient(found, **limits, alone=len(known) == 1)

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

    def _limit(self, name: str, limit: str, value: object) -> int:
        """Return a limit; what is no number must not come to mean that there is none."""
        if value is None:
            return 0
        try:
            number = float(str(value))
        except ValueError:
            number = math.nan
        if not 0 <= number < math.inf or isinstance(value, bool):
            raise SettingsError(
                f"In the keys file {self.path} {limit} of {name} must be a number from 0; mend it."
            )
        return math.ceil(number)

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
