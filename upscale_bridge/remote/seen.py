"""Time that no clock which is set wrong can move: seconds that this machine was seen to live.

While a program runs, its monotonic clock says how much time passes. Between two programs nobody
measures, so the calendar is believed for a few hours and no more. An empty CMOS battery, the other
system of a dual boot or a virtual machine that wakes up in another month add those hours once each,
a calendar that goes backwards adds nothing. Hence an age is never more than the truth and a few
hours for each wrong start, and may be less; what is removed by age is kept longer, never shorter.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

from .clock import Clock

LONGEST_GAP = 6 * 3600.0
"""Seconds for which the calendar is believed between two programs."""

_WORTH_SAYING = 86_400.0
_STORED_EVERY = 60.0

log = logging.getLogger("upscale_bridge.remote")


class Statements(Protocol):
    """A database, as `storage.database.Database` is one."""

    def execute(self, sql: str, *values: Any) -> Any:
        """Run one statement, inside a transaction."""


class SeenTime:
    """Seconds that were seen to pass, as all programs of the user know it together."""

    def __init__(self, database: Statements, clock: Clock) -> None:
        """`database` has the table `seen` with one row: seconds, and what the calendar said."""
        self._database, self._clock = database, clock
        self._began: float | None = None

    def now(self, *, reading: bool = False) -> float:
        """Return the seconds, inside a transaction; without `reading` they are stored now
        and then."""
        ((seen, calendar),) = self._database.execute("SELECT seen, calendar FROM seen").fetchall()
        if self._began is None:
            self._began = seen + self._gap(calendar) - self._clock.monotonic()
        # Another program may have been here for longer than this one.
        found = max(float(seen), self._began + self._clock.monotonic())
        today = self._clock.now()
        moved = max(found - seen, abs(today - calendar))
        if not reading and moved > _STORED_EVERY:
            self._database.execute("UPDATE seen SET seen = ?, calendar = ?", found, today)
        return found

    def _gap(self, calendar: float) -> float:
        """Return what passed since the last program noted `calendar`, 0 when none did."""
        gap = self._clock.now() - calendar if calendar else 0.0
        believed = min(max(gap, 0.0), LONGEST_GAP)
        if gap < -_WORTH_SAYING or gap > 7 * _WORTH_SAYING:
            log.warning(
                "The clock of this machine says that %.0f days have passed since it was last seen "
                "here. It is believed for %.0f h: nothing that is kept is removed for it. If it "
                "is wrong, set it right.",
                gap / 86_400,
                believed / 3600,
            )
        return believed
