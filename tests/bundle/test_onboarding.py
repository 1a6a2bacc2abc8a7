"""Questions: against the formula worked out otherwise, and by what they tell of tastes that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from serendip.bundle import Bundle
from serendip.bundle.onboarding import Prior, chosen
from serendip.bundle.options import Onboarding
from serendip.data.dataset import Dataset
from serendip.pipeline import retrieve
from serendip.scorers import StaticScores
from serendip.types import SerendipError


def made(likes: np.ndarray, **columns: object) -> Bundle:
    user, item = np.nonzero(likes)
    events = pl.DataFrame({"user_id": user, "item_id": item + 100})
    items = pl.DataFrame({"item_id": np.arange(likes.shape[1]) + 100, **columns})
    data = Dataset.from_frames(events, items=items)
    return Bundle.build(data, retrieve(StaticScores(np.ones(data.n_items, np.float32)), name="popular"))


@pytest.fixture(scope="module")
def halves() -> Bundle:
    """60 users like items 100 … 103, and 40 others 104 … 107; all like 108, and half of each 109."""
    likes = np.zeros((100, 10), bool)
    likes[:60, :4], likes[60:, 4:8], likes[:, 8], likes[::2, 9] = True, True, True, True
    return made(likes, genre=["x"] * 4 + ["y"] * 6)


def test_it_asks_what_tells_people_apart_and_not_what_all_like(halves: Bundle) -> None:
    first = halves.onboarding(3)
    assert first["item_id"][0] in (100, 101, 102, 103)
    assert 108 not in first["item_id"].to_list()
    assert first["gain"].is_sorted(descending=True) and first["rank"].to_list() == [1, 2, 3]
    assert first["source"].unique().to_list() == ["histories"]
    assert first["gain"][0] > 0.7 > 0.2 > first["gain"][1]


def test_answers_say_what_is_likely_known(halves: Bundle) -> None:
    sure = Onboarding(recognisability=2.0)
    liked, other = (
        halves.onboarding(9, liked=["100"], options=sure),
        halves.onboarding(9, not_known=[100], options=sure),
    )
    share = {name: dict(frame.select("item_id", "known").iter_rows()) for name, frame in (("a", liked), ("b", other))}
    assert share["a"][101] > 0.9 > 0.1 > share["a"][104]
    assert share["b"][104] > 0.9 > 0.1 > share["b"][101]
    assert 100 not in liked["item_id"].to_list()
    assert (
        halves.onboarding(1, not_liked=[100])["item_id"].to_list()
        == halves.onboarding(1, not_known=[100])["item_id"].to_list()
    )


def test_gain_and_posterior_are_those_of_the_gaussian() -> None:
    rng = np.random.default_rng(0)
    root = rng.standard_normal((6, 6))
    prior = Prior(np.arange(6, dtype=np.int32), rng.random(6), root @ root.T, "histories")
    options = Onboarding(recognisability=0.0, noise=0.5)
    places, gains = chosen(prior, 2, np.ones(6, bool), options)
    inverse, worth = np.linalg.inv(prior.covariance), []
    for place in range(6):
        told = inverse.copy()
        told[place, place] += 2
        worth.append(np.trace(prior.covariance) - np.trace(np.linalg.inv(told)))
    assert places[0] == int(np.argmax(worth))
    np.testing.assert_allclose(gains[0], max(worth) / np.trace(prior.covariance), rtol=1e-6)
    both = prior.given(np.array(places), np.array([1.0, 0.0]), 0.5)
    told = inverse.copy()
    told[places, places] += 2
    covariance = np.linalg.inv(told)
    evidence = np.zeros(6)
    evidence[places] = np.array([1.0, 0.0]) - prior.mean[places]
    np.testing.assert_allclose(both.covariance, covariance, atol=1e-8)
    np.testing.assert_allclose(both.mean, prior.mean + covariance @ evidence * 2, atol=1e-8)


def test_without_events_questions_cover_the_attributes() -> None:
    bundle = made(np.eye(2, 7, dtype=bool), genre=["x", "x", "x", "x", "y", "y", None])
    found = replace(bundle, histories=replace(bundle.histories, weight=np.zeros(2, np.float32))).onboarding(2)
    assert found["source"].unique().to_list() == ["attributes"]
    assert found["item_id"][0] in (100, 101, 102, 103) and found["item_id"][1] in (104, 105)


def test_what_may_be_asked_and_what_cannot(halves: Bundle) -> None:
    assert halves.onboarding(5, filter='genre == "x"')["item_id"].is_in([100, 101, 102, 103]).all()
    assert len(halves.onboarding(50)) == 10
    assert len(halves.onboarding(5, filter='genre == "z"')) == 0
    assert len(halves.onboarding(9, options=Onboarding(pool=2))) == 2
    for call, said in (
        (lambda: halves.onboarding(0), "k must be"),
        (lambda: halves.onboarding(1, liked=[999]), "must be among the 10 items of the bundle. Got 999"),
        (lambda: halves.onboarding(1, liked=[100], not_known=[100]), "answered once. Got 100 twice"),
        (lambda: halves.onboarding(1, liked=[100, "100"]), "answered once. Got 100 twice"),
        (lambda: halves.onboarding(1, liked=100), "must be a list"),
    ):
        with pytest.raises(SerendipError, match=said):
            call()
