"""The fields of a client's request, as the server's half of a wire reads them.

What they lack or get wrong is an `InvalidInputError`.
"""

from __future__ import annotations

import json
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from ..errors import InvalidInputError
from .http import Call, Json
from .operation import RemoteOperation
from .reading import is_unicode, table
from .shared import SHARED
from .tasks import Source

Made = TypeVar("Made", bound=RemoteOperation)


def read_body(call: Call) -> Json:
    """Return the JSON object that a call carries."""
    try:
        body = table(json.loads(call.body))
        sound = is_unicode(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError("body", "The body must be a JSON object.") from error
    if not sound:
        raise InvalidInputError("body", "The body holds a text that is not Unicode.")
    return body


def ticket_in_query(call: Call, path: str) -> str | None:
    """Return the task_id of a GET of `path`, None for any other call."""
    parts = urlsplit(call.url)
    if call.method != "GET" or parts.path != path:
        return None
    return parse_qs(parts.query).get("task_id", [""])[0]


def required(body: Json, name: str) -> str:
    """Return a text that a submit must carry."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidInputError(name, f"{name} is required and must be a text.")
    return value


def address_or_data(body: Json) -> Source:
    """Return the image of a submit that holds its address or a data URI."""
    image = required(body, "image")
    return Source("data_uri" if image.startswith("data:") else "url", image)


def make(operation: type[Made], values: Json) -> Made:
    """Return the operation that a request's fields ask for; null and missing mean the default."""
    never = {*SHARED, *operation.client_only} - {*operation.passed_on}
    taken: Json = {}
    for item in operation.params():
        value = values.get(item.name)
        if value is None or item.name in never:
            continue
        if isinstance(value, str) and item.kind in ("int", "float"):
            try:
                value = int(value) if item.kind == "int" else float(value)
            except ValueError as error:
                raise InvalidInputError(
                    item.name, f"{item.name} must be a number; got {str(value)[:80]!r}."
                ) from error
        elif isinstance(value, int) and item.kind == "choice":
            value = str(value)
        taken[item.name] = value
    return operation(**taken)
