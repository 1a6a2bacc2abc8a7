"""Why an item was named: the items of the history that speak for it, by the retriever that gives it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.bundle.ask import Desk, Request, checked_k
from serendip.bundle.ids import is_id, known_codes, listed, some
from serendip.pipeline import Rank, Retrieve, retrievers
from serendip.scorers.calibrated import Calibrated
from serendip.types import ABSENT, Explainer, Ids, Queries, SerendipError, Stage

CAN = "item_knn, user_knn, rp3beta, slim, ease, ials, spectral, gf_cf and content"
"""Models whose scores are sums over the history."""

T = TypeVar("T", bound=Retrieve | Rank)

Asked = tuple[NDArray[np.int64], pl.Series, Ids]
"""Of some pairs: where they stand among all, the users' ids and the items' codes."""


def explain(
    desk: Desk, pipeline: Stage, table: pl.DataFrame, users: Any, items: Any, k: int, history: Sequence[Any] | None
) -> pl.DataFrame:
    """See `Bundle.explain`; ``table`` is that of the items."""
    asked, wanted = paired(users, items)
    codes = known_codes(desk.item_ids, "items", wanted)
    request = asked_for(desk, asked, checked_k(k), history)
    frames: list[pl.DataFrame] = []
    refused: list[str] = []
    for rows in request.blocks():
        queries = request.queries(rows)
        for part, chosen in given_by(retrievers(pipeline), queries, codes[rows]):
            at = chosen + rows.start
            if part is not None and isinstance(part.scorer, Explainer):
                frames.append(_frame(part, queries.take(chosen), (at, request.users[at], codes[at]), table, request.k))
            else:
                source = "has no score" if part is None else f"comes from {part.name}{_meaning(part)}"
                whom = "somebody unknown" if asked[at[0]] is None else repr(asked[at[0]])
                refused.append(f"{wanted[at[0]]!r} for {whom} {source}")
    if refused and not frames:
        raise SerendipError(
            f"Only models whose scores are sums over the history can say why: {CAN}. Got an item that they do not "
            f"name: {'; '.join((refused[0], *request.notes))}."
        )
    return pl.concat(frames).sort("pair", "rank").drop("pair")


def paired(users: Any, items: Any) -> tuple[list[Any], list[Any]]:
    """Users and items pair by pair; a single one goes with all of the others."""
    asked = [users] if users is None or is_id(users) else listed("users", users)
    wanted = [items] if is_id(items) else listed("items", items)
    if users is None or is_id(users):
        asked *= len(wanted)
    elif is_id(items):
        wanted *= len(asked)
    if len(asked) != len(wanted) or not asked:
        raise SerendipError(
            f"users and items must be one id or lists of equal length. Got {len(asked)} and {len(wanted)} instead."
        )
    return asked, wanted


def asked_for(desk: Desk, asked: Sequence[Any], k: int, history: Sequence[Any] | None) -> Request:
    """What is asked about somebody who is known, or whose history is given: a list of ids for all, or one for each.

    Raises:
        SerendipError: neither.
    """
    one = history is not None and all(map(is_id, history))
    request = desk.request(asked, k, exclude_seen=False, history=[history] * len(asked) if one else history)
    _require_known(desk, request, asked)
    return request


def _require_known(desk: Desk, request: Request, asked: Sequence[Any]) -> None:
    lists = None if request.history is None else request.history.parts
    odd = [
        asked[row] for row, code in enumerate(request.codes) if code == ABSENT and (lists is None or lists[row] is None)
    ]
    if odd:
        raise SerendipError(
            f"users must be among the {len(desk.user_ids)} users of the bundle, or have a history given. "
            f"Got {some(odd)}."
        )


def given_by(parts: Sequence[T], queries: Queries, items: Ids) -> Iterator[tuple[T | None, NDArray[np.int64]]]:
    """Which pairs each of the parts of a pipeline gives: those that it is the first to have a score for."""
    left = np.arange(len(queries))
    for part in parts:
        if len(left) == 0:
            return
        scored = np.isfinite(part.scorer.score(queries.take(left), items[left, None])[:, 0])
        if scored.any():
            yield part, left[scored]
        left = left[~scored]
    if len(left):
        yield None, left


def _meaning(part: Retrieve) -> str:
    return f", whose score is {part.scorer.meaning()}" if isinstance(part.scorer, Calibrated) else ""


def _frame(part: Retrieve, queries: Queries, asked: Asked, table: pl.DataFrame, k: int) -> pl.DataFrame:
    pair, users, items = asked
    scorer: Any = part.scorer
    recs = scorer.explain(queries, items, min(k, part.scorer.n_items))
    score = scorer.score(queries, items[:, None])[:, 0]
    row, place = np.nonzero(recs.items != ABSENT)
    found = recs.items[row, place]
    ids = table["item_id"]
    columns = {
        "pair": pair[row],
        "user_id": users[row],
        "item_id": ids[items[row]],
        "score": score[row],
        "history_item_id": ids[found],
        **({"title": table["title"][found]} if "title" in table.columns else {}),
        "contribution": recs.scores[row, place],
        "rank": (place + 1).astype(np.int32),
        "source": pl.Series([part.name] * len(row), dtype=pl.String),
    }
    return pl.DataFrame(columns)


__all__ = ["asked_for", "explain", "given_by", "paired"]
