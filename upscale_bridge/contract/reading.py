"""Reading what an answer holds, however oddly it is written."""

from __future__ import annotations

import base64
import json
import re
from binascii import Error as Base64Error
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from ..errors import BadReplyError
from .http import Json, Reply
from .tasks import Output

_UNTOUCHED = "%/?:@!$&'()*+,;=~-._[]"  # RFC 3986: reserved characters, and what escapes begin with
_WHOLE = re.compile(r"https?://[!#-;=?-\[\]_a-z~]+", re.IGNORECASE)
_ADDRESS = re.compile(r"\s*([a-z][a-z0-9+.-]*:|/|\.{1,2}/|[^\s/]+/.*\.)", re.IGNORECASE | re.DOTALL)
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM")


def whole(value: object, default: int = 0) -> int:
    """Return a number that may come as a text ("3600") or be missing."""
    try:
        return int(float(str(value)))
    except (ValueError, OverflowError):
        return default


def listed(value: object) -> list[Any]:
    """Return a list that may come as null."""
    return value if isinstance(value, list) else []


def is_unicode(value: object) -> bool:
    """Tell whether all texts in JSON can be stored and sent: halves of surrogates cannot."""
    match value:
        case str():
            try:
                return value.isascii() or bool(value.encode())
            except UnicodeEncodeError:
                return False
        case list():
            return all(map(is_unicode, value))
        case dict():
            return all(map(is_unicode, (*value, *value.values())))
    return True


def table(value: object) -> Json:
    """Return an object that may come as null."""
    return value if isinstance(value, dict) else {}


def as_id(value: object) -> str:
    """Return a task's id, which may come as a number; empty when it is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value.strip() else ""


def spot_id(body: bytes, path: tuple[str, ...]) -> str:
    """Return the id in an answer that is odd otherwise, empty when none can be read.

    It is looked for at `path`, as in ("data", "id"), then wherever its last name stands: the JSON
    may be cut off, or stand between other things.
    """
    text = body.decode("utf-8", "replace")
    found: Any = Reply(200, body).fields() or _first_object(text)
    for name in path:
        found = table(found).get(name)
    if as_id(found) or not path:
        return as_id(found)
    for match in re.finditer(rf'"{path[-1]}"\s*:\s*("(?:[^"\\]|\\.)+"|\d+(?![\d.eE]))', text):
        try:
            return as_id(json.loads(match[1]))
        except ValueError:
            continue
    return ""


def _first_object(text: str) -> Json:
    """Return the first JSON object in a text, an empty one when there is none."""
    try:
        return table(json.JSONDecoder().raw_decode(text, text.index("{"))[0])
    except (ValueError, RecursionError):
        return {}


def read_output(item: object) -> Output:
    """Read an address, naked base64, or an object that holds one; an empty output for neither.

    Base64 may look like a path ("/9j/..." begins a JPEG), so what decodes to a known picture is
    one, and what begins like an address is one otherwise.
    """
    if isinstance(item, dict):
        item = item.get("url") or item.get("download_url")
    if not isinstance(item, str) or not item.strip():
        return Output()
    try:
        data = read_base64(item)
    except BadReplyError:
        data = b""
    if item.startswith("data:") or data.startswith(_PICTURES):
        return Output(data=data)
    if _ADDRESS.match(item):
        return Output(url=item)
    return Output(data=data)


def complete_url(url: str, base_url: str) -> str:
    """Return the whole address that a service means; a good one stays as it is, byte for byte.

    One without scheme or host belongs to `base_url`. Blanks, umlauts and the like in path and
    query are escaped, what is escaped already is not. What cannot be an address is left alone.
    """
    if _WHOLE.fullmatch(url):
        return url
    try:
        parts = urlsplit(urljoin(base_url + "/", url.strip()))
        path, query = quote(parts.path, _UNTOUCHED), quote(parts.query, _UNTOUCHED)
        return parts._replace(path=path, query=query, fragment="").geturl()
    except ValueError:
        return url


def read_base64(text: str) -> bytes:
    """Decode base64 with or without a data URI's head, or raise `BadReplyError`."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (Base64Error, ValueError) as error:
        raise BadReplyError("The answer's image is not base64.") from error
