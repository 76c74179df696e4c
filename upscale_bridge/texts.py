"""Sentences for the user: made of parts that a host can translate, and safe to be shown."""

from __future__ import annotations

import unicodedata
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


def printable(text: str) -> str:
    r"""Return one line in which every sign can be seen; others stand there as \x1b or \u202e.

    What services, files and models call themselves may move a terminal's cursor, hide behind a
    link, or turn the line around. Spaces of all kinds stay.
    """
    if text.isprintable():
        return text
    return "".join(
        sign
        if sign.isprintable() or unicodedata.category(sign) == "Zs"
        else sign.encode("unicode_escape").decode()
        for sign in text
    )


def shortened(text: str, most: int = 300) -> str:
    """Return one line of at most `most` characters, without a full stop at its end."""
    return printable(" ".join(text.split()))[:most].rstrip(".")
