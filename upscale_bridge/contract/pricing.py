"""What a vendor asks for a run, known before it; asking is not billed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from ..texts import Text
from .http import Call, Json, Reply

_SIGNS = {"USD": "$", "EUR": "€"}


@dataclass(frozen=True)
class Price:
    """An amount of money for one image or video."""

    amount: float
    currency: str = "USD"
    least: bool = False
    """It depends on what was not said, and may be more."""

    @property
    def text(self) -> Text:
        """The amount in words."""
        values = {"amount": money(self.amount, self.currency)}
        return Text("at least {amount}", values) if self.least else Text("{amount}", values)


def money(amount: float, currency: str = "USD") -> str:
    """Return an amount as people write it: $0.06, $0.0024, $12.00, 3.50 SEK."""
    digits = f"{amount:.4f}".rstrip("0")
    decimals = max(len(digits.partition(".")[2]), 2)
    sign = _SIGNS.get(currency)
    return f"{sign}{amount:.{decimals}f}" if sign else f"{amount:.{decimals}f} {currency}"


class Pricing(ABC):
    """How one vendor tells prices, and what is left on an account."""

    @abstractmethod
    def ask(self, operation: Any, inputs: Json) -> Call:
        """Return the call for the price of one run of an operation with these inputs."""

    @abstractmethod
    def read(self, reply: Reply) -> Price:
        """Return the price; raises a `ProviderError`."""

    @abstractmethod
    def ask_balance(self) -> Call:
        """Return the call for what is left."""

    @abstractmethod
    def read_balance(self, reply: Reply) -> Price:
        """Return what is left; raises a `ProviderError`."""
