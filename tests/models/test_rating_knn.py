from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serendip.checks.cases import odd_log
from serendip.models.baseline import Baseline
from serendip.models.rating_knn import RatingKNN
from tests.models.rated import NAN, error, log, planted

TABLE = [[5, 4, 1], [4, 5, 2], [1, 2, 5], [2, NAN, 4], [NAN, NAN, NAN]]


def alike(table: Any, similarity: str, shrinkage: float, base: Any, other_mean: Any) -> Any:
    """Similarities of rows, pair by pair over what they have in common."""
    n = len(table)
    out = np.zeros((n, n))
    for a in range(n):
        for b in range(n):
            both = ~np.isnan(table[a]) & ~np.isnan(table[b])
            if a == b or not both.any():
                continue
            x, y = table[a][both], table[b][both]
            if similarity == "pearson":
                x, y = x - x.mean(), y - y.mean()
            elif similarity == "adjusted_cosine":
                x, y = x - other_mean[both], y - other_mean[both]
            elif similarity == "pearson_baseline":
                x, y = x - base[a][both], y - base[b][both]
            length = np.sqrt((x**2).sum() * (y**2).sum())
            if length > 1e-9:
                share = (both.sum() - 1) / (both.sum() - 1 + shrinkage) if shrinkage else 1
                out[a, b] = max(share * (x * y).sum() / length, 0)
    return out


def expected(data: Any, table: Any, options: dict[str, Any]) -> Any:
    """The equation for every user and item, one after the other."""
    plain = Baseline(reg_u=15, reg_i=10, epochs=10).fit(data)
    users, items = np.indices(table.shape)
    base = plain.predict(users.ravel().astype(np.int32), items.ravel().astype(np.int32)).reshape(table.shape)
    scorer = plain.lower()
    base = scorer.mean + np.nan_to_num(scorer.user_bias)[:, None] + np.nan_to_num(scorer.item_bias)
    table, base = (table.T, base.T) if options["by"] == "item" else (table, base)
    counts = (~np.isnan(table)).sum(axis=0)
    other_mean = np.nansum(table, axis=0) / np.maximum(counts, 1)
    similar = alike(table, options["similarity"], options["shrinkage"], base, other_mean)
    similar = similar.astype(np.float32)  # so that ties are ties
    out = base.copy()
    given = table[~np.isnan(table)]
    for t in range(len(table)):
        for o in range(table.shape[1]):
            voters = [j for j in np.flatnonzero(~np.isnan(table[:, o])) if similar[t, j] > 0]
            voters = sorted(voters, key=lambda j: (-similar[t, j], j))[: options["k"]]
            if not voters or np.isnan(table[t]).all() or np.isnan(table[:, o]).all():
                continue

            def centred(row: int) -> tuple[float, float]:
                if options["centring"] == "none":
                    return 0.0, 1.0
                spread = np.nanstd(table[row])
                scale = (spread if spread > 1e-6 else given.std()) if options["centring"] == "zscore" else 1.0
                return float(np.nanmean(table[row])), float(scale)

            total = 0.0
            for j in voters:
                centre, scale = (base[j, o], 1.0) if options["centring"] == "baseline" else centred(j)
                total += similar[t, j] * (table[j, o] - centre) / scale
            centre, scale = (base[t, o], 1.0) if options["centring"] == "baseline" else centred(t)
            out[t, o] = centre + scale * total / sum(similar[t, j] for j in voters)
    out = np.clip(out, given.min(), given.max())
    return out.T if options["by"] == "item" else out


@pytest.mark.parametrize("by", ["user", "item"])
@pytest.mark.parametrize(
    ("centring", "similarity", "shrinkage"),
    [
        ("none", "cosine", 0),
        ("mean", "pearson", 0),
        ("zscore", "adjusted_cosine", 3),
        ("baseline", "pearson_baseline", 5),
    ],
)
def test_every_kind_is_what_the_equation_says(by: str, centring: str, similarity: str, shrinkage: float) -> None:
    rng = np.random.default_rng(0)
    table = np.where(rng.random((12, 9)) < 0.6, rng.integers(1, 6, (12, 9)), NAN)
    table[7], table[:, 4] = NAN, NAN
    options: dict[str, Any] = {
        "by": by,
        "k": 3,
        "centring": centring,
        "similarity": similarity,
        "shrinkage": float(shrinkage),
    }
    data = log(table)
    users, items = (part.ravel().astype(np.int32) for part in np.indices(table.shape))
    found = RatingKNN(**options).fit(data).predict(users, items).reshape(table.shape)
    np.testing.assert_allclose(found, expected(data, table, options), rtol=1e-4)


def test_by_hand() -> None:
    # By users, cosine of the ratings, k = 1: users 3 and 2 share items 0 and 2:
    # (1·2 + 5·4) / √(26·20) = .965 is the largest for user 3, so item 1 is rated as by user 2.
    options: dict[str, Any] = {"by": "user", "k": 1, "centring": "none", "similarity": "cosine", "shrinkage": 0}
    model = RatingKNN(**options).fit(log(TABLE))
    similar = model.lower().similar.toarray()
    assert similar[3, 2] == pytest.approx(22 / np.sqrt(26 * 20), rel=1e-6)
    assert model.predict(np.array([3], np.int32), np.array([1], np.int32))[0] == 2
    two = RatingKNN(**{**options, "k": 2}).fit(log(TABLE)).predict(np.array([3], np.int32), np.array([1], np.int32))
    second = similar[3, 1]  # (4·2 + 2·4) / √(20·20) = .8, above the 14/√(26·20) of user 0
    assert second == pytest.approx(0.8)
    assert two[0] == pytest.approx((similar[3, 2] * 2 + 0.8 * 5) / (similar[3, 2] + 0.8))


def test_support_and_what_is_kept() -> None:
    base: dict[str, Any] = {"by": "user", "similarity": "cosine", "centring": "none", "shrinkage": 0}
    three = RatingKNN(**base, min_support=3).fit(log(TABLE)).lower().similar.toarray()
    assert (three[3] == 0).all()
    assert three[0, 1] > 0
    kept = RatingKNN(**base, keep=1).fit(log(TABLE)).lower().similar
    np.testing.assert_array_equal(np.diff(kept.indptr), [1, 1, 1, 1, 0])


def test_it_finds_what_was_planted() -> None:
    split = planted()
    plain = error(Baseline().fit(split.train), split)
    assert error(RatingKNN(shrinkage=10).fit(split.train), split) < 0.97 * plain


def test_equal_ratings_of_a_user_have_no_deviation() -> None:
    for by in ("user", "item"):
        model = RatingKNN(by=by, centring="zscore", similarity="pearson").fit(log([[3, 3, 3], [1, 4, NAN], [2, 5, 1]]))
        users, items = (part.ravel().astype(np.int32) for part in np.indices((3, 3)))
        assert np.isfinite(model.predict(users, items)).all()


def test_small_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = RatingKNN(shrinkage=1).fit(odd_log())
    users, items = (part.ravel().astype(np.int32) for part in np.indices((30, 24)))
    whole = model.predict(users, items)
    monkeypatch.setattr("serendip.scorers.neighbours.BLOCK", 8)
    np.testing.assert_array_equal(model.predict(users, items), whole)
