"""An HTTP exchange as plain data.

A client's wire builds a `Call` and reads a `Reply`, a server's the other way round; nothing here
sends anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

from ..errors import BadReplyError
from ..images.pictures import Picture
from .files import Sendable, StoredFile

Json = dict[str, Any]


def _as_it_is(found: Any) -> Any:
    return found


@dataclass(frozen=True)
class Call:
    """One HTTP request, without the key."""

    method: Literal["GET", "POST", "PUT"]
    url: str = field(repr=False)
    """A path that starts with "/" and belongs to the provider's base URL, or a whole address, which
    may be signed."""
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    rest: tuple[bytes | StoredFile, ...] = field(default=(), repr=False)
    """What follows the body: bytes, and files that are read while they are sent."""


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in lower case."""
    hide: Callable[[Any], Any] = field(default=_as_it_is, repr=False, compare=False)
    """Takes out of what the body is decoded to what nobody is to see: the key."""

    def json(self) -> Json:
        """Return the body as an object, or raise `BadReplyError`.

        Where a name stands twice the last one counts, as in most parsers.
        """
        found = _load(self.body, self.hide)
        if not isinstance(found, dict):
            raise BadReplyError(
                f"The answer (HTTP {self.status}) is not a JSON object.", status=self.status
            )
        return found

    def fields(self) -> Json:
        """Return the body as an object, an empty one where `json` would raise."""
        try:
            return self.json()
        except BadReplyError:
            return {}


def _load(data: bytes, hide: Callable[[Any], Any]) -> Any:
    """Return what JSON says, None for what is none: the parser's own error holds all of it."""
    try:
        return hide(json.loads(data))
    except (ValueError, RecursionError):
        return None


def post(url: str, body: Json, **headers: str) -> Call:
    """Return a POST of JSON."""
    data = json.dumps(body, separators=(",", ":")).encode()
    return Call("POST", url, data, {"Content-Type": "application/json", **headers})


def put_file(url: str, file: Sendable, headers: Mapping[str, str]) -> Call:
    """Return a PUT of a file."""
    if isinstance(file, Picture):
        return Call("PUT", url, file.data, headers)
    return Call("PUT", url, headers=headers, rest=(file,))


def post_file(url: str, name: str, file: Sendable) -> Call:
    """Return a POST of a form whose field `file` is that file."""
    boundary = uuid4().hex
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {file.mime}\r\n\r\n"
    )
    begin, end = head.encode(), f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    if isinstance(file, Picture):
        return Call("POST", url, begin + file.data + end, headers)
    return Call("POST", url, begin, headers, rest=(file, end))


def answer(body: Json, status: int = 200) -> Reply:
    """Return a reply of JSON."""
    data = json.dumps(body, separators=(",", ":")).encode()
    return Reply(status, data, {"content-type": "application/json"})
