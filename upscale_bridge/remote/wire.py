"""An HTTP exchange and the state of a task, as plain data.

Providers build a `Call` and read a `Reply`, and the other way round on the server's side; nothing
here sends anything.
"""

from __future__ import annotations

import base64
import json
import re
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, urljoin, urlsplit
from uuid import uuid4

from ..errors import BadReplyError
from ..pictures import Picture

Json = dict[str, Any]

_UNTOUCHED = "%/?:@!$&'()*+,;=~-._[]"  # RFC 3986: reserved characters, and what escapes begin with
_WHOLE = re.compile(r"https?://[!#-;=?-\[\]_a-z~]+", re.IGNORECASE)
_ADDRESS = re.compile(r"\s*([a-z][a-z0-9+.-]*:|/|\.{1,2}/|[^\s/]+/.*\.)", re.IGNORECASE | re.DOTALL)
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM")


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


def post_file(url: str, name: str, picture: Picture) -> Call:
    """Return a POST of a form whose field `file` is a picture."""
    boundary = uuid4().hex
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {picture.mime}\r\n\r\n"
    )
    body = head.encode() + picture.data + f"\r\n--{boundary}--\r\n".encode()
    return Call("POST", url, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})


def answer(body: Json, status: int = 200) -> Reply:
    """Return a reply of JSON."""
    data = json.dumps(body, separators=(",", ":")).encode()
    return Reply(status, data, {"content-type": "application/json"})


@dataclass(frozen=True)
class Source:
    """The image as a submit carries it."""

    kind: Literal["base64", "data_uri", "url"]
    text: str = field(repr=False)


@dataclass(frozen=True)
class Output:
    """One result of a task: where it lies, or the file itself."""

    url: str = field(default="", repr=False)
    """The address, perhaps signed and short-lived; to be used byte for byte."""
    data: bytes = field(default=b"", repr=False)
    flagged: bool = False
    """The service's detector calls it not safe for work."""


@dataclass(frozen=True)
class Queued:
    """The service has accepted the task and not begun."""


@dataclass(frozen=True)
class Running:
    """The service works on the task."""

    fraction: float | None = None
    """How much is done, 0..1, where the service tells it."""


@dataclass(frozen=True)
class Done:
    """The task has succeeded."""

    outputs: tuple[Output, ...]
    ticket: str = ""
    """The task's id where a submit's answer holds the result already and names one."""


@dataclass(frozen=True)
class Failed:
    """The task has failed for good."""

    reason: str
    code: str = ""


Status = Queued | Running | Done | Failed


@dataclass(frozen=True)
class Ticket:
    """The service's id of a task that it has accepted."""

    id: str


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
