"""What a vendor sells besides its own operations: a list of models, each with its parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from .http import Call, Reply
from .schema import Schema

Media = Literal["image", "video"]


@dataclass(frozen=True)
class CatalogueModel:
    """One model of a catalogue."""

    name: str
    """The vendor's id of it, as in its addresses."""
    schema: Schema | None
    """Its parameters; None when they are not known without the live catalogue."""
    about: str = ""
    """What it does, in the vendor's words."""
    price: str = ""
    """What it costs, in the vendor's words or those of its page; empty when that is not known."""
    formula: str = ""
    """How the vendor computes the price; names what it depends on."""


class Catalogue(ABC):
    """The models of one vendor for one kind of file; asking for it is not billed."""

    media: Media
    known: tuple[CatalogueModel, ...]
    """Those that ship, so that there is a list without network; a live catalogue wins."""

    def find(self, name: str) -> CatalogueModel | None:
        """Return a model that ships, None when it is not among them."""
        return next((model for model in self.known if model.name == name), None)

    @abstractmethod
    def ask(self) -> Call:
        """Return the call for the live catalogue."""

    @abstractmethod
    def read(self, reply: Reply) -> tuple[CatalogueModel, ...]:
        """Return what it sells for this kind of file; raises a `ProviderError`."""
