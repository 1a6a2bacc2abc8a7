"""The invented data are what they say they are: every claim is checked against the truth they were drawn from."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from serendip.data import prose, shop
from serendip.data.synthetic import World, catalogue, checkerboard, markov, planted_factors
from serendip.data.visits import _draw
from serendip.evaluate import evaluate
from serendip.evaluate.split import global_time, per_user
from serendip.model import Run, find
from serendip.types import ABSENT, Queries, Scorer, SerendipError


@pytest.fixture(scope="module", params=[0, 11])
def world(request: pytest.FixtureRequest) -> World:
    return catalogue(request.param)


@pytest.fixture(scope="module")
def small() -> World:
    return catalogue(3, users=200, items=100)


def gini(counts: np.ndarray) -> float:
    """Half the mean absolute difference over the mean, straight from the definition."""
    values = counts.astype(float)
    return float(np.abs(values[:, None] - values).sum() / (2 * len(values) ** 2 * values.mean()))


def counts_of(world: World) -> np.ndarray:
    counted = world.items.join(world.events.group_by("item_id").len(), on="item_id", how="left")
    return counted["len"].fill_null(0).to_numpy()


@pytest.mark.parametrize(("users", "items", "held"), [(50, 40, 2), (7, 12, 1), (31, 13, 3), (2, 4, 1), (10, 10, 0)])
def test_checkerboard_leaves_exactly_the_held_items_of_the_users_parity_unseen(
    users: int, items: int, held: int
) -> None:
    data = checkerboard(users, items, held=held)
    seen = data.matrix().toarray() > 0
    same = (np.arange(users)[:, None] + np.arange(items)) % 2 == 0
    assert not (seen & ~same).any()
    assert ((same & ~seen).sum(axis=1) == held).all()
    assert data.user_ids.ids.to_list() == list(range(users))
    assert data.item_ids.ids.to_list() == list(range(items))


def test_checkerboard_shows_every_item_to_somebody_and_spreads_what_it_holds_back() -> None:
    data = checkerboard(60, 30, held=2)
    seen = data.matrix().toarray() > 0
    assert seen.any(axis=0).all()
    popularity = seen.sum(axis=0)
    assert popularity.max() - popularity.min() <= 4
    assert data.items["categories"].to_list()[:2] == [["even"], ["odd"]]


@pytest.mark.parametrize("options", [{"users": 1}, {"items": 5, "held": 2}, {"held": -1}])
def test_checkerboard_refuses_sizes_without_an_answer(options: dict[str, int]) -> None:
    with pytest.raises(SerendipError, match=r"checkerboard needs at least 2 users .* Try checkerboard\("):
        checkerboard(**options)


def test_planted_scores_are_the_product_of_the_factors_and_the_users_choose_by_them() -> None:
    planted = planted_factors(300, 80, 6, seed=4, events=20, noise=0.3)
    np.testing.assert_allclose(planted.scores, planted.user_factors @ planted.item_factors.T, rtol=1e-4, atol=1e-5)
    assert np.linalg.matrix_rank(planted.scores, tol=1e-2) == 6
    assert planted.scores.std() == pytest.approx(1, abs=0.15)
    seen = planted.data.matrix().toarray() > 0
    assert (seen.sum(axis=1) == 20).all()
    assert planted.scores[seen].mean() > planted.scores[~seen].mean() + 0.8


def test_planted_ratings_are_the_scores_with_noise_of_the_given_size() -> None:
    planted = planted_factors(300, 80, 6, seed=4, events=20, noise=0.3)
    events = planted.data.events
    error = events.labels["rating"] - planted.scores[events.users, events.items]
    assert error.mean() == pytest.approx(0, abs=0.02)
    assert error.std() == pytest.approx(0.3, abs=0.02)


def test_markov_sequences_follow_their_matrix() -> None:
    chains = markov(2000, 12, 60, seed=5, branches=2, wander=0.2)
    np.testing.assert_allclose(chains.transitions.sum(axis=1), 1)
    assert ((chains.transitions > 0.2 / 12 + 1e-9).sum(axis=1) == 2).all()
    walk = chains.data.sequences(60)
    assert (walk != ABSENT).all()
    moves = np.zeros((12, 12))
    np.add.at(moves, (walk[:, :-1].ravel(), walk[:, 1:].ravel()), 1)
    np.testing.assert_allclose(moves / moves.sum(axis=1, keepdims=True), chains.transitions, atol=0.025)


def test_small_worlds_refuse_impossible_arguments() -> None:
    with pytest.raises(SerendipError, match="no more events per user than items"):
        planted_factors(5, 10, 2, events=11)
    with pytest.raises(SerendipError, match=r"wander in 0 … 1. Got .* wander 1.5"):
        markov(5, 10, 3, wander=1.5)
    with pytest.raises(SerendipError, match=r"at least 10. Got 5 and 50 instead. Try catalogue"):
        catalogue(users=5, items=50)


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    one, again, other = (catalogue(seed, users=60, items=40) for seed in (1, 1, 2))
    assert one.events.equals(again.events)
    assert one.items.equals(again.items)
    assert one.users.equals(again.users)
    assert not one.events.equals(other.events)
    assert checkerboard().events.items.tolist() == checkerboard().events.items.tolist()
    assert planted_factors(seed=1).data.events.items.tolist() == planted_factors(seed=1).data.events.items.tolist()
    assert markov(seed=1).data.events.items.tolist() != markov(seed=2).data.events.items.tolist()


def test_the_default_shop_has_the_promised_size_and_skew(world: World) -> None:
    assert 150_000 <= len(world.events) <= 300_000
    assert (len(world.users), len(world.items)) == (5000, 2000)
    assert 0.6 <= gini(counts_of(world)) <= 0.8
    kinds = dict(world.events["event_type"].value_counts().rows())
    assert kinds["view"] > kinds["like"] > kinds["purchase"] > 5000
    assert world.events["user_id"].n_unique() == 5000


def test_late_items_have_no_event_in_an_early_part(world: World) -> None:
    late_from = shop.EPOCH + shop.LATE_FROM * shop.DAYS * shop.DAY
    late = world.items.filter(pl.col("released") >= late_from)
    assert 0.1 <= len(late) / len(world.items) <= 0.2
    theirs = world.events.join(late, on="item_id", how="semi")
    assert theirs["timestamp"].min() >= late_from
    assert 0.02 < len(theirs) / len(world.events) < 0.15


def test_events_lie_in_the_period_after_their_items_release(world: World) -> None:
    times = world.events["timestamp"]
    assert times.is_sorted()
    end = shop.EPOCH + shop.DAYS * shop.DAY
    assert times[0] >= shop.EPOCH
    assert times[-1] < end + 2 * 3600
    released = world.events.join(world.items, on="item_id")
    assert (released["timestamp"] >= released["released"]).all()
    per_month = np.histogram(times, bins=6, range=(shop.EPOCH, end))[0]
    assert per_month.min() > 0.5 * per_month.max()


def test_a_pair_is_viewed_once_and_liked_or_bought_only_after_the_view(world: World) -> None:
    events = world.events
    assert not events.select("user_id", "item_id", "event_type").is_duplicated().any()
    views = events.filter(pl.col("event_type") == "view")
    rest = events.filter(pl.col("event_type") != "view").join(views, on=["user_id", "item_id"], how="left")
    wait = rest["timestamp"] - rest["timestamp_right"]
    assert wait.null_count() == 0
    assert wait.min() > 0
    assert wait.max() < 2 * 3600
    assert views["watch_time"].null_count() == 0
    for kind, label in (("like", "liked"), ("purchase", "purchased")):
        followed = views.join(world.events.filter(event_type=kind), on=["user_id", "item_id"], how="semi")
        assert followed[label].to_list() == [1] * len(followed) and views[label].sum() == len(followed)
    for label in ("rating", "watch_time", "liked", "purchased"):
        assert rest[label].null_count() == len(rest)
    assert 0.1 < 1 - views["rating"].null_count() / len(views) < 0.25
    assert sorted(views["rating"].drop_nulls().unique()) == [1, 2, 3, 4, 5]


def test_likes_ratings_and_watching_agree_with_each_other(world: World) -> None:
    views = world.events.filter(pl.col("event_type") == "view")
    seen = views.join(world.items, on="item_id")
    seen = seen.with_columns(share=pl.col("watch_time") / (60 * pl.col("minutes")))
    assert seen["share"].min() > 0
    assert seen["share"].max() < 1.01
    means = seen.group_by("liked").agg(pl.col("rating", "share").mean()).sort("liked")
    assert means["rating"][1] > means["rating"][0] + 0.5
    assert means["share"][1] > means["share"][0] + 0.1


def test_choices_are_drawn_from_the_true_log_odds(small: World) -> None:
    """Among the first choices of many users, each item is taken as often as the softmax of the truth says."""
    tastes, users = small.tastes, np.arange(200)
    views = small.events.filter(pl.col("event_type") == "view")
    step = (views["timestamp"].to_numpy() - shop.EPOCH) // (shop.DAY * shop.DAYS // shop.STEPS)
    user, item = tastes.user_ids.encode(views["user_id"]), tastes.item_ids.encode(views["item_id"])
    gained = []
    for now in range(shop.STEPS):
        odds = tastes.at(users, now)
        with np.errstate(divide="ignore"):
            chance = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
        rows = step == now
        assert (chance[user[rows], item[rows]] > 0).all()
        gained.append(chance[user[rows], item[rows]].mean() / chance.mean())
    assert min(gained) > 3


def test_one_draw_takes_each_column_as_often_as_its_odds_say() -> None:
    odds = np.array([[1.0, 0.0, 3.0, 4.0], [5.0, 5.0, 0.0, 0.0]])
    chance = (np.arange(4000) + 0.5) / 4000
    counts = [np.bincount(_draw(odds, np.full(4000, row), chance), minlength=4) / 4000 for row in (0, 1)]
    np.testing.assert_allclose(counts, [[0.125, 0, 0.375, 0.5], [0.5, 0.5, 0, 0]], atol=1e-3)


def test_titles_are_distinct_and_clean_and_tell_the_topic(world: World) -> None:
    titles = world.items["title"]
    assert titles.n_unique() == len(titles)
    text = "\n".join(titles.to_list() + world.items["description"].to_list())
    assert "{" not in text
    assert "  " not in text
    assert not pl.Series(text.split("\n")).str.contains(r"\b[Aa] [aeiouAEIOU]|\b[Aa]n [^aeiouAEIOU]").any()
    assert titles.str.contains(r"^[A-Z0-9]").all()
    crime = world.items.filter(pl.col("categories").list.contains("Detectives"))["title"]
    others = world.items.filter(~pl.col("categories").list.contains("Crime"))["title"]
    clue = "Alibi|Clue|Case File|Witness|Fingerprint|Suspect|Confession"
    assert crime.str.contains(clue).mean() > 0.9
    assert others.str.contains(clue).mean() < 0.05


def test_a_bigger_shop_than_there_are_patterns_still_has_distinct_titles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prose, "ATTEMPTS", 1)
    many = np.zeros(2000, np.int64)
    titles, _ = prose.write(many, many, ["film"] * 2000, np.random.default_rng(0))
    assert len(set(titles)) == 2000
    assert any(", Part 2" in title for title in titles)


def test_attributes_and_text_carry_taste(world: World) -> None:
    """What is chosen differs between age bands far more than between halves of the users drawn by lot."""
    topic = world.items.select("item_id", topic=pl.col("categories").list.first())
    log = world.events.join(topic, on="item_id").join(world.users, on="user_id")
    log = log.with_columns(lot=pl.col("user_id").hash(seed=1) % 6)

    def spread(column: str) -> float:
        table = log.group_by(column, "topic").len().pivot("topic", index=column, values="len").fill_null(0)
        shares = table.drop(column).to_numpy()
        return float((shares / shares.sum(axis=1, keepdims=True)).std(axis=0).mean())

    assert spread("age_band") > 5 * spread("lot")
    assert spread("country") > 2 * spread("lot")


def test_a_users_taste_moves_but_stays_recognisable(world: World) -> None:
    tastes = world.tastes
    early, late = (taste[:500] @ tastes.items.T for taste in (tastes.start, tastes.end))
    agreement = [np.corrcoef(before, after)[0, 1] for before, after in zip(early, late, strict=True)]
    assert 0.7 < np.mean(agreement) < 0.95


def test_the_topics_popularity_moves(world: World) -> None:
    topic = world.items.select("item_id", "released", topic=pl.col("categories").list.first())
    log = world.events.join(topic, on="item_id").filter(pl.col("released") < shop.EPOCH)
    month = (pl.col("timestamp") - shop.EPOCH) // (30 * shop.DAY)
    counts = log.group_by("topic", month.alias("month")).len().filter(pl.col("month").is_in([0, 5]))
    table = counts.pivot("month", index="topic", values="len")
    first, last = (table[name].to_numpy() for name in ("0", "5"))
    moved = last / last.sum() / (first / first.sum())
    noise = np.sqrt(1 / first + 1 / last)
    assert (np.abs(np.log(moved)) > 4 * noise).sum() >= 6


def test_the_oracle_follows_external_ids_through_a_smaller_vocabulary(small: World) -> None:
    data = small.dataset()
    part = data.where(np.isin(data.events.users, np.arange(0, 200, 3)) & (np.arange(len(data.events)) % 2 == 0))
    whole, piece = small.oracle(data), small.oracle(part)
    assert isinstance(piece, Scorer)
    assert piece.n_items == part.n_items
    expected = small.tastes.at(np.arange(200), shop.STEPS - 1)
    users, items = (
        own.encode(theirs.ids)
        for own, theirs in ((small.tastes.user_ids, part.user_ids), (small.tastes.item_ids, part.item_ids))
    )
    np.testing.assert_allclose(piece.score(part.queries()), expected[np.ix_(users, items)], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(whole.score(data.queries()), expected, rtol=1e-4, atol=1e-4)


def test_the_oracle_scores_chosen_items_and_knows_what_it_cannot_score(small: World) -> None:
    oracle = small.oracle(small.dataset())
    queries = Queries.of([[], [], []], users=[0, 5, ABSENT])
    everything = oracle.score(queries)
    np.testing.assert_array_equal(oracle.score(queries, np.array([4, 9], np.int32)), everything[:, [4, 9]])
    rows = np.array([[1, ABSENT], [2, 3], [7, 100]], np.int32)
    chosen = oracle.score(queries, rows)
    assert chosen[0, 1] == chosen[2, 1] == -np.inf
    np.testing.assert_array_equal(chosen[:, 0], everything[[0, 1, 2], [1, 2, 7]])
    average = small.tastes.end.mean(axis=0) @ small.tastes.items.T + small.tastes.appeal[-1]
    np.testing.assert_allclose(everything[2], average, rtol=1e-4, atol=1e-4)
    assert chosen.dtype == np.float32


def test_the_data_set_of_a_world_keeps_every_event_and_row(small: World) -> None:
    data = small.dataset()
    assert len(data.events) == len(small.events)
    assert (data.n_users, data.n_items) == (200, 100)
    assert data.items_listed.all()
    assert data.users_listed.all()
    assert data.schema.time_kind == "unix"
    by_kind = dict(small.events["event_type"].value_counts().rows())
    assert data.events.weight.sum() == by_kind["view"] + 2 * by_kind["like"] + 3 * by_kind["purchase"]


def test_popular_is_beaten_by_ials_and_ials_by_the_oracle(world: World, request: pytest.FixtureRequest) -> None:
    cut = per_user if request.node.callspec.params["world"] == 0 else global_time
    split = cut(world.dataset())
    run = Run(seed=0, threads=2)
    scorers: dict[str, Scorer] = {
        "popular": find("popular")().fit(split.train, run).lower(),
        "ials": find("ials")(iterations=8).fit(split.train, run).lower(),
        "oracle": world.oracle(split.train),
    }
    popular, ials, oracle = (
        evaluate(scorer, split, metrics=("ndcg@10",), threads=2, name=name).interval("ndcg@10")
        for name, scorer in scorers.items()
    )
    assert popular.high < ials.low
    assert ials.high < oracle.low
