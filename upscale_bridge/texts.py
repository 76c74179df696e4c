"""Sentences for the user whose parts stay apart, so that a host can say them in other languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Values = Mapping[str, "Text | str | int"]


@dataclass(frozen=True)
class Text:
    """An English sentence with {names} in it, and what stands there; `str()` is all of it."""

    english: str
    values: Values = field(default_factory=dict)

    def __str__(self) -> str:
        return self.english.format(**self.values)
