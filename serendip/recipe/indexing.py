"""Indices over the vectors of a recipe's models, tuned on the users of its log."""

from __future__ import annotations

import numpy as np

from serendip.data.dataset import Dataset
from serendip.index import Options, VectorIndex, build
from serendip.pipeline import retrievers, with_indices
from serendip.recipe.learning import Watch, silently
from serendip.run import Run
from serendip.scorers.calibrated import ranked_by
from serendip.types import Embedder, Floats, Stage

ASKED = 400
"""Users at most whose queries an index is tuned on."""


def indexed(pipeline: Stage, data: Dataset, asked: Options, run: Run, watch: Watch = silently) -> Stage:
    """The pipeline with an index for each retriever whose model has vectors.

    Args:
        pipeline: as it was fitted to the data.
        data: whose users' histories the indices are tuned on.
        asked: what is asked for; where that is exact search, which needs no index, nothing is done.
        run: seed and threads.
        watch: told about every step.
    """
    if asked.backend == "exact":
        return pipeline
    found: dict[str, VectorIndex] = {}
    for part in retrievers(pipeline):
        scorer = ranked_by(part.scorer)
        if not isinstance(scorer, Embedder):
            continue
        with watch(f"Indexing the vectors of {part.name}"):
            vectors = np.asarray(scorer.item_vectors(), np.float32)
            queries = _asked(scorer, data, run.seed)
            found[part.name] = build(vectors, asked, queries=queries, threads=run.threads, seed=run.seed)
    return with_indices(pipeline, found)


def _asked(scorer: Embedder, data: Dataset, seed: int) -> Floats:
    """Vectors of users of the log who have a history."""
    busy = np.flatnonzero(np.diff(data.histories.indptr))
    users = np.random.default_rng(seed).permutation(busy)[:ASKED].astype(np.int32)
    return np.asarray(scorer.query_vectors(data.queries(np.sort(users), exclude_seen=False)), np.float32)
