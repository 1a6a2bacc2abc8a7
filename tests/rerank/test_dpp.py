"""Determinantal point processes."""

from __future__ import annotations

import numpy as np
import pytest

from serendip.rerank import Dpp, bind

from .shelves import Vectors, asked, lists, shelf


def test_an_unlike_item_goes_before_a_like_one() -> None:
    # By hand, at θ = 0.5 (log L_ii = r): after a, b is wholly said; c has 0.5 + log(1 − 1/2) = −0.19, e has 0.
    found = bind(Dpp(weight=0.5, by="genres"), shelf())(asked(), lists([0, 2, 1, 4], scores=[[2, 1, 0.5, 0]]))
    assert found.items.tolist() == [[0, 4, 2, 1]]
    # At θ = 0.9 (log L_ii = 9 r) relevance decides: c has 4.5 − 0.69.
    found = bind(Dpp(weight=0.9, by="genres"), shelf())(asked(), lists([0, 2, 1, 4], scores=[[2, 1, 0.5, 0]]))
    assert found.items.tolist() == [[0, 2, 4, 1]]


@pytest.mark.parametrize("by", ["ials", "genres"])
def test_each_step_takes_what_makes_the_determinant_greatest(by: str) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(6, 4)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    held = shelf({"ials": Vectors(vectors)})
    if by == "ials":
        likeness = (1 + unit @ unit.T) / 2
    else:
        sets = [set((text or "").split("|")) - {""} for text in held.items["genres"]]
        likeness = np.array(
            [[len(a & b) / max(1, np.sqrt(len(a) * len(b))) for b in sets] for a in sets], dtype=np.float64
        )
        np.fill_diagonal(likeness, 1)
    rows = [rng.permutation(6) for _ in range(20)]
    found = bind(Dpp(weight=0.4, by=by), held)(asked(20, k=3), lists(*rows))
    for row, got in zip(rows, found.items, strict=True):
        worth = np.zeros(6)
        worth[row] = 1 - np.arange(6) / 5
        quality = np.exp(0.4 / 0.6 / 2 * worth)
        kernel = quality[:, None] * likeness * quality
        chosen: list[int] = []
        for _ in range(3):
            left = [i for i in row if i not in chosen]
            values = [np.linalg.det(kernel[np.ix_([*chosen, i], [*chosen, i])]) for i in left]
            if max(values) < 1e-9:
                break
            chosen.append(left[int(np.argmax(np.round(values, 9)))])
        assert got.tolist() == [*chosen, *(i for i in row if i not in chosen)]
