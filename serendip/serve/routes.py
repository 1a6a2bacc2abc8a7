"""The endpoints: a body in, a reply out. What they answer is in `answers`, what it looks like in `wire`."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from litestar import MediaType, Request, Response, delete, get, post, put

from serendip.serve import wire
from serendip.serve.openapi import document
from serendip.serve.state import Serving
from serendip.serve.wire import ApiError

Asked = Request[Any, Any, Any]
R = TypeVar("R", bound=wire.Request)

RECOMMEND = "/v1/recommend"
BATCH = "/v1/recommend/batch"
SIMILAR = "/v1/similar"
EXPLAIN = "/v1/explain"
ONBOARD = "/v1/onboard"
ITEMS = "/v1/items"


def serving(request: Asked) -> Serving:
    """The state of the server that was asked."""
    found: Serving = request.app.state["serving"]
    return found


async def body(request: Asked, kind: type[R]) -> R:
    """The request's body, which is JSON whatever its content type says (curl's default is a form)."""
    coding = request.headers.get("content-encoding", "identity").lower()
    if coding != "identity":
        raise ApiError(
            415, "unsupported_encoding", f"The body must be sent as it is. Got Content-Encoding {coding[:20]} instead."
        )
    return wire.decode(await request.body(), kind)


def reply(value: msgspec.Struct, status: int = 200) -> Response[bytes]:
    """A reply as JSON."""
    return Response(wire.encode(value), media_type=MediaType.JSON, status_code=status)


@post(RECOMMEND, status_code=200)
async def recommend(request: Asked) -> Response[bytes]:
    """Items for one user."""
    now = serving(request)
    answer = await now.recommend(await body(request, wire.RecommendRequest))
    now.metrics.answered(RECOMMEND, [item.source for item in answer.items])
    return reply(answer)


@post(BATCH, status_code=200)
async def recommend_batch(request: Asked) -> Response[bytes]:
    """Items for many users."""
    now = serving(request)
    answer = await now.run(now.batch, await body(request, wire.BatchRequest))
    for one in answer.replies:
        now.metrics.answered(BATCH, [item.source for item in one.items])
    return reply(answer)


@post(SIMILAR, status_code=200)
async def similar(request: Asked) -> Response[bytes]:
    """Items like a given one."""
    now = serving(request)
    answers = now.answers
    asked = await body(request, wire.SimilarRequest)
    answer = await now.run(answers.similar, asked)
    now.metrics.answered(SIMILAR, [item.source for item in answer.items])
    return reply(answer)


@post(EXPLAIN, status_code=200)
async def explain(request: Asked) -> Response[bytes]:
    """Why an item is named."""
    now = serving(request)
    answers = now.answers
    return reply(await now.run(answers.explain, await body(request, wire.ExplainRequest)))


@post(ONBOARD, status_code=200)
async def onboard(request: Asked) -> Response[bytes]:
    """What to ask somebody new."""
    now = serving(request)
    answers = now.answers
    return reply(await now.run(answers.onboard, await body(request, wire.OnboardRequest)))


@put(ITEMS, status_code=200)
async def put_items(request: Asked) -> Response[bytes]:
    """Put live items in."""
    now = serving(request)
    asked = await body(request, wire.UpsertRequest)
    return reply(await now.run(now.upsert, asked))


@delete(ITEMS, status_code=200)
async def delete_item(request: Asked) -> Response[bytes]:
    """Take a live item out."""
    now = serving(request)
    query = parameters(request, "item_id")
    if "item_id" not in query:
        raise ApiError(422, "missing_field", "The parameter `item_id` is required.", "For example: ?item_id=50")
    return reply(await now.run(now.delete, query["item_id"]))


@get(ITEMS)
async def search_items(request: Asked) -> Response[bytes]:
    """Items by title or id."""
    now = serving(request)
    query = parameters(request, "search", "limit")
    limit = whole("limit", query.get("limit", "10"), wire.MAX_FOUND)
    return reply(await now.run(now.answers.search, query.get("search", ""), limit))


@get("/v1/history")
async def history(request: Asked) -> Response[bytes]:
    """What a user liked."""
    now = serving(request)
    query = parameters(request, "user_id", "limit")
    if "user_id" not in query:
        raise ApiError(
            422, "missing_field", "The parameter `user_id` is required.", "For example: /v1/history?user_id=1"
        )
    limit = whole("limit", query.get("limit", "20"), wire.MAX_HISTORY)
    return reply(await now.run(now.answers.history, query["user_id"], limit))


@get("/v1/bundle")
async def bundle(request: Asked) -> Response[bytes]:
    """Which bundle answers."""
    return reply(serving(request).answers.described)


@get("/health/live")
async def live() -> Response[bytes]:
    """The process is up."""
    return reply(wire.HealthReply("live"))


@get("/health/ready")
async def ready(request: Asked) -> Response[bytes]:
    """The bundle has passed its check."""
    now = serving(request)
    return reply(wire.HealthReply("ready", now.answers.version))


@get("/metrics")
async def metrics(request: Asked) -> Response[bytes]:
    """Counters, for Prometheus."""
    counted = serving(request).metrics
    return Response(counted.text(), media_type=counted.content_type)


@get("/openapi.json")
async def openapi() -> Response[bytes]:
    """This interface, for programs."""
    return Response(document(), media_type=MediaType.JSON)


HANDLERS = [
    recommend, recommend_batch, similar, explain, onboard, search_items, put_items, delete_item,
    history, bundle, live, ready, metrics, openapi
]  # fmt: skip


def parameters(request: Asked, *names: str) -> dict[str, str]:
    """The query string's parameters.

    Raises:
        ApiError: 422 for one that is not among ``names``.
    """
    given = {name: str(value) for name, value in request.query_params.items()}
    for name in given:
        if name not in names:
            raise ApiError(422, "unknown_field", f"Unknown parameter `{name[:60]}`.", f"Known: {', '.join(names)}.")
    return given


def whole(name: str, text: str, most: int) -> int:
    """A parameter that counts from 1 to ``most``.

    Raises:
        ApiError: 422 for anything else.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and 1 <= int(text) <= most):
        raise ApiError(
            422, "invalid_value", f"`{name}` must be a whole number from 1 to {most}. Got {text[:60]!r} instead."
        )
    return int(text)
