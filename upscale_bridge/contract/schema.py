"""The parameters of one model of a catalogue, read from its JSON schema."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidInputError
from .http import Json
from .reading import is_unicode, listed, table

_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "a text",
    "array": "a list",
    "object": "an object",
}
_PYTHON: Mapping[str, type | tuple[type, ...]] = {
    "integer": (int, float),
    "number": (int, float),
    "boolean": bool,
    "string": str,
    "array": list,
    "object": dict,
}
_LONGEST = 16_384  # of options, characters
_SIMILAR = 0.8


@dataclass(frozen=True)
class SchemaField:
    """One parameter of a model."""

    name: str
    kinds: tuple[str, ...] = ()
    """JSON types that it may have; none means any."""
    choices: tuple[Any, ...] = ()
    """All allowed values, none when they are not listed."""
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    """Bounds of a number, inclusive."""
    help: str = ""
    required: bool = False

    def check(self, value: object) -> None:
        """Raise `InvalidInputError` for a value that the model does not take."""
        if value is None and (not self.required or "null" in self.kinds):
            return
        if self.choices:
            if not any(_same(value, choice) for choice in self.choices):
                raise self._refusal(value, "one of " + ", ".join(map(_shown, self.choices)))
            return
        if not self.kinds:
            return
        kind = next((kind for kind in self.kinds if _is(value, kind)), None)
        if kind is None:
            words = [_WORDS[kind] for kind in self.kinds if kind in _WORDS]
            raise self._refusal(value, " or ".join(words) or "of another kind")
        if kind in ("integer", "number"):
            self._check_range(value)

    def _check_range(self, value: Any) -> None:
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        if not low <= value <= high:
            if self.minimum is not None and self.maximum is not None:
                wanted = f"from {self.minimum:g} to {self.maximum:g}"
            elif self.minimum is not None:
                wanted = f"{self.minimum:g} or more"
            else:
                wanted = f"at most {self.maximum:g}"
            raise self._refusal(value, wanted)

    def _refusal(self, value: object, wanted: str) -> InvalidInputError:
        shown = _shown(value)[:80]
        return InvalidInputError("options", f"{self.name} must be {wanted}; got {shown}.")


@dataclass(frozen=True)
class Schema:
    """All parameters of a model but its file, in the order in which they are shown."""

    fields: tuple[SchemaField, ...] = ()
    closed: bool = False
    """The model refuses parameters that are not among them."""
    file: SchemaField = field(default=SchemaField("image"), repr=False)
    """The parameter that takes the address of the file."""

    def check(self, options: Json) -> None:
        """Raise `InvalidInputError` unless a model takes these options.

        Parameters that the schema does not name pass unless they look like a slip, or the schema
        is closed: a catalogue may be older than its model.
        """
        named = {one.name: one for one in self.fields}
        for name, value in options.items():
            if name in named:
                named[name].check(value)
                continue
            like = difflib.get_close_matches(name, set(named) - set(options), 1, _SIMILAR)
            if like:
                raise InvalidInputError(
                    "options", f"The model has no parameter {name}; {like[0]} is meant?"
                )
            if self.closed:
                listed = ", ".join(named) or "none"
                raise InvalidInputError(
                    "options", f"The model has no parameter {name}; it has: {listed}."
                )
        for one in self.fields:
            if one.required and options.get(one.name) is None and one.default is None:
                raise InvalidInputError("options", f"The model needs {one.name}: {one.help}")

    def unknown(self, options: Json) -> tuple[str, ...]:
        """Return the options that the schema does not name."""
        named = {one.name for one in self.fields}
        return tuple(name for name in options if name not in named)

    def complete(self, options: Json) -> Json:
        """Return the options with the defaults of those that are not given."""
        given = {one.name: one.default for one in self.fields if one.default is not None}
        return {**given, **{name: value for name, value in options.items() if value is not None}}


def read_schema(found: object, files: tuple[str, ...]) -> Schema | None:
    """Return the schema of a model that takes one of `files`, None for another kind of model."""
    schema = table(found)
    properties = table(schema.get("properties"))
    file = next((name for name in files if name in properties), None)
    if file is None:
        return None
    required = {name for name in listed(schema.get("required")) if isinstance(name, str)}
    order = [name for name in listed(schema.get("x-order-properties")) if isinstance(name, str)]
    names = dict.fromkeys([*(name for name in order if name in properties), *properties])
    fields = {name: _field(name, table(properties[name]), name in required) for name in names}
    return Schema(
        tuple(one for name, one in fields.items() if name != file),
        closed=schema.get("additionalProperties") is False,
        file=fields[file],
    )


def read_options(text: str) -> Json:
    """Return the object that options hold; raises `InvalidInputError`."""
    if not text.strip():
        return {}
    try:
        if len(text) > _LONGEST:
            raise ValueError
        found = json.loads(text, parse_constant=_refuse_constant)
        if not isinstance(found, dict) or not is_unicode(found):
            raise ValueError
    except (ValueError, RecursionError):
        raise InvalidInputError(
            "options",
            f"options must be a JSON object of at most {_LONGEST} characters, such as "
            '{"target_resolution": "4k"}.',
        ) from None
    return found


def _field(name: str, found: Json, required: bool) -> SchemaField:
    kinds = found.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    return SchemaField(
        name,
        tuple(kind for kind in kinds if kind in _WORDS or kind == "null"),
        tuple(listed(found.get("enum"))),
        found.get("default"),
        _bound(found.get("minimum")),
        _bound(found.get("maximum")),
        " ".join(str(found.get("description") or "").split()),
        required,
    )


def _bound(value: object) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _is(value: object, kind: str) -> bool:
    if kind == "null":
        return value is None
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, float) and (not math.isfinite(value) or kind not in ("integer", "number")):
        return False
    return isinstance(value, _PYTHON[kind]) and (kind != "integer" or value == int(value))  # type: ignore[call-overload]


def _same(value: object, choice: object) -> bool:
    return value == choice and isinstance(value, bool) is isinstance(choice, bool)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _refuse_constant(text: str) -> None:
    raise ValueError(text)
