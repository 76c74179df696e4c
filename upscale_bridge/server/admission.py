"""Who may call, and how much they may send: decided on the head of a request, before its body."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from ..contract.http import Call
from ..contract.server import ServerWire
from ..errors import UpscaleError
from ..network.origins import is_json, is_local, refuse_cross_site
from ..vendors import VENDORS
from .api_clients import ApiClient, ApiClients

_SMALL_BODY = 256 << 10


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

    customer: ApiClient
    most: int
    """Largest body, bytes."""


def admit(
    call: Call, api: ServerWire | None, sender: Sender, customers: ApiClients, most_body: int
) -> Admission:
    """Decide on a call to an API, whose body is not read yet; raises `RefusedError`.

    None is the server's own. Names of headers are in lower case.
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
    customer = customers.who(_key(call))
    if customer is None:
        raise RefusedError(401, "The API key is missing or wrong.")
    path = urlsplit(call.url).path
    has_file = api is not None and path.endswith(api.upload_ends)
    if call.method == "POST" and not has_file and not is_json(call.headers):
        raise RefusedError(415, "Send JSON, with the header `Content-Type: application/json`.")
    small = call.method != "POST" or (api is not None and path.endswith(api.small_ends))
    return Admission(customer, min(_SMALL_BODY, most_body) if small else most_body)


def _key(call: Call) -> str:
    """Return the key of a call, in whichever vendor's header it comes."""
    found = (call.headers.get(vendor.auth_header.lower()) for vendor in VENDORS)
    return (next(filter(None, found), "")).removeprefix("Bearer ").strip()


def _is_here(call: Call, sender: Sender) -> bool:
    """Tell whether a call comes from this machine itself, and not through a proxy on it.

    nginx adds no header unless it is told to, but it forwards by HTTP/1.0, which no client in use
    speaks by itself.
    """
    return sender.version != "1.0" and is_local(sender.peer, call.headers, sender.scheme)
