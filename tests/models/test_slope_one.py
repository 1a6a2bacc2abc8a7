from __future__ import annotations

import numpy as np
import pytest

from serendip.checks.cases import odd_log
from serendip.models.slope_one import SlopeOne
from serendip.types import SerendipError
from tests.models.rated import NAN, log


def test_by_hand() -> None:
    # The example of three users: item 0 over item 1: (5 − 3 + 3 − 4) / 2 = ½, item 0 over item 2: 5 − 2 = 3.
    # User 2 rated item 1 with 2 and item 2 with 5. Item 0: (2·(2 + ½) + 1·(5 + 3)) / 3 = 13/3; unweighted 10.5 / 2,
    # which is cut at 5.
    data = log([[5, 3, 2], [3, 4, NAN], [NAN, 2, 5]])
    one, zero = np.array([2], np.int32), np.array([0], np.int32)
    assert SlopeOne().fit(data).predict(one, zero)[0] == pytest.approx(13 / 3)
    scorer = SlopeOne(weighted=False).fit(data).lower()
    assert scorer.predict(one, zero)[0] == 5
    np.testing.assert_allclose(scorer.differences.toarray()[1, 0], 0.5)


@pytest.mark.parametrize("weighted", [True, False])
def test_the_equation(weighted: bool) -> None:
    rng = np.random.default_rng(0)
    table = np.where(rng.random((15, 8)) < 0.5, rng.integers(1, 6, (15, 8)), NAN)
    model = SlopeOne(weighted=weighted).fit(log(table))
    for u in range(15):
        for i in range(8):
            above = below = 0.0
            for j in np.flatnonzero(~np.isnan(table[u])):
                both = ~np.isnan(table[:, i]) & ~np.isnan(table[:, j])
                if j != i and both.any():
                    weight = both.sum() if weighted else 1
                    above += weight * (table[u, j] + (table[both, i] - table[both, j]).mean())
                    below += weight
            if below:
                found = model.predict(np.array([u], np.int32), np.array([i], np.int32))[0]
                assert found == pytest.approx(np.clip(above / below, 1, 5), rel=1e-5)


def test_small_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = SlopeOne().fit(odd_log())
    rng = np.random.default_rng(0)
    users, items = rng.integers(-1, 32, 300).astype(np.int32), rng.integers(-1, 27, 300).astype(np.int32)
    whole = model.predict(users, items)
    monkeypatch.setattr("serendip.scorers.common.BLOCK", 30)
    np.testing.assert_array_equal(model.predict(users, items), whole)


def test_too_many_pairs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serendip.models.slope_one.memory.available", lambda: 100)
    with pytest.raises(SerendipError, match=r"pairs of items need [\d,]+ bytes, but only 100 are available\. Try bias"):
        SlopeOne().fit(odd_log())
