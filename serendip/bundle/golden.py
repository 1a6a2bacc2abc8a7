"""Golden replies: what a pipeline answered when the bundle was built, so that it can be seen to answer so still."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Annotated

import msgspec
import numpy as np

from serendip.bundle.errors import BundleError
from serendip.pipeline import Composite, Merge, Rank, retrievers, unguarded
from serendip.types import ABSENT, Queries, Recs, Stage

COUNT = 32
K = 10
LONGEST = 30
SEED = 32
TOLERANCE = 1e-4
"""Of scores, relative to the score where it is above 1."""
SLACK = 0.05
"""How far below the recall of an approximate index the share of items may be that are found again."""
_HINT = "Try: the version of Serendip and its libraries that built it, or fit again."

_Codes = list[Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]]


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A made-up history and what was recommended to it, all by item code."""

    history: Annotated[_Codes, msgspec.Meta(max_length=1024)]
    items: Annotated[_Codes, msgspec.Meta(max_length=1024)]
    scores: Annotated[list[float], msgspec.Meta(max_length=1024)]
    sources: Annotated[list[str], msgspec.Meta(max_length=1024)]


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Made-up queries with their replies. The items of a history are never recommended to it.

    Attributes:
        k: how many items were asked for.
        replies: one per query.
    """

    k: Annotated[int, msgspec.Meta(ge=1, le=1024)]
    replies: Annotated[list[Reply], msgspec.Meta(max_length=1024)]


def record(pipeline: Stage, n_items: int) -> Golden:
    """Ask the pipeline for made-up histories: an empty one, single items, and longer ones; nobody's own. Without its
    guards: a stage that fails shall be known before anybody is answered."""
    rng = np.random.default_rng(SEED)
    lengths = [0, *[1] * 7, *rng.integers(2, LONGEST + 1, COUNT - 8).tolist()] if n_items else [0]
    histories = [rng.integers(0, n_items, length).tolist() if length else [] for length in lengths]
    recs = unguarded(pipeline)(_queries(histories, K)).top(K)
    return Golden(K, [Reply(history, *_row(recs, row)) for row, history in enumerate(histories)])


def replay(pipeline: Stage, golden: Golden) -> None:
    """Ask again and compare: scores within `TOLERANCE`, the order free among items of equal score.

    Raises:
        BundleError: naming the first query that is answered otherwise, with both answers.
    """
    recs = unguarded(pipeline)(_queries([reply.history for reply in golden.replies], golden.k)).top(golden.k)
    replies = [Reply(expected.history, *_row(recs, row)) for row, expected in enumerate(golden.replies)]
    indices = [part.index.stats for part in retrievers(pipeline) if part.index is not None]
    recall = min((stats.asked.recall for stats in indices if stats.curve), default=1.0)
    if recall < 1:
        _overlap(golden.replies, replies, recall, scored=not _by_place(pipeline))
        return
    for row, (expected, got) in enumerate(zip(golden.replies, replies, strict=True)):
        why = _difference(expected, got)
        if why:
            raise BundleError(
                f"The bundle does not answer as it did when it was built: golden query {row} {why}. "
                f"Expected {_text(expected)}; got {_text(got)}. {_HINT}"
            )


def warm(pipeline: Stage, golden: Golden) -> None:
    """Ask for one of the replies without guards, for what stages make at their first answer, such as the session of a
    network, to count against no budget. What fails is told of when it is asked."""
    with suppress(Exception):
        unguarded(pipeline)(_queries([golden.replies[-1].history], golden.k))


def _by_place(stage: Stage) -> bool:
    """Whether scores depend on what else is listed, and so on what approximate search finds."""
    if isinstance(stage, Merge) or (isinstance(stage, Rank) and stage.named > 0):
        return True
    return isinstance(stage, Composite) and any(map(_by_place, stage.stages))


def _overlap(expected: Sequence[Reply], got: Sequence[Reply], recall: float, *, scored: bool) -> None:
    """Compare what approximate search found, perhaps by another build of its library, or exactly where it lacks;
    ``scored``: and the scores.

    Raises:
        BundleError: fewer items agree than the recall that was declared lets expect, or other scores.
    """
    pairs = [dict(zip(one.items, one.scores, strict=True)) for one in expected]
    for row, (one, told) in enumerate(zip(got, pairs, strict=True)):
        near = (_near(score, told.get(item, score)) for item, score in zip(one.items, one.scores, strict=True))
        if scored and not all(near):
            raise BundleError(
                f"The bundle does not answer as it did when it was built: golden query {row} has other scores. "
                f"Expected {_text(expected[row])}; got {_text(one)}. {_HINT}"
            )
    wanted = sum(len(one.items) for one in expected)
    found = sum(len(set(one.items) & set(told)) for one, told in zip(got, pairs, strict=True))
    if found < (recall - SLACK) * wanted:
        raise BundleError(
            f"The bundle does not answer as it did when it was built: {found} of {wanted} items of its golden replies "
            f"are found again, fewer than its recall of {recall:g} lets expect. {_HINT}"
        )


def _queries(histories: list[list[int]], k: int) -> Queries:
    asked = Queries.of(histories, k=k)
    return replace(asked, exclude=asked.history)


def _row(recs: Recs, row: int) -> tuple[list[int], list[float], list[str]]:
    held = recs.items[row] != ABSENT
    sources = recs.columns["source"][row][held].tolist() if "source" in recs.columns else [""] * int(held.sum())
    return recs.items[row][held].tolist(), recs.scores[row][held].tolist(), sources


def _difference(expected: Reply, got: Reply) -> str | None:
    if len(got.items) != len(expected.items):
        return f"has {len(got.items)} items instead of {len(expected.items)}"
    if got.sources != expected.sources:
        return "takes items from other sources"
    if not all(map(_near, got.scores, expected.scores)):
        return "has other scores"
    if len(set(got.items)) != len(got.items):
        return "repeats an item"
    # The last score of a source is where its list was cut: an item that is new may stand there, among equals only.
    cut = dict(zip(expected.sources, expected.scores, strict=True))
    score_of = dict(zip(expected.items, expected.scores, strict=True))
    for item, score, source in zip(got.items, got.scores, got.sources, strict=True):
        if not _near(score, score_of.get(item, cut[source])):
            return f"has item {item} in another place" if item in score_of else f"has item {item}, which is new"
    return None


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= TOLERANCE * max(1.0, abs(b))


def _text(reply: Reply) -> str:
    pairs = ", ".join(f"{item} ({score:.6g})" for item, score in zip(reply.items, reply.scores, strict=True))
    return f"[{pairs}]"
