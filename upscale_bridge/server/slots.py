"""A bounded number of places, shared so that one customer's slow peers do not hold them all."""

from __future__ import annotations

import threading
from collections import Counter


class Slots:
    """Places for something that may be slow; thread-safe."""

    def __init__(self, most: int, each: int) -> None:
        """There are `most` places, `each` customer may have that many of them."""
        self._most, self._each = most, each
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    def take(self, customer: str, count: int = 1) -> bool:
        """Take places; False when there are not so many left."""
        with self._lock:
            full = self._taken.total() + count > self._most
            if full or self._taken[customer] + count > self._each:
                return False
            self._taken[customer] += count
            return True

    def give(self, customer: str, count: int = 1) -> None:
        """Give places back."""
        with self._lock:
            self._taken[customer] -= count
            self._taken += Counter()  # forget who has none
