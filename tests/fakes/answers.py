"""An answer, how an API refuses, and the checks that endpoints share."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs

FORMATS = ("jpeg", "png", "webp")


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: bytes = b""
    headers: dict = field(default_factory=dict)


def as_json(body, status=200, **headers):
    """Return an answer of JSON; underscores in header names become dashes."""
    return made(status, body, dashed(headers))


def dashed(headers):
    return {name.replace("_", "-"): value for name, value in headers.items()}


def made(status, body, headers=None):
    """Return an answer whose body is given as bytes, text or JSON."""
    if isinstance(body, bytes | str):
        data, kind = body.encode() if isinstance(body, str) else body, "text/plain"
    else:
        data, kind = json.dumps(body).encode(), "application/json"
    return Answer(status, data, {"Content-Type": kind, **(headers or {})})


class Refusal(Exception):  # noqa: N818 - not an error of the stand-in
    """The vendor accepts nothing; `kind` is one of those at `STATUS`."""

    def __init__(self, kind, message=""):
        self.kind, self.message = kind, message or kind.replace("_", " ")
        super().__init__(self.message)


STATUS = {
    "key": 401,
    "no_key": 401,
    "balance": 402,
    "forbidden": 403,
    "task": 404,
    "path": 404,
    "conflict": 409,
    "rate": 429,
    "server": 500,
}
"""HTTP statuses of refusals; of "body", "image", "too_large" and "moderation" it is 400."""


@dataclass(frozen=True)
class Manner:
    """How an API refuses, and where it looks for the key."""

    write: Callable
    """Makes the `Answer` of a refusal from its kind, the usual HTTP status and a message."""
    key_header: str = "authorization"
    """In lower case; empty where no key is wanted."""

    def refuse(self, kind, message, **headers):
        """Return a refusal; underscores in header names become dashes."""
        found = self.write(kind, STATUS.get(kind, 400), message)
        return replace(found, headers={**found.headers, **dashed(headers)})


PLAIN = Manner(lambda kind, status, message: as_json({"code": status, "message": message}, status))


@dataclass(frozen=True)
class Route:
    """One endpoint."""

    method: str
    pattern: str
    phase: str
    """One of `service.PHASES`."""
    answer: Callable
    """Gets the service and the exchange, returns an `Answer` or raises `Refusal`."""
    manner: Manner = PLAIN


def scaled(size, scale):
    """Return the size times the scale."""
    return tuple(max(1, round(side * scale)) for side in size)


def to_edge(size, edge):
    """Return the size whose long edge is `edge`; nothing is ever made smaller."""
    return scaled(size, max(1, edge / max(size)))


def number(value, low, high, above=False):
    """Return a number, which may come as a text, or refuse it."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise Refusal("body", f"{value!r} is not a number") from None
    if not low <= found <= high or (above and found == low):
        raise Refusal("body", f"{value!r} is not between {low} and {high}")
    return found


def one_of(value, allowed):
    """Return the value if it is allowed."""
    if value not in allowed:
        raise Refusal("body", f"{value!r} is none of {', '.join(allowed)}")
    return value


def reason(task, now):
    """Return why a task has failed, or nothing."""
    if now.phase != "failed":
        return ""
    return task.failure[0] if task.failure else "execution failed"


def parameter(query, name):
    """Return one value of a query."""
    return (parse_qs(query).get(name) or [""])[0]
