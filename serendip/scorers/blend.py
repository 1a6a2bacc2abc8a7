"""Several scorers heard together, each on the scale of its own scores for the one who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from serendip.scorers.common import in_blocks, require, voted
from serendip.types import Bagged, Featured, Floats, Ids, Queries, Recs, Scorer


@dataclass(frozen=True, eq=False)
class Blend:
    """``score_j = Σ_p w_p · (s_pj − mean_j s_pj) / sd_j s_pj``, mean and deviation over the items that p can score.

    An item that a part cannot score stands with the last one that it can. One that no part can score gets ``-inf``; a
    part that can score nothing for a query is not heard.

    Attributes:
        parts: at least one scorer, all of one catalogue, none itself a blend.
        weights: above 0, one per part.
    """

    kind: ClassVar[str] = "blend"
    parts: tuple[Scorer, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        require(self, len(self.parts) > 0, "it must have a part")
        require(self, len(self.weights) == len(self.parts), "it must have one weight per part")
        require(self, all(0 < weight < np.inf for weight in self.weights), "weights must be above 0 and finite")
        require(self, len({part.n_items for part in self.parts}) == 1, "its parts must know the same items")
        require(self, not any(isinstance(part, Blend) for part in self.parts), "a part must not be a blend")

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return self.parts[0].n_items

    @property
    def feature_names(self) -> tuple[str, ...]:
        """As `serendip.types.Featured.feature_names`: what its parts read."""
        return tuple(name for part in self.parts if isinstance(part, Featured) for name in part.feature_names)

    @property
    def bag_names(self) -> tuple[str, ...]:
        """As `serendip.types.Bagged.bag_names`: what its parts read."""
        return tuple(name for part in self.parts if isinstance(part, Bagged) for name in part.bag_names)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return in_blocks(self._full, queries, items, self.n_items)

    def similar_items(self, items: Ids, k: int = 10) -> Recs:
        """The items that score highest, above the mean, for somebody who knows just the one."""
        return voted(self, items, k)

    def _full(self, queries: Queries, out: Floats) -> None:
        out[:] = 0
        scored = np.zeros(out.shape, bool)
        for part, weight in zip(self.parts, self.weights, strict=True):
            scores = part.score(queries)
            finite = np.isfinite(scores)
            scored |= finite
            out += np.float32(weight) * _standard(scores, finite)
        out[~scored] = -np.inf


def _standard(scores: Floats, finite: np.typing.NDArray[np.bool_]) -> Floats:
    """Each row with mean 0 and deviation 1 over its finite scores; the others are as its least. All 0 if none is."""
    count = np.maximum(finite.sum(axis=1, keepdims=True), 1)
    least = np.min(scores, axis=1, keepdims=True, where=finite, initial=np.inf)
    filled = np.where(finite, scores, np.where(np.isfinite(least), least, np.float32(0)))
    mean = np.sum(filled, axis=1, keepdims=True, where=finite, dtype=np.float64) / count
    filled -= mean.astype(np.float32)
    square = np.sum(np.square(filled), axis=1, keepdims=True, where=finite, dtype=np.float64) / count
    deviation = np.sqrt(square)
    # Scores that differ by rounding alone say nothing.
    alike = deviation <= 1e-6 * np.abs(mean)
    filled *= np.where(alike, 0, 1 / np.where(alike, 1, deviation)).astype(np.float32)
    return filled
