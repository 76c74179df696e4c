"""Time as the task loop sees it, so that tests need not wait."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime


class Clock:
    """The real time."""

    def now(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return time.monotonic()

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait, and tell whether `stop` was set in the meantime."""
        return stop.wait(seconds)


def backoff(attempt: int, base: float = 0.5, cap: float = 15.0) -> float:
    """Return the seconds before the next try, with full jitter: 0 to base * 2^attempt, capped.

    Source: https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """
    return random.uniform(0.0, min(cap, base * 2.0**attempt))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for, None without a readable one.

    Both forms of RFC 9110 section 10.2.3: seconds, and a date. A date is compared with that of
    the answer itself, since this machine's clock may be wrong; `now` is for answers without one.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    until = _read_date(text)
    if until is None:
        return None
    sent = _read_date(headers.get("date", ""))
    return max(until - (now if sent is None else sent), 0.0)


def _read_date(text: str) -> float | None:
    """Return the seconds since 1970 of a date in an HTTP header, None when it is none."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return date.timestamp()
