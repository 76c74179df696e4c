"""Where the calls of each vendor go, and with which key."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from urllib.parse import urlsplit

from ..contract.http import Call, Reply
from ..contract.vendor import Vendor
from ..errors import MissingKeyError, ProviderError, TransportError
from ..network.addresses import Place, Resolve, check_base_url, place_of, resolve
from ..network.transport import Transport
from ..storage.keys import Keys, Secret
from ..storage.settings import Settings
from ..vendors import ALL

_PRIVATE_FIRST_POLL = 0.25
_MOST_ANSWER = 1 << 20
_MOST_LISTED = 64 << 20  # a catalogue holds a schema for each of many hundred models
_NO_KEY = "no-key-is-set"  # a host in a private network may not ask for one


class Hosts:
    """The hosts that were chosen, and how they are spoken to; thread-safe."""

    def __init__(
        self, keys: Keys, settings: Callable[[], Settings], look_up: Resolve = resolve
    ) -> None:
        self.keys = keys
        self._settings, self._look_up = settings, look_up

    def address(self, vendor: Vendor) -> str:
        """Return the base URL that was chosen; it is checked before anything is sent to it."""
        return (self._settings().base_url(vendor.name) or vendor.base_url).rstrip("/")

    def is_vendor(self, vendor: Vendor) -> bool:
        """Tell whether calls go to the vendor itself, not to another host."""
        return self.address(vendor) == vendor.base_url

    def is_private(self, vendor: Vendor) -> bool:
        """Tell whether the host is another one, in a private network, which bills nothing."""
        return not self.is_vendor(vendor) and self._place(self.address(vendor)) == "private"

    def lacks_key(self, vendor: Vendor) -> bool:
        """Tell whether a run would fail for want of a key."""
        if self.keys.find(vendor.name) is not None:
            return False
        return self.is_vendor(vendor) or self._place(self.address(vendor)) == "public"

    def transport(self, vendor: Vendor) -> Transport:
        """Return the transport to the provider's host.

        Raises `MissingKeyError`, or `TransportError` when the host cannot be looked up and that
        decides whether it needs a key.
        """
        base_url = check_base_url(self.address(vendor), vendor.url_variable, self._look_up)
        found = self.keys.find(vendor.name)
        if found is not None:
            secret = found.secret
        elif base_url != vendor.base_url and (place := self._place(base_url)) != "public":
            if place == "unknown":
                raise TransportError(
                    f"Cannot look up the host of {vendor.url_variable}, so nothing was sent; "
                    "check the network, or the name.",
                    sent=False,
                )
            secret = Secret(_NO_KEY)
        else:
            raise MissingKeyError(vendor.key_missing(str(self.keys.path)))
        return Transport(base_url, vendor.auth_header, vendor.auth_scheme, secret, self._look_up)

    def ask(self, vendor: Vendor, call: Call) -> Reply:
        """Send a free call to a vendor and return the answer; raises an `UpscaleError`."""
        transport = self.transport(vendor)
        return transport.send(call, stop=lambda: None, limit=_MOST_LISTED)

    def try_key(self, vendor: Vendor) -> str:
        """Ask a service about the key that is set, free of cost; return one sentence.

        Raises `AuthError` when the service does not accept it, `MissingKeyError`, or
        `TransportError`.
        """
        transport = self.transport(vendor)
        if not self.is_vendor(vendor):
            return f"It has the form of a key; {transport.base_url} is not asked."
        if not vendor.free_call:
            return f"It has the form of a key; {vendor.title} has no free call to test it."
        call = Call("GET", vendor.free_call)
        reply = transport.send(call, stop=lambda: None, limit=_MOST_ANSWER)
        if reply.status != 200:
            vendor.refuse(reply, "")
        return f"{vendor.title} accepts it.{_left(vendor, reply)}"

    def first_poll(self, vendor: Vendor) -> float:
        """Return after how many seconds a task is first asked for."""
        if self.is_private(vendor):
            return min(vendor.first_poll, _PRIVATE_FIRST_POLL)
        return vendor.first_poll

    def _place(self, base_url: str) -> Place:
        return place_of(urlsplit(base_url).hostname or "", self._look_up)


def _left(vendor: Vendor, reply: Reply) -> str:
    """Return what the answer to a vendor's free call says of the balance, a sentence or nothing."""
    for kind in ALL:
        pricing = kind.pricing
        if kind.vendor is vendor and pricing and pricing.ask_balance().url == vendor.free_call:
            with contextlib.suppress(ProviderError):  # the key is good all the same
                return f" {pricing.read_balance(reply).text} are left."
    return ""
