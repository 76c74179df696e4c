"""The server, and the stand-in of the vendors, as their own tests have them."""

from tests.remote.conftest import ends, remote, vendor
from tests.server.conftest import listen, server, service, small_presets

__all__ = ["ends", "listen", "remote", "server", "service", "small_presets", "vendor"]
