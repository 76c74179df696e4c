"""What a Prometheus server may ask for."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from .queue import Queue

_APIS = ("v1", "v2", "v3", "api", "files", "uploads", "healthz", "readyz", "status")


class Metrics:
    """Counts answers; thread-safe."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "upscale_bridge_answers", "Answers", ["api", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "upscale_bridge_answer_seconds", "Time to answer", ["api"], registry=self._registry
        )
        self._jobs = Gauge("upscale_bridge_jobs", "Jobs", ["state"], registry=self._registry)

    def note(self, path: str, status: int, seconds: float) -> None:
        """Count one answer."""
        self._answers.labels(api_of(path), str(status)).inc()
        self._seconds.labels(api_of(path)).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        for state, count in self._queue.counts().items():
            self._jobs.labels(state).set(count)
        return bytes(generate_latest(self._registry))


def api_of(path: str) -> str:
    """Return the first part of an address that is known, "other" for any other."""
    head = path.split("/")[1] if path.startswith("/") else ""
    return head if head in _APIS else "other"
