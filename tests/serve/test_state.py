"""From loading to ready, or to failed."""

from __future__ import annotations

import threading
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest
from litestar.testing import TestClient

from serendip.bundle import Bundle, BundleError
from serendip.serve.app import create_app
from serendip.serve.state import Serving
from serendip.serve.wire import ApiError


class Slow(Bundle):
    """Its check takes until it is given leave."""

    go = threading.Event()

    def check(self) -> None:
        self.go.wait()


def parts(bundle: Bundle) -> dict[str, object]:
    return {part.name: getattr(bundle, part.name) for part in fields(bundle)}


def test_a_bundle_is_ready_once_its_golden_replies_are_right(bundle_path: Path) -> None:
    serving = Serving(bundle_path, threads=1, live=None, writable=False)
    assert serving.status == "loading"
    with pytest.raises(ApiError, match=r"The bundle is being loaded\."):
        _ = serving.answers
    serving.load()
    assert (serving.status, serving.failure) == ("ready", None)
    assert serving.answers.version == Bundle.load(bundle_path).manifest.version
    serving.close()


def test_a_bundle_that_answers_otherwise_than_it_did_is_not_served(bundle: Bundle) -> None:
    reply = bundle.golden.replies[1]
    wrong = msgspec.structs.replace(reply, scores=[score + 1 for score in reply.scores])
    golden = msgspec.structs.replace(bundle.golden, replies=[bundle.golden.replies[0], wrong])
    serving = Serving(Bundle(**{**parts(bundle), "golden": golden}), threads=1, live=None, writable=False)
    serving.load()
    assert serving.status == "failed" and isinstance(serving.failure, BundleError)
    with pytest.raises(ApiError) as refused:
        _ = serving.answers
    assert refused.value.status == 503
    serving.close()


def test_until_it_is_checked_the_server_says_why_it_does_not_answer(bundle: Bundle) -> None:
    settled = threading.Event()
    with TestClient(
        create_app(Slow(**parts(bundle)), settled=lambda _: settled.set()), base_url="http://127.0.0.1"
    ) as client:
        for method, path in (
            ("GET", "/health/ready"),
            ("POST", "/v1/recommend"),
            ("POST", "/v1/similar"),
            ("GET", "/v1/items"),
            ("GET", "/v1/bundle"),
        ):
            reply = client.request(method, path, content=b'{"item_id": 101}' if path == "/v1/similar" else b"{}")
            assert reply.status_code == 503
            assert reply.json()["error"] == {
                "code": "not_ready",
                "message": "The bundle is being checked: its golden replies are asked for again.",
                "hint": "Ask again when /health/ready says 200.",
            }
        assert client.get("/health/live").json() == {"status": "live"}
        assert client.get("/").status_code == 200
        assert "serendip_ready 0.0" in client.get("/metrics").text
        Slow.go.set()
        assert settled.wait(10)
        assert client.get("/health/ready").json() == {"status": "ready", "bundle": bundle.manifest.version}
        assert "serendip_ready 1.0" in client.get("/metrics").text


def test_a_failure_is_logged_and_not_told_to_strangers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with TestClient(create_app(tmp_path / "nothing"), base_url="http://127.0.0.1") as client:
        reply = client.get("/health/ready")
        while "being loaded" in reply.text:
            reply = client.get("/health/ready")
        assert reply.status_code == 503
        assert reply.json()["error"]["message"] == "The bundle could not be used; the server's log says why."
        assert str(tmp_path) not in reply.text
    assert "The bundle cannot be served: " in caplog.text and str(tmp_path) in caplog.text
