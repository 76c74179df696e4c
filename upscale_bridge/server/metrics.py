"""What a Prometheus server may ask for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

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
        self._oldest = Gauge(
            "upscale_bridge_queue_age_seconds",
            "For how long the first of the waiting jobs has waited",
            registry=self._registry,
        )
        self._registry.register(_Workers(queue))

    def note(self, path: str, status: int, seconds: float) -> None:
        """Count one answer."""
        self._answers.labels(api_of(path), str(status)).inc()
        self._seconds.labels(api_of(path)).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        for state, count in self._queue.counts().items():
            self._jobs.labels(state).set(count)
        self._oldest.set(self._queue.oldest())
        return bytes(generate_latest(self._registry))


class _Workers:
    """What the workers of all machines have done, where the queue knows them."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def describe(self) -> list[Metric]:
        """Return no names: to find them the queue would have to be asked."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield a metric for each fact, with a value for each device."""
        labels = ["machine", "device"]
        alive = GaugeMetricFamily("upscale_bridge_workers", "Workers that live", labels=labels)
        busy = CounterMetricFamily(
            "upscale_bridge_worker_busy_seconds", "Time at work", labels=labels
        )
        done = CounterMetricFamily("upscale_bridge_worker_tasks", "Tasks ended", labels=labels)
        loads = CounterMetricFamily(
            "upscale_bridge_worker_model_loads", "Models loaded", labels=labels
        )
        sums: dict[tuple[str, str], list[float]] = {}
        for one in self._queue.workers():
            found = sums.setdefault((one.machine, one.device), [0, 0.0, 0, 0])
            for index, value in enumerate((1, one.busy, one.done, one.loads)):
                found[index] += value
        for key, values in sums.items():
            alive.add_metric(key, values[0])
            for metric, value in zip((busy, done, loads), values[1:], strict=True):
                metric.add_metric(key, value)
        if sums:
            yield from (alive, busy, done, loads)


def api_of(path: str) -> str:
    """Return the first part of an address that is known, "other" for any other."""
    head = path.split("/")[1] if path.startswith("/") else ""
    return head if head in _APIS else "other"
