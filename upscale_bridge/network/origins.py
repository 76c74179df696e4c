"""Who sends an HTTP request to one of our servers: a page of another site, or this very machine.

Decided from headers alone, for every server in the same way. Their names are in lower case here;
`collect` makes such a table of what a server received.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping

_AUTHORITY = r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?"
_HOST = re.compile(_AUTHORITY)
_ORIGIN = re.compile(rf"(https?)://{_AUTHORITY}")
_PORTS = {"http": "80", "https": "443"}
# Parts of the names of headers that proxies, tunnels and content networks add to what they pass on:
# Forwarded, X-Forwarded-For, X-Real-IP, Via, CF-Connecting-IP, True-Client-IP, X-Original-Host,
# X-Envoy-External-Address, Tailscale-User-Login, X-Amzn-Trace-Id, ...
_PASSED_ON = re.compile(
    "(akamai|amz|amzn|appengine|arr|azure|b3|cdn|cf|clientip|cloud|cloudfront|correlation|edge|"
    "envoy|fastly|fly|forward|forwarded|forwarder|gateway|haproxy|ingress|ip|nginx|ngrok|original|"
    "originating|peer|port|proto|proxied|proxy|proxyuser|real|remote|request|rewrite|rewritten|"
    "scheme|tailscale|trace|traceparent|tracestate|traefik|tunnel|uri|url|varnish|via)"
)
_PAGES = "This is for this server's own pages only, not for those of other sites."


def collect(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return a table of headers with names in lower case; what stands twice is joined by commas.

    No Origin, Host or Content-Type has a comma in it, so that one which stands twice is refused.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        name = name.lower()
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def refuse_cross_site(headers: Mapping[str, str], scheme: str = "") -> str:
    """Return why a request of another site's page is refused, empty when it is none.

    Origin, Referer and Sec-Fetch-Site, where they are sent, must name the server as Host does:
    scheme, host and port. `scheme` is that of the connection. With "https" their own must be the
    same; else it may be https as well, since a proxy may have ended the encryption. A program that
    is no browser sends none of these headers.

    Sources: https://fetch.spec.whatwg.org/#origin-header,
    https://www.w3.org/TR/fetch-metadata/ ("none": the user's own doing, as from a bookmark).
    """
    if headers.get("sec-fetch-site", "none").lower() not in ("same-origin", "none"):
        return _PAGES
    origin, referer = headers.get("origin"), headers.get("referer")
    if origin is not None and not _is_ours(origin, headers, scheme):
        return _PAGES
    if referer and not _is_ours("/".join(referer.split("/", 3)[:3]), headers, scheme):
        return _PAGES
    return ""


def is_local(peer: str | None, headers: Mapping[str, str], scheme: str = "") -> bool:
    """Tell whether a request was made on this machine, by a name of this machine.

    `peer` is the IP address that the connection comes from. A foreign name that leads here would
    be another site's (DNS rebinding). A proxy on this machine passes on what others ask: it is
    known by the headers that it adds, or, if it writes over Host, by the Origin or Referer of the
    page. One that adds nothing and passes nothing of the kind on cannot be told from this machine.
    """
    host = _HOST.fullmatch(headers.get("host", "").lower())
    if host is None or not _is_loopback(host[1].strip("[]")) or not _is_loopback(peer or ""):
        return False
    return not any(map(_is_passed_on, headers)) and not refuse_cross_site(headers, scheme)


def is_json(headers: Mapping[str, str]) -> bool:
    """Tell whether a body is declared as JSON, in UTF-8 if it says so.

    A page of another site can make a browser send forms and plain text, but this only after
    asking.
    """
    kind, *options = headers.get("content-type", "").lower().split(";")
    if kind.strip(" \t") != "application/json" or len(options) > 1:
        return False
    return not options or options[0].strip(" \t") in ("charset=utf-8", 'charset="utf-8"')


def _is_ours(origin: str, headers: Mapping[str, str], scheme: str) -> bool:
    """Tell whether an origin is that of the server which a request names as its Host."""
    found = _ORIGIN.fullmatch(origin.lower())
    host = _HOST.fullmatch(headers.get("host", "").lower())
    if found is None or host is None or (scheme == "https" and found[1] != scheme):
        return False
    standard = _PORTS[found[1]]
    return (found[2], found[3] or standard) == (host[1], host[2] or standard)


def _is_passed_on(name: str) -> bool:
    parts = re.split("[-_]", name)
    return any(map(_PASSED_ON.fullmatch, parts)) or (len(parts) > 1 and "host" in parts)


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback
