"""Other scorers in the places of some."""

from __future__ import annotations

import numpy as np

from serendip.pipeline import chain, first_of, guarded, rank, retrieve, scoring, with_scorers
from serendip.scorers import StaticScores
from serendip.types import Queries


def static(*scores: float) -> StaticScores:
    return StaticScores(np.array(scores, np.float32))


def test_the_named_are_exchanged_wherever_they_stand() -> None:
    whole = chain(
        guarded(first_of(retrieve(static(2, 1), name="a"), retrieve(static(1, 2), name="b")), name="ab"),
        rank(static(1, 2), name="c"),
    )
    made = with_scorers(whole, {"a": static(1, 2, 3), "c": static(1, 3, 2)})
    assert [part.scorer.n_items for part in scoring(made)] == [3, 2, 3]
    assert made(Queries.of([[]], k=3)).items.tolist() == [[1, 2, 0]]
    assert whole(Queries.of([[]], k=3)).items.tolist()[0][:2] == [1, 0]
