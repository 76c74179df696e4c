"""How long to wait."""

import threading
from datetime import datetime, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscale_bridge.remote.clock import Clock, backoff, retry_after

NOW = datetime(2026, 11, 5, 12, 0, 0, tzinfo=timezone.utc).timestamp()


def asked(text):
    return retry_after({"retry-after": text}, NOW)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("7", 7), (" 120 ", 120), ("007", 7), ("9" * 30, float("9" * 30))],
)
def test_retry_after_in_seconds(text, seconds):
    assert asked(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "Thu, 05 Nov 2026 12:01:30 GMT",
        "Thursday, 05-Nov-26 12:01:30 GMT",
        "Thu Nov  5 12:01:30 2026",
        "Thu, 05 Nov 2026 14:01:30 +0200",
        "Thu, 05 Nov 2026 12:01:30 -0000",
    ],
)
def test_retry_after_as_a_date_in_every_form_of_the_standard(text):
    assert asked(text) == 90


def test_retry_after_date_in_the_past_is_now():
    assert asked("Thu, 05 Nov 2026 11:00:00 GMT") == 0
    assert asked("Thu, 01 Jan 1970 00:00:00 GMT") == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-5",
        "1.5",
        "soon",
        "1e3",
        "٣",
        "²",
        "5 seconds",
        "Thu, 99 Nov 2026 12:00:00 GMT",
        "Thu, 05 Nov 99999 12:00:00 GMT",
        "Thu, 05 Nov 2026 12:00:00 +9999",
        "Thu, 05 Nov 2026 12:00:00 +99999999999999999999",
    ],
)
def test_retry_after_that_makes_no_sense_is_none(text):
    assert asked(text) is None


def test_retry_after_may_be_missing():
    assert retry_after({}, NOW) is None


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} Nov \d{1,6} [\d:]{1,9} [+-]?\w{1,30}"))
def test_retry_after_never_fails(text):
    found = asked(text)
    assert found is None or found >= 0


@given(st.integers(0, 10**8))
def test_retry_after_reads_what_a_server_writes(seconds):
    moment = datetime.fromtimestamp(NOW + seconds, timezone.utc)
    assert asked(format_datetime(moment, usegmt=True)) == seconds


@pytest.mark.parametrize("attempt", [0, 1, 2, 5, 20, 1000])
def test_backoff_grows_and_stays_within_its_bounds(attempt):
    tries = [backoff(attempt) for _ in range(300)]
    longest = min(15.0, 0.5 * 2**attempt)
    assert 0 <= min(tries) < longest / 4
    assert longest * 3 / 4 < max(tries) <= longest


def test_backoff_takes_its_base_and_cap():
    assert max(backoff(3, base=0.01, cap=0.02) for _ in range(50)) <= 0.02


def test_clock_tells_the_time_and_wakes_up_for_a_stop():
    clock, stop = Clock(), threading.Event()
    assert clock.now() > 1_700_000_000
    assert clock.monotonic() <= clock.monotonic()
    assert not clock.wait(stop, 0.0)
    stop.set()
    assert clock.wait(stop, 60.0)
