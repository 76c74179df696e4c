"""The server that the attacks are made on, as its own tests have it."""

from tests.server.conftest import ends, listen, server, service, small_presets  # noqa: F401
