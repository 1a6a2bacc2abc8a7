"""What stages do with lists."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serendip.pipeline import permitted
from serendip.pipeline.lists import append, spread
from serendip.types import ABSENT, Queries, Recs, pack_mask


@settings(max_examples=50)
@given(st.integers(1, 20), st.data())
def test_permitted_agrees_with_plain_python(n: int, data: st.DataObject) -> None:
    items = np.array([data.draw(st.permutations(range(n))), [ABSENT] * n], np.int32)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
    exclude = data.draw(st.lists(st.integers(0, n - 1), max_size=5))
    shut = Queries.of([exclude, exclude]).history
    queries = replace(Queries.of([[], []]), exclude=shut, allow=pack_mask(mask))
    kept = permitted(Recs(items, np.zeros(items.shape, np.float32)), queries)
    assert [i for i in kept.items[0].tolist() if i != ABSENT] == [
        i for i in items[0].tolist() if mask[i] and i not in exclude
    ]
    assert (kept.items[1] == ABSENT).all()


def lists(items: list[list[int]], source: str) -> Recs:
    codes = np.array(items, np.int32)
    scores = np.where(codes == ABSENT, -np.inf, 10 - np.arange(codes.shape[1])).astype(np.float32)
    return Recs(codes, scores, {"source": np.where(codes == ABSENT, "", source)}, (f"from {source}",))


def test_appending_keeps_order_scores_and_notes_and_repeats_nothing() -> None:
    both = append(lists([[1, 2], [3, ABSENT]], "a"), lists([[2, 4, 5], [ABSENT] * 3], "bb"))
    assert both.items.tolist() == [[1, 2, 4, 5], [3, ABSENT, ABSENT, ABSENT]]
    assert both.scores.tolist() == [[10, 9, 9, 8], [10, -np.inf, -np.inf, -np.inf]]
    assert both.columns["source"].tolist() == [["a", "a", "bb", "bb"], ["a", "", "", ""]]
    assert both.notes == ("from a", "from bb")


def test_spreading_leaves_the_other_rows_empty() -> None:
    wide = spread(lists([[7, 8], [9, ABSENT]], "a"), np.array([3, 1]), 4)
    assert wide.items.tolist() == [[ABSENT] * 2, [9, ABSENT], [ABSENT] * 2, [7, 8]]
    assert wide.scores[0].tolist() == [-np.inf, -np.inf]
    assert wide.columns["source"].tolist() == [["", ""], ["a", ""], ["", ""], ["a", "a"]]
