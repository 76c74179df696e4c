"""The server, and the stand-in of the vendors, as their own tests have them."""

from tests.remote.conftest import remote, vendor
from tests.server.conftest import ends, listen, server, service, small_presets

__all__ = ["ends", "listen", "remote", "server", "service", "small_presets", "vendor"]
