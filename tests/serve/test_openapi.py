"""The OpenAPI document: well-formed, complete, and true of real replies."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from litestar.testing import TestClient

from serendip.serve import static, wire
from serendip.serve.openapi import ENDPOINTS, ERRORS, document

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT: dict[str, Any] = json.loads(document())


def validate(schema: dict[str, Any], value: Any) -> None:
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, how) for path, methods in DOCUMENT["paths"].items() for method, how in methods.items()]


def test_it_has_what_openapi_requires() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["info"]["title"] and DOCUMENT["info"]["version"]
    names = [how["operationId"] for _, _, how in operations()]
    assert len(names) == len(set(names)) == len(ENDPOINTS)
    for _, _, how in operations():
        assert how["summary"] and "200" in how["responses"]
        assert all(answer["description"] and answer["content"] for answer in how["responses"].values())


def test_schemas_are_valid_and_every_reference_leads_somewhere() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(DOCUMENT)):
        assert name in DOCUMENT["components"]["schemas"]


def test_every_example_fits_its_schema() -> None:
    contents = [
        content
        for _, _, how in operations()
        for part in (how.get("requestBody", {}), *how["responses"].values())
        for content in part.get("content", {}).values()
        if "example" in content
    ]
    assert len(contents) > 2 * len(ENDPOINTS)
    for content in contents:
        validate(content["schema"], content["example"])


def test_it_names_every_route_and_no_other(client: TestClient) -> None:
    routes = {route.path for route in client.app.routes} - set(static.ROUTES)
    assert {path for path, _, _ in operations()} == routes
    for path, method, _ in operations():
        assert client.request(method, path).status_code not in (404, 405)


def test_bodies_state_their_limits() -> None:
    k = DOCUMENT["components"]["schemas"]["RecommendRequest"]["properties"]["k"]
    assert (k["minimum"], k["maximum"], k["default"]) == (1, 1000, 10) and k["description"]


def test_it_names_no_other_machine(client: TestClient) -> None:
    assert client.get("/openapi.json").json() == DOCUMENT
    assert "http" not in document().decode()


@pytest.mark.parametrize("point", [one for one in ENDPOINTS if one.method == "post"], ids=lambda point: point.path)
def test_real_replies_and_errors_fit_their_schemas(client: TestClient, point: Any) -> None:
    answers = DOCUMENT["paths"][point.path]["post"]["responses"]
    body = json.dumps(point.body.example).replace("50", "101").replace("172", "102")
    good = client.post(point.path, content=body)
    assert good.status_code == 200
    validate(answers["200"]["content"]["application/json"]["schema"], good.json())
    for content, status in ((b"{", 400), (b'{"k": 0, "item_id": 1, "queries": [{}]}', 422), (b" " * 1_000_001, 413)):
        bad = client.post(point.path, content=content)
        assert bad.status_code == status
        validate(answers[str(status)]["content"]["application/json"]["schema"], bad.json())


def test_what_can_be_looked_up_fits_its_schema(client: TestClient) -> None:
    for path in ("/v1/items?search=item", "/v1/history?user_id=1", "/v1/bundle", "/health/live", "/health/ready"):
        answer = DOCUMENT["paths"][path.partition("?")[0]]["get"]["responses"]["200"]
        validate(answer["content"]["application/json"]["schema"], client.get(path).json())


def test_error_examples_are_of_the_kinds_that_are_sent() -> None:
    assert {status for point in ENDPOINTS for status in point.errors} == set(ERRORS)


def test_the_manual_names_every_route_field_limit_and_code() -> None:
    manual = (ROOT / "docs" / "serve.md").read_text()
    sources = "".join(path.read_text() for path in (ROOT / "serendip" / "serve").glob("*.py"))
    codes = set(re.findall(r'ApiError\(\s*\d{3},\s*"(\w+)"', sources))
    assert {"malformed_json", "internal", "not_ready"} <= codes
    fields = {name for point in ENDPOINTS if point.body for name in point.body.__struct_fields__}
    for word in [point.path for point in ENDPOINTS] + sorted(codes | fields):
        assert re.search(rf"[`\" ]{re.escape(word)}[`\"? ]", manual), f"{word} is not in docs/serve.md"
    for limit in (wire.MAX_BODY, wire.MAX_PLACES, wire.MAX_QUERIES):
        assert f"{limit:,}" in manual
    assert f"1 … {wire.MAX_K}," in manual


def test_the_manual_names_every_metric(client: TestClient) -> None:
    manual = (ROOT / "docs" / "serve.md").read_text()
    text = client.get("/metrics").text
    for name in re.findall(r"^# TYPE (serendip_\w+) ", text, re.MULTILINE):
        assert name.endswith("_created") or f"`{name}`" in manual, name
