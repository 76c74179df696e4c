"""An answer of a vendor, its refusals, and the checks that endpoints share."""

import json
from dataclasses import dataclass, field
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
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return made(status, body, named)


def made(status, body, headers=None):
    """Return an answer whose body is given as bytes, text or JSON."""
    if isinstance(body, bytes | str):
        data, kind = body.encode() if isinstance(body, str) else body, "text/plain"
    else:
        data, kind = json.dumps(body).encode(), "application/json"
    return Answer(status, data, {"Content-Type": kind, **(headers or {})})


class Refusal(Exception):  # noqa: N818 - not an error of the stand-in
    """The vendor accepts nothing; `kind` is a name of the tables below."""

    def __init__(self, kind, message=""):
        self.kind, self.message = kind, message or kind.replace("_", " ")
        super().__init__(self.message)


NOVITA_ERRORS = {
    "key": (403, "INVALID_API_KEY"),
    "no_key": (400, "MISSING_API_KEY"),
    "body": (400, "INVALID_REQUEST_BODY"),
    "image": (400, "INVALID_IMAGE_FORMAT"),
    "too_large": (400, "IMAGE_EXCEEDS_MAX_RESOLUTION"),
    "moderation": (400, "ILLEGAL_IMAGE_CONTENT"),
    "balance": (400, "BILLING_BALANCE_NOT_ENOUGH"),
    "forbidden": (403, "API_NOT_ALLOWED"),
    "task": (404, "TASK_NOT_FOUND"),
    "path": (404, "API_NOT_FOUND"),
    "conflict": (409, "IDEMPOTENCY_KEY_REUSED"),
    "rate": (429, "RATE_LIMIT_EXCEEDED"),
    "server": (500, "CREATE_TASK_FAILED"),
}
V2_ERRORS = {
    "server": -1,
    "json": 1,
    "task": 3,
    "key": 4,
    "no_key": 4,
    "body": 6,
    "image": 6,
    "too_large": 6,
    "balance": 7,
}
HTTP_STATUS = {
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


def refuse(vendor, kind, message, **headers):
    """Return a refusal in the vendor's manner."""
    if vendor == "novita":
        status, reason = NOVITA_ERRORS[kind]
        body = {"code": status, "reason": reason, "message": message, "metadata": {}}
        return as_json(body, status, **headers)
    if vendor == "novita_v2" and kind in V2_ERRORS:
        return as_json({"code": V2_ERRORS[kind], "msg": message, "data": {}}, **headers)
    status = HTTP_STATUS.get(kind, 400)
    if vendor == "photio":
        return as_json({"status_code": status, "body": message}, status, **headers)
    if vendor == "storage":
        text = (
            f"<?xml version='1.0'?><Error><Code>{kind}</Code><Message>{message}</Message></Error>"
        )
        return Answer(status, text.encode(), {"Content-Type": "application/xml", **headers})
    return as_json({"code": status, "message": message}, status, **headers)


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
