"""What is counted."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from serendip.pipeline import Skipped
from serendip.serve.metrics import Metrics


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_requests_lists_and_sources_are_counted() -> None:
    metrics = Metrics()
    metrics.request("/v1/recommend", 200, 0.002)
    metrics.request("/v1/recommend", 200, 0.2)
    metrics.request("/v1/recommend", 422, 0.001)
    metrics.answered("/v1/recommend", ["ials", "ials", "popular"])
    metrics.answered("/v1/recommend", [])
    got = samples(metrics)
    assert got["serendip_http_requests_total", "/v1/recommend", "200"] == 2
    assert got["serendip_http_requests_total", "/v1/recommend", "422"] == 1
    assert got["serendip_http_request_seconds_count", "/v1/recommend"] == 3
    assert got["serendip_http_request_seconds_bucket", "0.0025", "/v1/recommend"] == 2
    assert got["serendip_recommended_items_total", "/v1/recommend", "ials"] == 2
    assert got["serendip_recommended_items_total", "/v1/recommend", "popular"] == 1
    assert got["serendip_lists_total", "/v1/recommend"] == 2
    assert got["serendip_empty_lists_total", "/v1/recommend"] == 1


def test_skipped_stages_are_counted_by_why() -> None:
    metrics = Metrics()
    for why in ("late", "late", "busy"):
        metrics.skipped(Skipped("ials", why, "…"))
    got = samples(metrics)
    assert got["serendip_skipped_stages_total", "ials", "late"] == 2
    assert got["serendip_skipped_stages_total", "ials", "busy"] == 1


def test_the_time_of_stages_is_kept_by_name() -> None:
    metrics = Metrics()
    for seconds in (0.002, 0.2):
        metrics.took("ials", seconds)
    got = samples(metrics)
    assert got["serendip_stage_seconds_count", "ials"] == 2
    assert got["serendip_stage_seconds_bucket", "0.0025", "ials"] == 1
    assert got["serendip_stage_seconds_sum", "ials"] == 0.202


def test_readiness_and_the_bundle_are_told() -> None:
    metrics = Metrics()
    assert samples(metrics)["serendip_ready",] == 0
    metrics.ready("3f9a1c2b77d0", "2025-01-31T12:00:00+00:00")
    got = samples(metrics)
    assert got["serendip_ready",] == 1
    assert got["serendip_bundle_info", "2025-01-31T12:00:00+00:00", "3f9a1c2b77d0"] == 1


def test_servers_do_not_share_counters() -> None:
    one, other = Metrics(), Metrics()
    one.answered("/v1/recommend", ["ials"])
    assert ("serendip_lists_total", "/v1/recommend") not in samples(other)
