"""What `/metrics` tells Prometheus: counts and times, nothing of who asked or what for."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from mien.apps.service.jobs import STATES, JobStore
from mien.apps.web.worker import InferenceWorker

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The counters of one service, in a registry of their own."""

    def __init__(self, worker: InferenceWorker, store: JobStore) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "mien_requests", "Requests answered", ["route", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram("mien_request_seconds", "From head to answer", ["route"], registry=self.registry)
        self.batch = Histogram(
            "mien_batch_size", "Faces or photos made together", ["model"], buckets=SIZES, registry=self.registry
        )
        self.making = Histogram("mien_batch_seconds", "To make a batch", ["model"], registry=self.registry)
        waiting = Gauge("mien_waiting", "Requests in the line", registry=self.registry)
        waiting.set_function(lambda: worker.waits)
        jobs = Gauge("mien_jobs", "Jobs by state", ["state"], registry=self.registry)
        for state in STATES:
            jobs.labels(state).set_function(lambda state=state: store.count(state))
        worker.batches = self._made

    def _made(self, model: str, size: int, seconds: float) -> None:
        self.batch.labels(model).observe(size)
        self.making.labels(model).observe(seconds)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Note one answer."""
        self.requests.labels(route, method, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """The exposition format."""
        return bytes(generate_latest(self.registry))
