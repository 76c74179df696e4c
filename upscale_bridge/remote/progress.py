"""How far tasks are, in one line and as a fraction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

How = Literal["new", "joined", "resumed", "reused"]
Phase = Literal[
    "waiting", "uploading", "submitting", "asking", "queued", "running", "downloading", "done"
]

_ORDER: tuple[Phase, ...] = (
    "done",
    "downloading",
    "running",
    "queued",
    "asking",
    "submitting",
    "uploading",
    "waiting",
)
_STARTS = {
    "waiting": 0.0,
    "uploading": 0.02,
    "submitting": 0.05,
    "asking": 0.06,
    "queued": 0.08,
    "running": 0.1,
}
_DOWNLOAD = 0.85


@dataclass
class View:
    """How far a task is, for whoever shows it; one thread writes, others read."""

    phase: Phase = "waiting"
    since: float = 0.0
    """When the phase began, on the monotonic clock."""
    fraction: float | None = None
    """How much is done, 0..1, where the service tells it."""
    done: int = 0
    total: int = 0
    """Bytes of the download, or of a large upload; 0 when unknown."""
    how: How = "new"


def describe(views: Sequence[View], now: float) -> str:
    """Return one line about how far tasks are."""
    if len(views) == 1:
        return _describe(views[0], now)
    phases = [view.phase for view in views]
    return ", ".join(f"{phases.count(p)} {p}" for p in _ORDER if p in phases)


def _describe(view: View, now: float) -> str:
    phase, done, whole, known = _seen(view)
    if phase == "done":
        return view.how if view.how in ("reused", "joined", "resumed") else "done"
    head = f"{view.how}, " if view.how in ("joined", "resumed") else ""
    if phase == "downloading" or (phase == "uploading" and whole):
        total = f"/{whole / 1e6:.1f}" if whole else ""
        return f"{head}{phase} {done / 1e6:.1f}{total} MB"
    if phase == "running" and known is not None:
        return f"{head}running {100 * known:.0f} %"
    return f"{head}{phase} {now - view.since:.0f} s"


def fraction(view: View, now: float, typical: float) -> float:
    """Return how much of a task is done, 0..1.

    Where the service tells nothing it is an estimate that slows down: `typical` seconds bring the
    running task to 63 %.
    """
    phase, done, whole, known = _seen(view)
    if phase == "done":
        return 1.0
    moved = min(done / whole if whole else 0.0, 1.0)
    if phase == "downloading":
        return _DOWNLOAD + (1 - _DOWNLOAD) * moved
    start = _STARTS[phase]
    if phase == "uploading":
        return start + (_STARTS["submitting"] - start) * moved
    if phase != "running":
        return start
    estimate = 1.0 - math.exp(-(now - view.since) / typical)
    return start + (_DOWNLOAD - start) * (estimate if known is None else known)


def _seen(view: View) -> tuple[Phase, int, int, float | None]:
    """Return phase, bytes done and in all, and fraction, each read once: another thread writes."""
    return view.phase, view.done, view.total, view.fraction
