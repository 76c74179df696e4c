"""Ask the server of this machine whether it lives: `python -m upscale_bridge.server.health [PORT]`.

For the health check of a container; exits with 0 or 1. Standard library only, so that it is quick.
"""

from __future__ import annotations

import http.client
import sys

_SECONDS = 4.0


def lives(port: int) -> bool:
    """Tell whether a server answers at a port of the loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if lives(int(sys.argv[1]) if len(sys.argv) > 1 else 8190) else 1)
