"""How webhooks are signed, whichever vendor's format they have: most document no signature.

This one is WaveSpeed's (https://wavespeed.ai/docs/verify-webhooks), over `id.timestamp.body`.
"""

from __future__ import annotations

import hashlib
import hmac

PREFIX = "whsec_"
"""What a secret begins with; it is not part of the key."""


def headers(secret: str, message: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of a message of this id, sent at `timestamp`, seconds since 1970."""
    content = f"{message}.{timestamp}.".encode() + body
    signature = hmac.new(secret.removeprefix(PREFIX).encode(), content, hashlib.sha256)
    return {
        "webhook-id": message,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v3," + signature.hexdigest(),
    }
