"""What every request passes: the host guard, HEAD, headers."""

from __future__ import annotations

import pytest
from litestar.testing import TestClient

from serendip.serve.edge import is_local


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8000", "localhost:"]
)
def test_this_machine_is_local_on_any_port(host: str) -> None:
    assert is_local({"headers": [(b"host", host.encode())]})


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8000",
        "localhost:8000.evil.example",
        "127.0.0.2",
        "0.0.0.0",
        "[::1].evil.example",
        "[::2]",
        "::1",
        "",
    ],
)
def test_any_other_name_is_not(host: str) -> None:
    assert not is_local({"headers": [(b"host", host.encode())]})


def test_no_host_and_two_hosts_are_refused() -> None:
    assert not is_local({"headers": []})
    assert not is_local({"headers": [(b"host", b"localhost"), (b"host", b"evil.example")]})


@pytest.mark.parametrize("path", ["/", "/v1/recommend", "/health/live", "/nowhere"])
def test_a_foreign_host_is_refused_everywhere(client: TestClient, path: str) -> None:
    reply = client.get(path, headers={"host": "evil.example"})
    assert reply.status_code == 400 and reply.json()["error"]["code"] == "bad_host"


@pytest.mark.parametrize("path", ["/", "/page.js", "/health/live", "/nowhere", "/v1/recommend", "/metrics"])
def test_every_reply_has_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';") and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers


def test_requests_are_counted_by_the_servers_own_paths_only(client: TestClient) -> None:
    client.get("/strange/path")
    client.get("/health/live/")
    text = client.get("/metrics").text
    assert 'serendip_http_requests_total{route="other",status="404"}' in text
    assert 'serendip_http_requests_total{route="/health/live",status="200"}' in text
    assert "strange" not in text
