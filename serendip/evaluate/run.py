"""`evaluate`: ask every query of a split, in blocks of bounded memory, and count."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.evaluate.comparison import Comparison, compare
from serendip.evaluate.evaluation import Evaluation
from serendip.evaluate.held import Split
from serendip.evaluate.source import source_of
from serendip.evaluate.tally import Plan, Tally
from serendip.types import SerendipError

METRICS = ("recall@10", "recall@20", "ndcg@10", "ndcg@20", "hit_rate@10", "mrr@10")
"""What is reported where nothing else is asked for."""

_HISTORY = 1 << 22  # events of histories held at a time, padding included


def evaluate(
    what: Any,
    split: Split,
    metrics: Sequence[str] = METRICS,
    *,
    k: int | None = None,
    block: int | None = None,
    exclude_seen: bool | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Evaluation:
    """Ask every query of the split and judge the lists by what was held out.

    Args:
        what: a `Stage` (a pipeline), a fitted model, a `Scorer` or an `Embedder` (searched exactly). It must have been
            fitted on ``split.train``.
        split: who asks, and what they went on to like.
        metrics: see `serendip.evaluate.metrics.DEFINITIONS`; ``auc`` needs something that scores all items.
        k: length of the lists; by default the largest number of places that a metric needs.
        block: queries asked at a time at most; by default as many as keep memory bounded.
        exclude_seen: whether items of the asker's history are kept out of the lists; None: unless repeats count as
            truth.
        threads: how many threads scoring may use; None: all cores this process may run on.
        progress: called as ``progress(queries done, queries)``.
        seed: of the resampling behind the intervals.
        name: what to call it in reports; by default the model's name or the type.

    Raises:
        SerendipError: something that cannot answer, was fitted on other data or shows items that do not exist; an
            unknown metric; lists too short for one; ``block`` below 1.
    """
    from serendip.kernels.pool import blas_threads

    plan = Plan.of(metrics, k)
    if block is not None and block < 1:
        raise SerendipError(f"block must be at least 1. Got {block} instead.")
    begin = time.perf_counter()
    source = source_of(what, split.train.n_items, threads, scores="auc" in plan.names)
    tally = Tally(split, plan, threads)
    done = 0
    with nullcontext() if threads is None else blas_threads(threads):
        for rows in _blocks(split, source.rows if block is None else block):
            queries = split.queries(rows, plan.k, exclude_seen)
            recs, scores = source.answer(queries)
            tally.add(rows, queries, recs, scores)
            done += len(rows)
            if progress is not None:
                progress(done, len(split))
    return tally.end(name or source.name, seed, time.perf_counter() - begin)


def _blocks(split: Split, most: int) -> Iterator[NDArray[np.int64]]:
    """Rows of the split, those with histories of like length together, so that padding stays small."""
    width = np.append(np.diff(split.asking.indptr), 0)[split.users]
    order = np.argsort(width, kind="stable")
    width = width[order]
    at = 0
    while at < len(order):
        rows = min(most, len(order) - at)
        rows = min(rows, max(1, _HISTORY // max(int(width[at + rows - 1]), 1)))
        yield order[at : at + rows]
        at += rows


__all__ = ["METRICS", "Comparison", "Evaluation", "compare", "evaluate"]
