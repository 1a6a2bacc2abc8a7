from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from serendip.scorers import Blend, ItemToItem, StaticScores, dump, restore
from serendip.types import Queries, SerendipError

INF = -np.inf


def floats(values: Any) -> Any:
    return np.array(values, np.float32)


def neighbours() -> ItemToItem:
    return ItemToItem(csr_array(floats([[0, 2, 4, 0], [3, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])))


def blend(*weights: float) -> Blend:
    return Blend((neighbours(), StaticScores(floats([1, 3, INF, 3]))), weights)


def test_standardised_scores_are_added_by_hand() -> None:
    # History 0: neighbours give items 1, 2 the scores 2, 4, standardised −1, 1; items 0, 3 stand with the last: −1.
    # Static 1, 3, 3 has mean 7/3 and deviation √(8/9): −√2, √½, √½; item 2 stands with the last: −√2.
    scores = blend(1.0, 2.0).score(Queries.of([[0]]))
    root = np.sqrt(0.5)
    expected = [-1 - 4 * root, -1 + 2 * root, 1 - 4 * root, -1 + 2 * root]
    np.testing.assert_allclose(scores, [expected], rtol=1e-5)


def test_a_part_without_an_opinion_is_not_heard() -> None:
    root = np.sqrt(0.5)
    scores = blend(5.0, 1.0).score(Queries.of([[], [3]]))
    np.testing.assert_allclose(scores, [[-2 * root, root, INF, root]] * 2, rtol=1e-5)
    same = Blend((StaticScores(floats([7, 7, INF, 7])), StaticScores(floats([1, 3, INF, 3]))), (9.0, 1.0))
    np.testing.assert_allclose(same.score(Queries.of([[]])), [[-2 * root, root, INF, root]], rtol=1e-5)
    nobody = Blend((neighbours(),), (1.0,))
    assert np.isneginf(nobody.score(Queries.of([[], [2]]))).all()


def test_chosen_items_and_similar_ones() -> None:
    queries = Queries.of([[0], [1]])
    full = blend(1.0, 1.0).score(queries)
    np.testing.assert_array_equal(
        blend(1.0, 1.0).score(queries, np.array([3, 1, -1], np.int32))[:, :2], full[:, [3, 1]]
    )
    assert Blend((neighbours(),), (1.0,)).similar_items(np.array([0], np.int32), 1).items.tolist() == [[2]]


def test_it_survives_a_dump() -> None:
    tensors, header = dump(blend(0.5, 2.0))
    assert set(tensors) == {"0.weights.data", "0.weights.indices", "0.weights.indptr", "1.scores"}
    again = restore(tensors, json.loads(json.dumps(header)))
    queries = Queries.of([[0], [1, 0], []])
    np.testing.assert_array_equal(again.score(queries), blend(0.5, 2.0).score(queries))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"weights": [1.0]}, "it must have one weight per part"),
        ({"weights": [1.0, 0.0]}, "weights must be above 0 and finite"),
        ({"weights": "many"}, "has a header that is wrong"),
        ({"parts": []}, "belongs to none of its parts"),
        ({"more": 1}, "has a header that is wrong"),
        ({"parts": [{"kind": "blend"}, {"kind": "static_scores"}]}, "a part must not be a blend"),
        ({"parts": [{"kind": "static_scores"}, {"kind": "static_scores"}]}, "must have the tensors scores"),
    ],
)
def test_a_blend_that_was_tampered_with_is_refused(change: dict[str, Any], text: str) -> None:
    tensors, header = dump(blend(1.0, 1.0))
    with pytest.raises(SerendipError, match=text):
        restore(tensors, header | change)


def test_parts_must_fit_together() -> None:
    with pytest.raises(SerendipError, match="it must have a part"):
        Blend((), ())
    with pytest.raises(SerendipError, match="its parts must know the same items"):
        Blend((neighbours(), StaticScores(floats([1]))), (1.0, 1.0))
    with pytest.raises(SerendipError, match="a part must not be a blend"):
        Blend((blend(1.0, 1.0),), (1.0,))
