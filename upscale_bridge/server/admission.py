"""Who may call, and how much they may send: decided on the head of a request, before its body."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from ..errors import UpscaleError
from ..origins import is_json, is_local, refuse_cross_site
from ..remote.wire import Call
from .customers import Customer, Customers

FORM = "/media/upload/binary"
_SMALL_BODY = 256 << 10
_SMALL = ("/media/uploads", "/predictions/delete")  # ends of addresses that carry no image


class RefusedError(UpscaleError):
    """A request that is answered with an error of this HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Sender:
    """Where a request comes from."""

    peer: str = "127.0.0.1"
    """The IP address at the other end of the connection."""
    version: str = "1.1"
    """Of HTTP."""
    scheme: str = "http"
    """Of the connection, or of the one to the proxy in front."""


@dataclass(frozen=True)
class Admission:
    """What somebody may send."""

    customer: Customer
    most: int
    """Largest body, bytes."""


def admit(call: Call, sender: Sender, customers: Customers, most_body: int) -> Admission:
    """Decide on a call to an API, whose body is not read yet; raises `RefusedError`.

    Names of headers are in lower case.
    """
    if call.method not in ("GET", "HEAD"):
        refusal = refuse_cross_site(call.headers, sender.scheme)
        if refusal:
            raise RefusedError(403, refusal)
    if customers.open and not _is_here(call, sender):
        raise RefusedError(
            401,
            "Only programs on this machine may call this server without a key; its owner makes "
            "keys with `upscale-bridge server-keys add NAME`.",
        )
    key = call.headers.get("x-photio-key") or call.headers.get("authorization", "")
    customer = customers.who(key.removeprefix("Bearer ").strip())
    if customer is None:
        raise RefusedError(401, "The API key is missing or wrong.")
    path = urlsplit(call.url).path
    if call.method == "POST" and not path.endswith(FORM) and not is_json(call.headers):
        raise RefusedError(415, "Send JSON, with the header `Content-Type: application/json`.")
    small = call.method != "POST" or path.endswith(_SMALL)
    return Admission(customer, min(_SMALL_BODY, most_body) if small else most_body)


def _is_here(call: Call, sender: Sender) -> bool:
    """Tell whether a call comes from this machine itself, and not through a proxy on it.

    nginx adds no header unless it is told to, but it forwards by HTTP/1.0, which no client in use
    speaks by itself.
    """
    return sender.version != "1.0" and is_local(sender.peer, call.headers, sender.scheme)
