"""Bundles whose retrieval goes through an approximate index."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from serendip.bundle import Bundle, BundleError
from serendip.bundle.golden import Golden, replay
from serendip.data.dataset import Dataset
from serendip.index import Options, build
from serendip.pipeline import first_of, merge, retrieve, retrievers, with_indices
from serendip.recipe import Recipe
from serendip.recipe.indexing import indexed
from serendip.run import Run
from serendip.scorers import Factors, StaticScores
from serendip.types import SerendipError, Stage
from tests.index.conftest import approximate, blobs

N = 1200


def data_of() -> Dataset:
    rng = np.random.default_rng(0)
    events = pl.DataFrame({"user_id": np.repeat(np.arange(40), 30), "item_id": rng.permutation(N)})
    items = pl.DataFrame({"item_id": np.arange(N), "price": np.arange(N) % 100})
    return Dataset.from_frames(events, items=items)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    taste = Factors(blobs(N), alpha0=0.01, reg=0.1, nu=1.0)
    popular = StaticScores(np.arange(N, dtype=np.float32))
    stage = first_of(retrieve(taste, name="taste"), retrieve(popular, name="popular"))
    index = approximate("faiss_ivf", blobs(N), {"probes": 20, "looked_up": 150})
    return Bundle.build(data_of(), with_indices(stage, {"taste": index}))


def without(stage: Stage) -> Stage:
    """The stage as it was before it had an index."""
    return first_of(*(retrieve(part.scorer, name=part.name) for part in retrievers(stage)))


def test_comes_back_with_its_index(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bundle.manifest.index["taste"].backend == "faiss_ivf"
    path = bundle.save(tmp_path / "bundle")
    loaded = Bundle.load(path)
    loaded.check()
    assert loaded.manifest.index == bundle.manifest.index
    assert retrievers(loaded.pipeline)[0].index.stats == bundle.manifest.index["taste"]  # type: ignore[union-attr]
    assert loaded.recommend(range(5)).equals(bundle.recommend(range(5)))
    monkeypatch.setattr("serendip.index.building.installed", lambda module: False)
    without = Bundle.load(path)
    without.check()
    assert (
        without.save(tmp_path / "again") and Bundle.load(tmp_path / "again").manifest.version == loaded.manifest.version
    )


def test_filters_hold_inside_the_index(bundle: Bundle) -> None:
    for text, count in (("price < 50", 600), ("price == 3", 12), ("item_id == 5", 1)):
        found = bundle.recommend([1, 2], 15, filter=text, exclude_seen=False)
        fits = bundle.items.filter(pl.sql_expr(text.replace("==", "=")))["item_id"]
        assert found["item_id"].is_in(fits.implode()).all()
        assert found.group_by("user_id").len()["len"].to_list() == [min(15, count)] * 2


def test_other_answers_are_noticed(bundle: Bundle) -> None:
    other = approximate("faiss_ivf", blobs(N, seed=5))
    with pytest.raises(BundleError, match=r"has other scores|are found again"):
        replay(with_indices(bundle.pipeline, {"taste": other}), bundle.golden)
    with pytest.raises(BundleError, match=r"\d+ of \d+ items of its golden replies are found again"):
        lazy = approximate("faiss_ivf", blobs(N), {"probes": 1, "looked_up": 10})
        replay(with_indices(bundle.pipeline, {"taste": lazy}), bundle.golden)


def test_scores_by_place_may_differ_by_what_is_found(bundle: Bundle) -> None:
    """A merged list is scored by places, which move where search finds an item more or less."""
    merged = merge(*retrievers(bundle.pipeline), how="fused", least=50)
    for stage, differs in ((merged, False), (bundle.pipeline, True)):
        replies = Bundle.build(data_of(), stage).golden.replies
        other = [msgspec.structs.replace(one, scores=[score + 0.01 for score in one.scores]) for one in replies]
        with pytest.raises(BundleError, match="has other scores") if differs else nullcontext():
            replay(stage, Golden(10, other))
    with pytest.raises(BundleError, match="are found again"):
        replay(merged, Golden(10, [msgspec.structs.replace(one, items=one.items[::-1][:1] * 10) for one in other]))


def test_refuses_an_index_that_is_not_of_the_scorer(bundle: Bundle) -> None:
    popular = StaticScores(np.arange(N, dtype=np.float32))
    index = build(blobs(N), Options(backend="exact"))
    with pytest.raises(SerendipError, match="must be over the 1200 vectors of a scorer that has such"):
        retrieve(popular, name="popular", index=index)
    changed = approximate("faiss_ivf", blobs(N)).delete(np.array([3]))
    with pytest.raises(SerendipError, match=r"A bundle's index must be as it was built\. That of 'taste' has changed"):
        Bundle.build(data_of(), with_indices(bundle.pipeline, {"taste": changed}))


def test_a_recipe_asks_for_an_index(bundle: Bundle) -> None:
    plain = without(bundle.pipeline)
    assert indexed(plain, data_of(), Recipe().index, Run()) is plain
    found = indexed(plain, data_of(), Options(backend="exact_int8", k=5), Run(threads=1))
    first, second = retrievers(found)
    assert first.index is not None and second.index is None
    assert first.index.stats.backend == "exact_int8"
    made = Bundle.build(data_of(), found)
    assert made.manifest.index["taste"].asked == Options("exact_int8", 0.95, 5)
    ranked = first_of(retrieve(first.scorer, name="taste"), retrieve(second.scorer, name="popular"))
    assert made.recommend(3)["item_id"].to_list() == Bundle.build(data_of(), ranked).recommend(3)["item_id"].to_list()


def test_an_update_indexes_anew(bundle: Bundle) -> None:
    exact = indexed(without(bundle.pipeline), data_of(), Options(backend="exact_int8"), Run(threads=1))
    made = Bundle.build(data_of(), exact)
    after = made.update(pl.DataFrame({"user_id": [1, 99], "item_id": [N + 5, 3]}), run=Run(threads=1))
    assert after.manifest.index["taste"].items == N + 1
    assert len(after.recommend(99, 5)) == 5
