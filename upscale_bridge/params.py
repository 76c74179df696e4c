"""Parameters, declared once and drawn by every host.

`Params` is a frozen dataclass whose fields are made by `param()`; an `Operation` is one. A ComfyUI
widget, a WebUI component, a command-line flag, the server's validation and the tables of
`docs/` are all read from `Params.params()`; `Params.__post_init__` validates, whoever made the
object.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal

from .errors import InvalidInputError

Kind = Literal["int", "float", "bool", "text", "choice"]
Value = int | float | bool | str

_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "text": "a text"}


@dataclass(frozen=True)
class Param:
    """One parameter as hosts see it."""

    name: str
    kind: Kind
    default: Value
    help: str
    """One or two sentences for the user, units included."""
    minimum: float | None = None
    """Smallest allowed value of an int or float, inclusive."""
    maximum: float | None = None
    """Largest allowed value of an int or float, inclusive."""
    above: float | None = None
    """What a float must exceed, where a range is open at its lower end."""
    step: float | None = None
    """The step of a host's slider; values between steps are allowed."""
    choices: tuple[str, ...] = ()
    """All allowed values of a choice, in the order in which hosts show them."""
    advanced: bool = False
    """Rarely changed: hosts that can fold it away do."""
    suggestions: tuple[str, ...] = ()
    """Values of a text that are known to be taken; others are taken too."""
    only_for: tuple[str, str] = ("", "")
    """(name, value) of a choice without which it has no effect."""
    later: bool = False
    """Added when workflows had been saved without it: hosts take its default where it is absent."""

    def check(self, value: object) -> Value:
        """Return `value` in the parameter's own type, or raise `InvalidInputError`."""
        match self.kind:
            case "int" | "float":
                return self._check_number(value)
            case "bool":
                if isinstance(value, bool):
                    return value
            case "text":
                if isinstance(value, str):
                    return value
            case "choice":
                if isinstance(value, str) and value in self.choices:
                    return value
                raise self._refusal(value, "one of " + self.listed)
        raise self._refusal(value, _WORDS[self.kind])

    def _check_number(self, value: object) -> int | float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._refusal(value, _WORDS[self.kind])
        finite = isinstance(value, int) or math.isfinite(value)
        if not finite or (self.kind == "int" and value != int(value)):
            raise self._refusal(value, _WORDS[self.kind])
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        if not low <= value <= high or (self.above is not None and value <= self.above):
            raise self._refusal(value, f"{_WORDS[self.kind]} {self.range}")
        return int(value) if self.kind == "int" else float(value)

    @property
    def listed(self) -> str:
        """The choices in words."""
        return ("; " if any("," in choice for choice in self.choices) else ", ").join(self.choices)

    @property
    def range(self) -> str:
        """The allowed numbers in words; empty when every number is allowed."""
        if self.above is not None:
            most = "" if self.maximum is None else f" and at most {_plain(self.maximum)}"
            return f"above {_plain(self.above)}{most}"
        if self.minimum is not None and self.maximum is not None:
            return f"from {_plain(self.minimum)} to {_plain(self.maximum)}"
        return "" if self.minimum is None else f"of {_plain(self.minimum)} or more"

    def _refusal(self, value: object, wanted: str) -> InvalidInputError:
        return InvalidInputError(
            self.name, f"{self.name} must be {wanted}; got {repr(value)[:80]}."
        )


def _plain(number: float) -> str:
    """Return a bound as a person writes it: 4, 0.25, 1000000."""
    return str(int(number)) if number == int(number) else str(number)


def param(default: Value, help: str, **limits: Any) -> Any:
    """Declare a dataclass field as a `Param`; its kind follows from `default` and `choices`."""
    return dataclasses.field(default=default, metadata={"help": help, **limits})


def share(default: float, help: str, **limits: Any) -> Any:
    """Declare a number from 0 to 1, in steps of 0.05."""
    return param(default, help, minimum=0.0, maximum=1.0, step=0.05, **limits)


def _kind(default: Value, limits: dict[str, Any]) -> Kind:
    if "choices" in limits:
        return "choice"
    kinds: dict[type, Kind] = {bool: "bool", int: "int", float: "float", str: "text"}
    return kinds[type(default)]


@dataclass(frozen=True)
class Params:
    """Values that were checked against their declarations."""

    def __post_init__(self) -> None:
        for item in self.params():
            object.__setattr__(self, item.name, item.check(getattr(self, item.name)))

    @classmethod
    def params(cls) -> tuple[Param, ...]:
        """The parameters in the order in which hosts show them."""
        return _declared(cls)  # type: ignore[arg-type]  # mypy takes it for an object


@cache
def _declared(kind: type[Params]) -> tuple[Param, ...]:
    """Return the fields of a class as parameters; hosts ask hundreds of times."""
    found = []
    for field in dataclasses.fields(kind):
        limits: dict[str, Any] = dict(field.metadata)
        default: Value = field.default  # type: ignore[assignment]
        found.append(Param(field.name, _kind(default, limits), default, **limits))
    return tuple(found)


@dataclass(frozen=True)
class Operation(Params):
    """One thing to do to an image, with all its parameters; the request that every host makes."""

    title: ClassVar[str]
    """What hosts call it."""
    order: ClassVar[tuple[str, ...]] = ()
    """Names in the order in which workflows have saved their values, where it is another one than
    that of the fields; parameters that are not in it follow. It only ever grows at its end."""

    @classmethod
    def params(cls) -> tuple[Param, ...]:
        """The parameters in the order in which hosts show, and workflows save, them."""
        place = {name: index for index, name in enumerate(cls.order)}
        found = super().params()
        return tuple(sorted(found, key=lambda item: place.get(item.name, len(place))))
