"""What is known of a vendor, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field

from .operation import RemoteOperation
from .server import ServerWire
from .vendor import Vendor


@dataclass(frozen=True)
class VendorEntry:
    """A vendor with all that it sells."""

    vendor: Vendor
    operations: tuple[type[RemoteOperation], ...]
    """In the order in which hosts show them."""
    videos: tuple[type[RemoteOperation], ...] = field(default=(), kw_only=True)
    """Operations on videos; hosts and batteries for images have nothing to do with them."""
    servers: tuple[ServerWire, ...] = ()
    """One for each API that our own server speaks."""
    own: tuple[type[RemoteOperation], ...] = field(default=(), kw_only=True)
    """What only servers of ours offer in its format; hosts have no node or command for it."""
