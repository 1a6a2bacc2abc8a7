"""Items or users like a given one, by the first retriever that can compare them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from serendip.bundle.attributes import Attributes
from serendip.data.dataset import Histories
from serendip.pipeline import Retrieve, retrievers
from serendip.scorers.common import nearest, products
from serendip.types import ABSENT, Embedder, Floats, Ids, Queries, Recs, SerendipError, Similar, SimilarUsers, Stage

BLOCK = 4096


def similar_items(pipeline: Stage, items: Ids, k: int) -> Recs:
    """The k items most like each given one ``[q, k]``, with their source.

    Raises:
        SerendipError: no retriever of the pipeline compares items.
    """
    for part in retrievers(pipeline):
        if isinstance(part.scorer, Similar):
            recs = part.scorer.similar_items(items, k)
            recs = recs.keep(np.isfinite(recs.scores) & (recs.items != ABSENT))
            return replace(recs, columns={"source": np.full(recs.items.shape, part.name)})
    names = ", ".join(part.name for part in retrievers(pipeline))
    raise SerendipError(
        f"The pipeline must have a model that compares items. Got {names}. Try: fit item_knn, ials or content."
    )


class Crowd:
    """Compares the users of a bundle: by the scorer's own measure, or by the angle between their vectors.

    Vectors are made when they are first needed, from all histories, and kept.
    """

    def __init__(self, pipeline: Stage, histories: Histories, attributes: Attributes | None = None) -> None:
        self._parts = retrievers(pipeline)
        self._histories, self._attributes = histories, attributes
        self._unit: Floats | None = None

    def similar(self, users: Ids, k: int) -> tuple[Recs, str]:
        """The k users most like each given one, itself excluded, and who says so: user codes for items, ``[q, k]``.

        Raises:
            SerendipError: no retriever of the pipeline compares users.
        """
        for part in self._parts:
            if isinstance(part.scorer, SimilarUsers):
                asked = (self._queries(users[rows]) for rows in _blocks(len(users)))
                found = [part.scorer.similar_users(queries, k) for queries in asked] or [Recs.empty(0, k)]
                scores = np.concatenate([one.scores for one in found])
                return Recs(np.concatenate([one.items for one in found]), scores), part.name
            if isinstance(part.scorer, Embedder):
                return _by_angle(self._vectors(part), users, k), part.name
        names = ", ".join(part.name for part in self._parts)
        raise SerendipError(
            f"The pipeline must have a model that compares users. Got {names}. Try: fit user_knn or ials."
        )

    def _queries(self, users: Ids) -> Queries:
        queries = self._histories.queries(users, exclude_seen=False)
        return queries if self._attributes is None else self._attributes.filled(queries)

    def _vectors(self, part: Retrieve) -> Floats:
        """``[users, d]`` of length 1; NaN for somebody of whom nothing is known."""
        if self._unit is None:
            scorer = part.scorer
            assert isinstance(scorer, Embedder)
            everybody = np.arange(len(self._histories), dtype=np.int32)
            vectors = np.concatenate(
                [scorer.query_vectors(self._queries(everybody[rows])) for rows in _blocks(len(everybody))]
            )
            length = np.sqrt(np.einsum("ud,ud->u", vectors, vectors))
            self._unit = np.asarray(vectors / np.where(length > 0, length, np.nan)[:, None], np.float32)
        return self._unit


def _by_angle(unit: Floats, users: Ids, k: int) -> Recs:
    return nearest(lambda rows: products(unit[users[rows]], unit, None), users, len(unit), k)


def _blocks(n: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, n, BLOCK))
