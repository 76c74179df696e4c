"""Known weights: where they come from, what they are, and under which licence.

The facts stand in `catalogue.json`, each with its sources. A hash or size that no source
confirms is null there, and a download then says that it could not be checked.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from ..texts import Text, Values


@dataclass(frozen=True)
class ModelSpec:
    """One known weights file."""

    name: str
    """What users call it and workflows save."""
    file_name: str
    aliases: tuple[str, ...]
    """Names that other programs use for the same file."""
    architecture: str
    """As spandrel calls it."""
    scale: int
    licence: str
    """SPDX identifier."""
    commercial_use: bool
    size: int | None
    """Bytes."""
    sha256: str | None
    url: str
    mirror: bool
    """True when the author offers no direct link and the URL is somebody else's copy."""
    about: str
    tags: tuple[str, ...]
    sources: tuple[str, ...]
    use: Literal["upscale", "faces", "detector"] = "upscale"
    """What it does: enlarges images, restores faces, or finds them."""

    @cached_property
    def names(self) -> frozenset[str]:
        """All that it is called, in lower case."""
        return frozenset(one.casefold() for one in (self.name, self.file_name, *self.aliases))

    @property
    def terms(self) -> Text:
        """One sentence on licence and size, to be shown before a download."""
        values = {"name": self.name, "address": self.url}
        return Text("{name}: {licence}; {size}; from {address}", {**self._parts, **values})

    @property
    def brief(self) -> Text:
        """The same where the name was said, with the host in place of the whole address."""
        values = {"host": urlsplit(self.url).netloc}
        return Text("{size} from {host}, {licence}", {**self._parts, **values})

    @property
    def _parts(self) -> Values:
        size = Text("size unknown")
        if self.size is not None:
            megabytes = round(self.size / 1e6) or round(self.size / 1e6, 1)
            size = Text("{megabytes} MB", {"megabytes": str(megabytes)})
        licence = Text("licence {licence}", {"licence": self.licence})
        if not self.commercial_use:
            licence = Text("licence {licence}, non-commercial use only", licence.values)
        return {"licence": licence, "size": size}


@lru_cache(maxsize=1)
def catalogue() -> tuple[ModelSpec, ...]:
    """Return all known weights."""
    text = Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8")
    lists = ("aliases", "tags", "sources")
    entries: list[dict[str, Any]] = json.loads(text)["models"]
    return tuple(
        ModelSpec(**{**entry, **{key: tuple(entry[key]) for key in lists}}) for entry in entries
    )


def find_spec(name: str) -> ModelSpec | None:
    """Return the entry called `name`: its name, its file's name or an alias, in any case."""
    wanted = name.casefold()
    for spec in catalogue():
        if wanted in spec.names:
            return spec
    return None


def has_extra_architectures() -> bool:
    """Tell whether the user installed spandrel's architectures that forbid commercial use."""
    return importlib.util.find_spec("spandrel_extra_arches") is not None
