"""The OpenAPI 3.1 document, made from the types in `wire`.

Bodies are decoded by `wire` and not by the framework, which would turn the user id "007" into 7. So the framework knows
nothing of their types, and they are described here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec

from serendip.serve import wire

API_VERSION = "1"
JSON = "application/json"


@dataclass(frozen=True)
class Endpoint:
    """One endpoint as the document shows it.

    Attributes:
        method, path, summary, tag: as they say.
        reply: the type of a reply of status 200, or the media type of one that is not JSON.
        body: the type of the request's body, or None.
        parameters: the query's parameters.
        errors: the statuses of its errors.
        example: a reply, as plain JSON values.
    """

    method: str
    path: str
    summary: str
    tag: str
    reply: type[msgspec.Struct] | str
    body: type[wire.Request] | None = None
    parameters: tuple[dict[str, Any], ...] = ()
    errors: tuple[int, ...] = ()
    example: dict[str, Any] = field(default_factory=dict)


ERRORS = {
    400: (
        "malformed_json",
        "The body must be one JSON object. Got an empty body instead.",
        "Not JSON, or a foreign Host",
    ),
    404: ("unknown_item", "No item has the id 99. Got it as `item_id`.", "No such item, user or page"),
    413: ("too_large", f"A body must not exceed {wire.MAX_BODY} bytes.", "The body is too large"),
    415: ("unsupported_encoding", "The body must be sent as it is. Got Content-Encoding gzip instead.", "Encoded body"),
    422: ("invalid_value", "`k` must be a whole number >= 1. Got 0 instead.", "JSON, but not such a request"),
    501: ("not_supported", "This bundle has no model that compares items.", "The bundle cannot do that"),
    503: ("not_ready", "The bundle is being loaded.", "The bundle has not passed its check"),
}
BODY_ERRORS = (400, 413, 415, 422, 503)

_ID = "2f1c7f0a-4a57-4c1e-9f0b-0d5a3c8e7b21"
_ITEM = {"item_id": 50, "score": 0.93, "rank": 1, "source": "ials", "title": "Star Wars (1977)"}
_LIST = {"recommendation_id": _ID, "bundle": "3f9a1c2b77d0", "user_known": True, "items": [_ITEM], "notes": []}
_WHY = {
    "bundle": "3f9a1c2b77d0", "user_id": 1, "item_id": 50, "title": "Star Wars (1977)", "k": 10, "listed": 10,
    "place": 1, "score": 0.93, "score_is": None, "verdict": "listed", "lost_at": None,
    "said": "50 (Star Wars (1977)) is at place 1 of the 10.", "otherwise": None, "gates": [],
    "sources": [
        {"source": "ials", "place": 1, "named": 10, "score": 0.93, "last": 0.71, "standing": 1, "among": 1410},
    ],
    "steps": [],
    "scores": [{"source": "ials", "score": 0.93}],
    "reasons": [
        {
            "source": "ials", "side": "history", "name": "history", "contribution": 0.41, "rank": 1, "how": "sum",
            "item_id": 172, "title": "Empire Strikes Back, The (1980)",
        },
    ],
    "foretold": {}, "foretold_by": None, "notes": [],
}  # fmt: skip
_FOUND = {"item_id": 50, "title": "Star Wars (1977)"}


def _parameter(name: str, what: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "description": what, "schema": schema}


def _limit(most: int, default: int) -> dict[str, Any]:
    return _parameter(
        "limit", "How many are wanted.", {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    )


ENDPOINTS = (
    Endpoint(
        "post", "/v1/recommend", "Items for one user", "recommend", wire.RecommendReply, wire.RecommendRequest,
        errors=BODY_ERRORS, example=_LIST,
    ),
    Endpoint(
        "post", "/v1/recommend/batch", "Items for many users", "recommend", wire.BatchReply, wire.BatchRequest,
        errors=BODY_ERRORS, example={"bundle": "3f9a1c2b77d0", "replies": [_LIST]},
    ),
    Endpoint(
        "post", "/v1/similar", "Items like a given one", "recommend", wire.SimilarReply, wire.SimilarRequest,
        errors=(*BODY_ERRORS, 404, 501),
        example={key: value for key, value in _LIST.items() if key != "user_known"},
    ),
    Endpoint(
        "post", "/v1/explain", "Why an item is, or is not, in a user's list", "recommend", wire.ExplainReply,
        wire.ExplainRequest, errors=(*BODY_ERRORS, 404), example=_WHY,
    ),
    Endpoint(
        "post", "/v1/onboard", "What to ask somebody new", "recommend", wire.OnboardReply, wire.OnboardRequest,
        errors=(*BODY_ERRORS, 404),
        example={
            "bundle": "3f9a1c2b77d0", "notes": [],
            "questions": [
                {**_FOUND, "known": 0.51, "gain": 0.07, "rank": 1, "source": "histories"},
            ],
        },
    ),
    Endpoint(
        "put", "/v1/items", "Put live items in, or change them", "items", wire.LiveReply, wire.UpsertRequest,
        errors=(*BODY_ERRORS, 501), example={"sequence": 3, "items": 1683, "notes": []},
    ),
    Endpoint(
        "delete", "/v1/items", "Take a live item out", "items", wire.LiveReply,
        parameters=(_parameter("item_id", "The item.", {"type": "string"}, required=True),),
        errors=(404, 422, 501, 503), example={"sequence": 4, "items": 1682, "notes": []},
    ),
    Endpoint(
        "get", "/v1/items", "Items whose title or id matches", "look", wire.ItemsReply,
        parameters=(
            _parameter("search", "Words of the title in any order, or an id. Empty: most used.", {"type": "string"}),
            _limit(wire.MAX_FOUND, 10),
        ),
        errors=(422, 503), example={"items": [_FOUND]},
    ),
    Endpoint(
        "get", "/v1/history", "What a user liked, newest first", "look", wire.HistoryReply,
        parameters=(
            _parameter("user_id", "The user.", {"type": "string"}, required=True), _limit(wire.MAX_HISTORY, 20)
        ),
        errors=(404, 422, 503), example={"user_id": 1, "total": 1, "items": [_FOUND]},
    ),
    Endpoint(
        "get", "/v1/bundle", "Which bundle answers", "look", wire.BundleReply, errors=(503,),
        example={
            "version": "3f9a1c2b77d0", "created": "2025-01-31T12:00:00+00:00", "serendip": "0.1.0",
            "data": {"events": 100000, "users": 943, "items": 1682}, "example_user_id": 1, "live": None,
        },
    ),
    Endpoint(
        "get", "/health/live", "Whether the process is up", "health", wire.HealthReply, example={"status": "live"}
    ),
    Endpoint(
        "get", "/health/ready", "Whether the bundle has passed its check", "health", wire.HealthReply, errors=(503,),
        example={"status": "ready", "bundle": "3f9a1c2b77d0"},
    ),
    Endpoint("get", "/metrics", "Counters, for Prometheus", "health", "text/plain"),
    Endpoint("get", "/openapi.json", "This document", "health", JSON),
)  # fmt: skip


@cache
def document() -> bytes:
    """The document as JSON."""
    kinds = [kind for point in ENDPOINTS for kind in (point.body, point.reply) if kind and not isinstance(kind, str)]
    _, schemas = msgspec.json.schema_components([*kinds, wire.ErrorReply], ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for point in ENDPOINTS:
        paths.setdefault(point.path, {})[point.method] = _operation(point)
    return wire.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Serendip",
                "version": API_VERSION,
                "summary": "Recommendations from one bundle.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "paths": paths,
            "components": {"schemas": schemas},
        }
    )


def _operation(point: Endpoint) -> dict[str, Any]:
    name = point.path.strip("/").removeprefix("v1/").replace("/", "_").removesuffix(".json")
    operation: dict[str, Any] = {
        "operationId": f"{point.method}_{name}",
        "summary": point.summary,
        "tags": [point.tag],
        "responses": {"200": _answer(point)} | {str(status): _error(status) for status in sorted(point.errors)},
    }
    if point.parameters:
        operation["parameters"] = list(point.parameters)
    if point.body:
        operation["requestBody"] = {
            "required": True,
            "description": f"JSON, whatever the content type says; at most {wire.MAX_BODY} bytes.",
            "content": {JSON: {"schema": _ref(point.body), "example": point.body.example}},
        }
    return operation


def _answer(point: Endpoint) -> dict[str, Any]:
    if isinstance(point.reply, str):
        kind = {"type": "string"} if point.reply != JSON else {"type": "object"}
        return {"description": point.summary, "content": {point.reply: {"schema": kind}}}
    content = {"schema": _ref(point.reply), "example": point.example}
    return {"description": (point.reply.__doc__ or "").strip(), "content": {JSON: content}}


def _error(status: int) -> dict[str, Any]:
    code, message, what = ERRORS[status]
    example = {"error": {"code": code, "message": message}}
    return {"description": what, "content": {JSON: {"schema": _ref(wire.ErrorReply), "example": example}}}


def _ref(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}
