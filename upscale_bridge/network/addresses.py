"""Which addresses a key or an image may be sent to, and results be fetched from."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from ..errors import BadReplyError, SettingsError, TransportError

# These lead to the IPv4 address in their last bits: NAT64, and forms that are out of use.
_EMBEDDING = [ipaddress.IPv6Network(n) for n in ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96")]
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")

Resolve = Callable[[str], list[str]]
"""Returns all IP addresses of a host name; raises OSError when there are none."""

Place = Literal["private", "public", "unknown"]
"""Private: every address is on this machine or in a private network. Public: not every one.
Unknown: the name cannot be looked up, now or ever."""


def resolve(host: str) -> list[str]:
    """Ask the operating system for the addresses of `host`, each once."""
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, None)]
    except UnicodeError as error:  # a name that cannot be one
        raise OSError(f"{host!r} is no host name") from error
    return list(dict.fromkeys(found))


def place_of(host: str, look_up: Resolve = resolve) -> Place:
    """Tell where a host is."""
    return Target(host, look_up).place


class Target:
    """The host of one request, looked up once, when that is first needed.

    What was found out about its addresses holds for the connection: it goes to no others, whatever
    the name leads to a moment later.
    """

    def __init__(
        self, host: str, look_up: Resolve, allowed: Callable[[str], bool] | None = None
    ) -> None:
        """`allowed` tells of an IP address whether it may be connected to; without it, any may."""
        self.host = host
        self.allowed = allowed
        self._look_up = look_up

    @cached_property
    def addresses(self) -> Sequence[str]:
        """All IP addresses; empty when there are none."""
        try:
            return tuple(self._look_up(self.host))
        except OSError:
            return ()

    @property
    def place(self) -> Place:
        """Where it is."""
        if not self.addresses:
            return "unknown"
        return "public" if any(map(is_public, self.addresses)) else "private"

    def check(self) -> Sequence[str]:
        """Return the addresses to connect to, or raise `TransportError`: nothing was sent."""
        if not self.addresses:
            raise TransportError(f"Cannot look up {self.host}.", sent=False)
        if self.allowed is not None and not all(map(self.allowed, self.addresses)):
            raise TransportError(
                f"Cannot reach {self.host}: the name leads to an address that must not be used.",
                sent=False,
            )
        return self.addresses


def is_public(address: str) -> bool:
    """Tell whether an IP address is neither of this machine nor of a private network."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour  # ::ffff:10.0.0.1 leads to 10.0.0.1
        if inner is None and any(ip in net for net in _EMBEDDING):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local or ip in _LOCAL_NAT64:
            return False
    return ip.is_global and not ip.is_multicast


def _is_private(address: str) -> bool:
    return not is_public(address)


def check_base_url(url: str, variable: str, look_up: Resolve = resolve) -> str:
    """Return a base URL without its last slash, or raise `SettingsError`.

    Plain http would show the key to everyone on the way, so it must stay in a private network.
    Raises `TransportError` when a name cannot be looked up and that is therefore unknown.
    """
    parts = _split(url)
    if parts is None or any(sign in url for sign in "?#@"):
        raise SettingsError(
            f"{variable} must be an address such as https://host:port, without user, query or "
            "fragment."
        )
    if parts.scheme == "http":
        place = place_of(parts.hostname or "", look_up)
        if place == "unknown":
            raise TransportError(
                f"Cannot look up {parts.hostname}, so nothing was sent; check the network, or the "
                f"name in {variable}.",
                sent=False,
            )
        if place == "public":
            raise SettingsError(
                f"{variable} begins with http: and {parts.hostname} is not in a private network, "
                "so everyone on the way could read the key; use https."
            )
    return url.rstrip("/")


def base_target(base_url: str, look_up: Resolve) -> Target:
    """Return the target of calls with the key to a base URL that was checked.

    Plain http stays in the private network, wherever the name leads meanwhile. With https the
    certificate tells that it is the right host.
    """
    parts = urlsplit(base_url)
    return Target(parts.hostname or "", look_up, _is_private if parts.scheme == "http" else None)


def check_named_url(url: str, base_url: str, look_up: Resolve = resolve) -> Target:
    """Return the target of `url`, which a service named; raise `BadReplyError` if it is not used.

    A public service must not send us to this machine or its private network.
    """
    parts, base = _split(url), urlsplit(base_url)
    if parts is None:
        raise _refusal("that is not http")
    host = parts.hostname or ""
    if origin(url) == origin(base_url):
        return base_target(base_url, look_up)
    if place_of(base.hostname or "", look_up) == "private":
        return Target(host, look_up)
    if parts.scheme != "https":
        raise _refusal(f"at {host}, which is not encrypted (http)")
    target = Target(host, look_up, is_public)
    # A name that cannot be looked up may be known to a proxy; without one the connection fails.
    if not all(map(is_public, target.addresses)):
        raise _refusal(f"at {host}, which lies in a private network")
    return target


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
