"""How to get lists out of whatever is evaluated: a stage, a model, a scorer or an embedder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from serendip.types import Embedder, Floats, Index, Queries, Recs, Scorer, SerendipError, Stage

ROWS = 4096
"""Queries asked at a time, at most."""
SCORES = 1 << 25
"""Scores held at a time where all items are scored: 128 MB, and as much again while they are computed."""
_PIECES = 4  # per thread, so that none waits long for the last

Answer = Callable[[Queries], tuple[Recs, Floats | None]]


@dataclass(frozen=True, slots=True)
class Source:
    """What answers.

    Attributes:
        name: for reports.
        answer: queries to lists, and the scores of all items ``[q, n]`` where they were asked for.
        rows: how many queries to ask at a time, so that memory stays bounded.
    """

    name: str
    answer: Answer
    rows: int


def source_of(what: Any, n_items: int, threads: int | None, *, scores: bool) -> Source:
    """The source that ``what`` is.

    Args:
        what: a stage, a fitted model (anything with ``lower()``), a scorer or an embedder.
        n_items: size of the training vocabulary.
        threads: for scoring and searching.
        scores: whether the scores of all items are needed.

    Raises:
        SerendipError: none of these, a scorer of another catalogue, or a stage where scores are needed.
    """
    name = getattr(what, "name", None)
    name = name if isinstance(name, str) and name else type(what).__name__
    rows = max(1, min(ROWS, SCORES // max(n_items, 1)))
    lower = getattr(what, "lower", None)
    if isinstance(what, type) or not (callable(lower) or isinstance(what, Stage | Scorer | Embedder)):
        got = f"the class {what.__name__}" if isinstance(what, type) else type(what).__name__
        raise SerendipError(
            f"evaluate must be given a stage, a fitted model, a scorer or an embedder. Got {got} instead."
            + (f" Try {what.__name__}(…)." if isinstance(what, type) else "")
        )
    scorer = lower() if callable(lower) else what
    if isinstance(scorer, Stage):
        if scores:
            raise SerendipError(
                f"auc needs scores of all items. Got the stage {name} instead, as a recipe makes. Try its scorer, or "
                "a figure of lists such as ndcg@10."
            )
        return Source(name, lambda queries: (scorer(queries), None), rows)
    _same_catalogue(name, getattr(scorer, "n_items", n_items), n_items)
    if isinstance(scorer, Embedder) and not scores:
        return _searched(name, scorer, n_items, threads)
    if not isinstance(scorer, Scorer):
        raise SerendipError(f"auc needs scores of all items. Got {name} without score() instead. Try leaving auc out.")
    return Source(name, _scored(scorer, n_items, threads, keep=scores), rows)


def _searched(name: str, embedder: Embedder, n_items: int, threads: int | None) -> Source:
    from serendip.index.exact import Exact

    vectors = np.asarray(embedder.item_vectors(), np.float32)
    _same_catalogue(name, len(vectors), n_items)
    index: Index = Exact(vectors, threads=threads)

    def answer(queries: Queries) -> tuple[Recs, Floats | None]:
        asked = np.asarray(embedder.query_vectors(queries), np.float32)
        return index.search(asked, queries.k, queries.exclude, queries.allow), None

    return Source(name, answer, ROWS)


def _scored(scorer: Scorer, n_items: int, threads: int | None, *, keep: bool) -> Answer:
    """Score on several threads, rows dealt out in pieces; then select."""

    def answer(queries: Queries) -> tuple[Recs, Floats | None]:
        from serendip.kernels import pool
        from serendip.kernels.topk import top_k

        scores = np.empty((len(queries), n_items), np.float32)

        def task(start: int, stop: int) -> None:
            scores[start:stop] = scorer.score(queries.take(slice(start, stop)))

        pieces = _PIECES * pool.count(threads)
        pool.rows(task, len(queries), chunk=max(1, -(-len(queries) // pieces)), threads=threads)
        return top_k(scores, queries.k, queries.exclude, queries.allow, threads), scores if keep else None

    return answer


def _same_catalogue(name: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise SerendipError(
            f"{name} must know the {wanted:,} items of the training part. Got {found:,} instead. "
            "Try fitting it on split.train."
        )
