"""Which addresses a key or an image may be sent to, and results be fetched from."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from .errors import BadReplyError, SettingsError

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # leads to the IPv4 address in its last bits

Resolve = Callable[[str], list[str]]
"""Returns all IP addresses of a host name; raises OSError when there are none."""


def resolve(host: str) -> list[str]:
    """Ask the operating system for the addresses of `host`."""
    try:
        return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None)]
    except UnicodeError as error:  # a name that cannot be one
        raise OSError(f"{host!r} is no host name") from error


def is_private(host: str, look_up: Resolve = resolve) -> bool:
    """Tell whether every address of `host` is on this machine or in a private network.

    A host that cannot be looked up is not private.
    """
    try:
        found = look_up(host)
    except OSError:
        return False
    return bool(found) and not any(is_public(address) for address in found)


def is_public(address: str) -> bool:
    """Tell whether an IP address is neither of this machine nor of a private network."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        elif ip.ipv4_mapped is not None:  # ::ffff:10.0.0.1 leads to 10.0.0.1
            ip = ip.ipv4_mapped
        elif ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast


def check_base_url(url: str, variable: str, look_up: Resolve = resolve) -> str:
    """Return a base URL without its last slash, or raise `SettingsError`.

    Plain http would show the key to everyone on the way, so it must stay in a private network.
    """
    parts = _split(url)
    if parts is None or any(sign in url for sign in "?#@"):
        raise SettingsError(
            f"{variable} must be an address such as https://host:port, without user, query or "
            "fragment."
        )
    if parts.scheme == "http" and not is_private(parts.hostname or "", look_up):
        raise SettingsError(
            f"{variable} begins with http: and {parts.hostname} is not in a private network, so "
            "everyone on the way could read the key; use https."
        )
    return url.rstrip("/")


def check_named_url(url: str, base_url: str, look_up: Resolve = resolve) -> None:
    """Raise `BadReplyError` unless `url`, which a service named, may be used.

    A public service must not send us to this machine or its private network.
    """
    parts, base = _split(url), urlsplit(base_url)
    if parts is None:
        raise _refusal("that is not http")
    if origin(url) == origin(base_url):
        return
    if is_private(base.hostname or "", look_up):
        return
    if parts.scheme != "https":
        raise _refusal(f"at {parts.hostname}, which is not encrypted (http)")
    try:
        found = look_up(parts.hostname or "")
    except OSError:
        return  # a proxy may know the name; without one the connection fails
    if not all(is_public(address) for address in found):
        raise _refusal(f"at {parts.hostname}, which lies in a private network")


def is_http(url: str) -> bool:
    """Tell whether `url` is an http or https address that every parser reads in the same way."""
    return _split(url) is not None


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port."""
    parts = urlsplit(url)
    standard = 443 if parts.scheme == "https" else 80
    return parts.scheme, parts.hostname or "", parts.port or standard


def _split(url: str) -> SplitResult | None:
    """Return the parts of an http address that every parser reads in the same way, else None."""
    if "\\" in url or " " in url or not url.isprintable():
        return None
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (raises when it is no number)
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and parts.hostname else None


def _refusal(what: str) -> BadReplyError:
    return BadReplyError(f"The service names an address {what}; it is not used.")
