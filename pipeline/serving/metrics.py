"""Metrics of the server in the format of Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters and histograms of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter("vecformer_requests", "Requests by path and HTTP status.", ["path", "status"],
                                registry=self.registry)
        self.seconds = Histogram("vecformer_request_seconds", "Time from a complete request to its answer.", ["path"],
                                 buckets=SECONDS, registry=self.registry)
        self.texts = Counter("vecformer_texts", "Texts that were predicted for.", ["run"], registry=self.registry)
        self.parts = Counter("vecformer_streamed_parts", "Parts of generated texts that were sent.", ["run"],
                             registry=self.registry)
        self.batches = Histogram("vecformer_batch_texts", "Texts computed together.", ["run"], buckets=SIZES,
                                 registry=self.registry)
        self.waiting = Gauge("vecformer_waiting_requests", "Requests in the queue of a run.", ["run"],
                             registry=self.registry)
        self.closed = Counter("vecformer_closed_connections", "Connections closed by the server, by reason.",
                              ["reason"], registry=self.registry)

    def exposition(self) -> bytes:
        """Return all metrics as text."""
        return generate_latest(self.registry)
