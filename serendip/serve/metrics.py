"""What the server counts, in Prometheus' terms."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from serendip.pipeline import Skipped

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The counters of one server, in a registry of its own."""

    content_type = CONTENT_TYPE_LATEST.removesuffix("; charset=utf-8")

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "serendip_http_requests", "Requests answered.", ("route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "serendip_http_request_seconds", "Time to answer.", ("route",), buckets=SECONDS, registry=self.registry
        )
        self._items = Counter(
            "serendip_recommended_items",
            "Items named, by what named them.",
            ("route", "source"),
            registry=self.registry,
        )
        self._lists = Counter("serendip_lists", "Lists answered.", ("route",), registry=self.registry)
        self._empty = Counter("serendip_empty_lists", "Lists that held nothing.", ("route",), registry=self.registry)
        self._stages = Counter(
            "serendip_skipped_stages",
            "Stages of the pipeline that were skipped: failed, late, or busy with what was late.",
            ("stage", "why"),
            registry=self.registry,
        )
        self._took = Histogram(
            "serendip_stage_seconds",
            "Time that a stage of the pipeline was waited for.",
            ("stage",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._ready = Gauge("serendip_ready", "1 when the server answers, 0 until then.", registry=self.registry)
        self._bundle = Gauge(
            "serendip_bundle_info", "The bundle that answers.", ("version", "created"), registry=self.registry
        )
        ProcessCollector(registry=self.registry)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request; ``route`` is one of the server's own paths, so that strangers cannot add series."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def answered(self, route: str, sources: Iterable[str]) -> None:
        """Count a list by the source of each of its items."""
        self._lists.labels(route).inc()
        named = Tally(sources)
        for source, times in named.items():
            self._items.labels(route, source).inc(times)
        if not named:
            self._empty.labels(route).inc()

    def skipped(self, note: Skipped) -> None:
        """Count a stage that was skipped; requests that are answered together count once."""
        self._stages.labels(note.stage, note.why).inc()

    def took(self, stage: str, seconds: float) -> None:
        """Note how long a stage was waited for; requests that are answered together count once."""
        self._took.labels(stage).observe(seconds)

    def ready(self, version: str, created: str) -> None:
        """Note that this bundle now answers."""
        self._bundle.labels(version, created).set(1)
        self._ready.set(1)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)
