"""The application by its test client, and the real server in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar.testing import TestClient

from serendip.bundle import Bundle
from serendip.serve.app import create_app, listen, serve, url
from serendip.types import SerendipError

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "import sys; from serendip.serve.app import serve; serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))"


@contextmanager
def server(bundle: Path, host: str = "127.0.0.1", port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """A server process that is ready, its URL, and the line that it wrote."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(bundle), host, str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        try:
            address = re.search(r"http://\S+?(?=/ )", line)
            assert address, line + process.stderr.read()
            yield process, address[0], line
        finally:
            process.kill()


@pytest.fixture(scope="module")
def address(bundle_path: Path) -> Iterator[str]:
    with server(bundle_path) as (_, address, _):
        yield address


def test_the_line_at_the_start_says_where_what_and_what_to_try(bundle: Bundle, bundle_path: Path) -> None:
    with server(bundle_path) as (process, address, line):
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", address)
        assert f"bundle {bundle.manifest.version} " in line
        command = line.partition("Try: ")[2].strip()
        assert command == f'curl -s {address}/v1/recommend -d \'{{"user_id":1,"k":10}}\''
        form = {"content-type": "application/x-www-form-urlencoded"}  # what curl sends
        reply = httpx.post(f"{address}/v1/recommend", content=b'{"user_id":1,"k":10}', headers=form)
        assert reply.status_code == 200
        assert reply.json()["items"][0] | {"score": 0} == {
            "item_id": 101,
            "title": "<script>document.title = 'broken'</script>",
            "score": 0,
            "rank": 1,
            "source": "together",
        }
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_it_runs_on_the_other_family_and_by_name(bundle_path: Path) -> None:
    with server(bundle_path, "localhost") as (_, address, _):
        assert httpx.get(f"{address}/health/ready").status_code == 200
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server(bundle_path, "::1") as (_, address, _):
        assert re.fullmatch(r"http://\[::1\]:\d+", address)
        assert httpx.get(f"{address}/health/ready").status_code == 200


def test_eight_threads_get_the_same_answers(address: str) -> None:
    def ask(start: int) -> dict[int, list[tuple[int, float]]]:
        lists = {}
        with httpx.Client(base_url=address) as http:
            for user in (1 + (start + step) % 20 for step in range(20)):
                reply = http.post("/v1/recommend", json={"user_id": user, "k": 5}).raise_for_status().json()
                lists[user] = [(item["item_id"], item["score"]) for item in reply["items"]]
        return lists

    with ThreadPoolExecutor(8) as pool:
        first, *others = pool.map(ask, range(8))
    assert {user: items[0][0] for user, items in first.items()} == {user: 100 + user for user in range(1, 21)}
    assert all(other == first for other in others)


def test_head_gives_the_headers_of_get_without_its_body(address: str) -> None:
    with httpx.Client(base_url=address) as http:
        for path in ("/", "/health/live", "/nowhere"):
            head, full = http.head(path), http.get(path)
            assert head.status_code == full.status_code
            assert head.headers["content-length"] == full.headers["content-length"] == str(len(full.content))
            assert head.content == b""
        assert http.head("/v1/recommend").status_code == 405


def test_a_client_that_leaves_halfway_does_no_harm(address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as half:
        half.sendall(b"POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{")
    assert httpx.post(f"{address}/v1/recommend", content=b"{}").status_code == 200
    assert 'status="500"' not in httpx.get(f"{address}/metrics").text


def test_a_request_under_way_is_finished_before_the_server_ends(bundle_path: Path) -> None:
    with server(bundle_path) as (process, address, _):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as wire:
            body = b'{"user_id": 1}'
            head = f"POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            wire.sendall(head.encode() + body[:5])
            _seen(address, "/health/live")
            process.send_signal(signal.SIGTERM)
            _wait_until_closed(host, int(port))
            assert process.poll() is None
            wire.sendall(body[5:])
            answer = b"".join(iter(lambda: wire.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200") and b'"user_known":true' in answer
        assert process.wait(20) == 0
        assert process.stderr is not None and process.stderr.read() == ""


def _seen(address: str, path: str) -> None:
    """A second request that is answered shows that the bytes of the first have been read."""
    assert httpx.get(address + path).status_code == 200


def _wait_until_closed(host: str, port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection((host, port)).close()
        except OSError:
            return
        time.sleep(0.05)
    raise AssertionError("the server still takes connections")


def test_neither_torch_nor_numba_is_loaded_by_serving(bundle_path: Path) -> None:
    code = (
        "import sys; from litestar.testing import TestClient; from serendip.serve.app import create_app\n"
        "with TestClient(create_app(sys.argv[1]), base_url='http://127.0.0.1') as client:\n"
        "    while client.get('/health/ready').status_code != 200: pass\n"
        "    assert client.post('/v1/recommend', content='{\"user_id\":1}').json()['items']\n"
        "    assert client.post('/v1/similar', content='{\"item_id\":101}').json()['items']\n"
        "assert not {'torch', 'numba'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle_path)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "192.168.0.1", "example.org", "127.0.0.2"])
def test_any_other_address_is_refused(bundle_path: Path, host: str) -> None:
    with pytest.raises(SerendipError, match=r"host must be 127\.0\.0\.1, localhost or ::1.*no API keys yet"):
        serve(bundle_path, host, 0)


def test_a_port_that_cannot_be_had_is_named_with_what_to_try(bundle_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = int(url(taken).rpartition(":")[2])
        with pytest.raises(SerendipError, match=f"Port {port} on 127.0.0.1 is already in use.*--port {port + 1}"):
            serve(bundle_path, "127.0.0.1", port)
    for port in (-1, 65536):
        with pytest.raises(SerendipError, match=f"port must be from 0 to 65535. Got {port} instead"):
            serve(bundle_path, "127.0.0.1", port)


def test_a_bundle_that_cannot_be_used_ends_the_server_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(SerendipError, match="nothing"):
        serve(tmp_path / "nothing", "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/..%2f..%2fetc/passwd", 404, "not_found"),
        ("GET", "/v1/recommend", 405, "method_not_allowed"),
        ("DELETE", "/v1/similar", 405, "method_not_allowed"),
        ("POST", "/health/live", 405, "method_not_allowed"),
        ("GET", "/v1/history", 422, "missing_field"),
        ("GET", "/v1/history?user_id=nobody", 404, "unknown_user"),
        ("GET", "/v1/history?user=1", 422, "unknown_field"),
        ("GET", "/v1/history?user_id=1&limit=0", 422, "invalid_value"),
        ("GET", "/v1/items?limit=51", 422, "invalid_value"),
        ("GET", "/v1/items?limit=%C2%B2", 422, "invalid_value"),
        ("GET", "/v1/items?search=" + "x" * 201, 422, "invalid_value"),
    ],
)
def test_what_is_not_there_or_not_so_has_a_code_and_a_hint(
    client: TestClient, method: str, path: str, status: int, code: str
) -> None:
    reply = client.request(method, path)
    assert reply.status_code == status
    problem = reply.json()["error"]
    assert problem["code"] == code and problem["message"]


def test_a_method_that_is_not_allowed_names_those_that_are(client: TestClient) -> None:
    reply = client.put("/v1/recommend")
    assert "POST" in reply.headers["allow"] and "POST" in reply.json()["error"]["hint"]


def test_a_body_has_a_limit_with_or_without_its_length_announced(client: TestClient) -> None:
    fits = b'{"user_id": 1' + b" " * (1_000_000 - 14) + b"}"
    assert client.post("/v1/recommend", content=fits).status_code == 200
    for large in (fits + b" ", iter([fits, b" "])):
        reply = client.post("/v1/recommend", content=large)
        assert reply.status_code == 413 and reply.json()["error"]["message"] == "A body must not exceed 1000000 bytes."


def test_a_packed_body_is_refused(client: TestClient) -> None:
    reply = client.post("/v1/recommend", content=b"x", headers={"content-encoding": "gzip"})
    assert reply.status_code == 415 and reply.json()["error"]["code"] == "unsupported_encoding"


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data", "nonsense", ""])
def test_the_content_type_does_not_matter(client: TestClient, kind: str) -> None:
    reply = client.post("/v1/recommend", content=b'{"user_id": "2", "k": 1}', headers={"content-type": kind})
    assert reply.status_code == 200 and reply.json()["items"][0]["item_id"] == 102


def test_ids_that_are_text_stay_text(named_client: TestClient) -> None:
    reply = named_client.post("/v1/recommend", json={"user_id": "007", "k": 1}).json()
    assert reply["user_known"] and reply["items"][0]["item_id"] == "a/107 é"
    assert named_client.get("/v1/history", params={"user_id": "007"}).json()["user_id"] == "007"
    assert not named_client.post("/v1/recommend", json={"user_id": 7}).json()["user_known"]


def test_batches_and_similar_items_are_answered(client: TestClient) -> None:
    batch = client.post("/v1/recommend/batch", json={"queries": [{"user_id": 3}, {}], "k": 1}).json()
    assert [reply["items"][0]["item_id"] for reply in batch["replies"]] == [103, 115]
    near = client.post("/v1/similar", json={"item_id": "111", "k": 2}).json()
    assert [item["item_id"] for item in near["items"]] == [112, 113]
    assert client.post("/v1/similar", json={"item_id": 999}).status_code == 404


def test_an_item_is_explained(client: TestClient) -> None:
    why = client.post("/v1/explain", json={"user_id": 3, "item_id": 103, "reasons": 2})
    assert why.status_code == 200 and [reason["item_id"] for reason in why.json()["reasons"]] == [101, 102]
    popular = client.post("/v1/explain", json={"user_id": 3, "item_id": 115, "k": 1}).json()
    assert (popular["place"], popular["verdict"], popular["reasons"]) == (None, "not_named", [])


def test_a_mistake_of_the_server_is_logged_and_not_shown(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(bundle)

    def broken(*_: object) -> None:
        raise RuntimeError("secret of the house")

    with TestClient(app, base_url="http://127.0.0.1") as client:
        while client.get("/health/ready").status_code != 200:
            pass
        app.state["serving"].answers.search = broken
        reply = client.get("/v1/items")
    assert reply.status_code == 500
    assert reply.json() == {"error": {"code": "internal", "message": "The server made a mistake; its log says which."}}
    assert "secret of the house" in caplog.text and "GET /v1/items failed" in caplog.text


IDS = st.one_of(st.integers(-5, 130), st.integers(), st.sampled_from(["1", "101", "", " 7", "é", "\x00", "1e3"]))
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "user_id": IDS | st.none(),
        "item_id": IDS,
        "k": st.integers(-1, 1002),
        "history": st.lists(IDS, max_size=5) | st.none(),
        "exclude": st.lists(IDS, max_size=5),
        "allow": st.lists(IDS, max_size=5) | st.none(),
        "exclude_seen": st.booleans(),
        "queries": st.lists(st.fixed_dictionaries({}, optional={"user_id": IDS, "history": st.lists(IDS)}), max_size=3),
    },
)


@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(body=BODIES, path=st.sampled_from(["/v1/recommend", "/v1/recommend/batch", "/v1/similar", "/v1/explain"]))
def test_no_body_makes_the_server_fail(client: TestClient, body: dict[str, Any], path: str) -> None:
    keys = {
        "/v1/recommend": {"queries", "item_id"},
        "/v1/similar": {"user_id", "history", "exclude", "allow", "queries"},
        "/v1/explain": {"queries"},
    }
    kept = {key: value for key, value in body.items() if key not in keys.get(path, {"item_id", "user_id"})}
    reply = client.post(path, content=json.dumps(kept).encode())
    assert reply.status_code in (200, 404, 422), reply.text
    if reply.status_code == 200 and path == "/v1/recommend":
        shown = [item["item_id"] for item in reply.json()["items"]]
        assert len(shown) == len(set(shown)) <= kept.get("k", 10)
        assert not {str(item) for item in shown} & {str(item).strip() for item in kept.get("exclude", [])}


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(body=st.binary(max_size=100), text=st.text(max_size=30))
def test_no_bytes_and_no_search_make_the_server_fail(client: TestClient, body: bytes, text: str) -> None:
    assert client.post("/v1/recommend", content=body).status_code in (200, 400, 422)
    assert client.get("/v1/items", params={"search": text}).status_code == 200
    assert client.get("/v1/history", params={"user_id": text}).status_code in (200, 404)
