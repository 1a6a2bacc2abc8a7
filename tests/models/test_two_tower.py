"""Two towers: features, moments and histories count, candidates are weighed by how often they are drawn."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.data.features import Feature
from serendip.data.features.declared import Category, Cycle
from serendip.model import Run
from serendip.models._past import Others
from serendip.models._retrieval import Step
from serendip.models.two_tower import TwoTower
from serendip.scorers import MaxSimScorer
from serendip.types import Queries, SerendipError

ONE = Run(threads=1)
SMALL: dict[str, Any] = {"factors": 16, "hidden": 32, "batch_size": 128, "learning_rate": 0.02, "epochs": 12}
HOUR = 3600
NOON, NIGHT = 12 * HOUR, 0


ALL: dict[str, Feature] = {
    "town": Category(side="user"),
    "where": Category(side="item"),
    "when": Category(side="item"),
    "hour": Cycle(side="context", column="timestamp", period="day"),
}


def shops(declared: dict[str, Feature]) -> Dataset:
    """Users of two towns who take what is in their town; even items at noon, odd ones at night. The last two items of
    each town have no event."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(80):
        for day in range(10):
            odd = int(rng.integers(2))
            moment = 1_700_006_400 + day * 24 * HOUR + (NIGHT if odd else NOON)
            rows.append((user, f"{'ab'[user % 2]}{2 * int(rng.integers(4)) + odd}", moment))
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row").unique(
        ["user_id", "item_id"], keep="first", maintain_order=True
    )
    names = [f"{town}{number}" for town in "ab" for number in range(10)]
    items = pl.DataFrame(
        {
            "item_id": names,
            "where": [name[0] for name in names],
            "when": [str(int(name[1]) % 2) for name in names],
        }
    )
    users = pl.DataFrame({"user_id": range(80), "town": list("ab") * 40})
    return Dataset.from_frames(events, users, items, features=declared)


DATA = shops(ALL)


def asked(user: int, hour: int) -> Queries:
    """A user without a history, at that time of a day."""
    given = DATA.histories.queries(np.array([user], np.int32), length=0, exclude_seen=False)
    queries = Queries(given.users, given.history[:, :0], time=np.array([1_700_006_400 + 40 * 24 * HOUR + hour]))
    return DATA.asked(queries)


def codes(*names: str) -> Any:
    return DATA.item_ids.encode(list(names))


@pytest.fixture(scope="module")
def fitted() -> TwoTower:
    return TwoTower(**SMALL, items_by="both", id_dropout=0.3).fit(DATA, ONE)


def test_who_asks_and_when_decides(fitted: TwoTower) -> None:
    for town in range(2):
        for hour, parity in ((NOON, 0), (NIGHT, 1)):
            scores = fitted.score(asked(town, hour))[0]
            best = {DATA.item_ids.ids[int(code)] for code in np.argsort(-scores)[:3]}
            assert best <= {f"{'ab'[town]}{number}" for number in range(parity, 10, 2)}


def test_items_without_events_are_ranked_by_their_features(fitted: TwoTower) -> None:
    scores = fitted.score(asked(0, NOON))[0]
    here, elsewhere = scores[codes("a8")], scores[codes("b8", "b9", "a9")]
    assert here > elsewhere.max()


def test_new_items_are_ranked_the_moment_their_features_arrive(fitted: TwoTower) -> None:
    new = pl.DataFrame({"item_id": ["n1", "n2"], "where": ["a", "b"], "when": ["0", "0"]})
    event = pl.DataFrame({"user_id": [0], "item_id": ["a0"], "timestamp": [1_700_006_400 + 20 * 24 * HOUR]})
    change = Change.read(DATA, event, items=new)
    scores = fitted.update(change).score(asked(0, NOON))[0]
    mine, other = (int(code) for code in change.after.item_ids.encode(["n1", "n2"]))
    assert scores[mine] > scores[other]


def test_several_heads_answer_with_the_nearest() -> None:
    model = TwoTower(**{**SMALL, "epochs": 1}, heads=3).fit(DATA, ONE)
    scorer = model.lower()
    assert isinstance(scorer, MaxSimScorer)
    assert np.isfinite(model.score(DATA.queries(np.arange(3, dtype=np.int32)))).any(axis=1).all()


def test_a_vector_per_user_and_one_per_item_without_a_layer_between() -> None:
    data = shops({"town": Category(side="user", dim=16)})
    options = {**SMALL, "hidden": None, "length": 0, "projected": False, "optimiser": "adagrad", "learning_rate": 0.2}
    model = TwoTower(**options).fit(data, ONE)
    learned = model.learned()
    assert learned is not None and {name.rsplit(".", 1)[0] for name in learned} == {"rank.ids", "features.tables.0"}
    met = [code for code, name in enumerate(data.item_ids.ids) if int(str(name)[1]) < 8]
    scores = model.score(data.queries(np.arange(2, dtype=np.int32)))[:, met]
    here = np.array([[str(data.item_ids.ids[code])[0] == town for code in met] for town in "ab"])
    assert np.where(here, scores, np.inf).min() > np.where(here, -np.inf, scores).max()
    vectors = learned["features.tables.0.weight"][1:] @ learned["rank.ids.weight"][1:].T
    codes = data.features.users(data.users.head(2))["town"] if data.features is not None else []
    np.testing.assert_allclose(scores, vectors[codes][:, met], rtol=1e-4, atol=1e-5)


def test_vectors_begin_small_where_nothing_reads_them_first() -> None:
    data = shops({"town": Category(side="user", dim=16)})
    bare: dict[str, Any] = {"factors": 16, "length": 0, "hidden": None, "projected": False}

    def spread(**options: Any) -> float:
        net: Any = TwoTower(**{**bare, **options}).build(data)
        return float(net.features.tables[0].weight.detach()[1:].std())

    assert 0.01 < spread() < 0.03
    assert 0.1 < spread(projected=True) < 0.4 and 0.1 < spread(normalise=True) < 0.4  # one over the root of 16
    assert 0.5 < spread(initializer_range=1.0) < 1.5


@pytest.mark.parametrize(("initial", "share"), [(0.0, 1.0), (3.0, 0.5)])
def test_adagrad_begins_with_steps_as_long_as_said(initial: float, share: float) -> None:
    """A gradient of 1 of one event of four is one of ¼ of their mean: ``¼ / √(3/16 + 1/16) = ½``."""
    net: Any = TwoTower(factors=4, length=0, hidden=None, projected=False, optimiser="adagrad").build(
        shops({"town": Category(side="user", dim=4)})
    )
    options: dict[str, Any] = {"batch_size": 4, "learning_rate": 0.2, "initial_accumulator_value": initial}
    made = TwoTower(**options, optimiser="adagrad").optimiser(net)
    before = net.rank.ids.weight[3].detach().clone()
    net.train().rank(torch.tensor([2])).backward(torch.full((1, 4), 0.25))
    made.step()
    np.testing.assert_allclose(before - net.rank.ids.weight[3].detach(), 0.2 * share, rtol=1e-4)


def bag(found: Others, row: int, length: int) -> list[int]:
    codes, begins = found.bags(np.array([row]), length)
    assert begins.tolist() == [0]
    return [int(code) for code in codes]


def test_a_query_may_be_all_but_the_event() -> None:
    events = pl.DataFrame(
        {
            "user_id": [1, 1, 1, 1, 1, 2],
            "item_id": ["a", "b", "c", "d", "a", "a"],
            "timestamp": [0, 1, 2, 3, 4, 0],
            "weight": [1.0, 0.0, 1.0, 1.0, 1.0, 1.0],
        }
    )
    data = Dataset.from_frames(events, time_kind="rank")
    a, c, d = (int(code) for code in data.item_ids.encode(["a", "c", "d"]))
    others = Others.of(data)
    assert [bag(others, row, 9) for row in (0, 2, 3, 4, 5)] == [[c, d, a], [a, d, a], [a, c, a], [a, c, d], []]
    assert [bag(others, row, 2) for row in (0, 2, 3, 4, 5)] == [[d, a], [d, a], [c, a], [c, d], []]
    codes, begins = others.bags(np.array([4, 5, 0]), 9)
    assert codes.tolist() == [a, c, d, c, d, a] and begins.tolist() == [0, 3, 3]


def sets() -> Dataset:
    """Users who have all items of one of four sets but one, in an order that says nothing."""
    rng = np.random.default_rng(0)
    rows = [(user, 6 * (user % 4) + item) for user in range(120) for item in rng.permutation(6)[:5].tolist()]
    return Dataset.from_frames(pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row"))


@pytest.mark.parametrize("tied", [True, False])
def test_what_else_somebody_has_says_what_is_missing(tied: bool) -> None:
    data = sets()
    options = {**SMALL, "history": "others", "tied": tied, "hidden": None, "length": 8}
    model = TwoTower(**options).fit(data, ONE)
    best = model.score(data.queries())
    best[np.arange(data.n_users)[:, None], data.sequences(5)] = -np.inf
    whole = {tuple(sorted(row)) for row in np.column_stack([data.sequences(5), best.argmax(axis=1)]).tolist()}
    named = {tuple(int(data.item_ids.ids[code]) // 6 for code in row) for row in whole}
    assert named == {(town,) * 6 for town in range(4)}


def test_a_bag_gives_what_the_same_history_gives() -> None:
    from torch import from_numpy

    data, length = sets(), 4
    model = TwoTower(history="others", length=length, factors=8)
    net = model.build(data).eval()
    rows = np.array([3, 3, 11, 40])
    codes, begins = Others.of(data).bags(rows, length)
    given = {name: from_numpy(value) for name, value in Others.of(data).inputs(rows, length).items()}
    padded = from_numpy(codes.reshape(len(rows), length))
    assert begins.tolist() == [0, 4, 8, 12]
    np.testing.assert_allclose(net(given).detach(), net({"history": padded}).detach(), atol=1e-6)


def test_candidates_come_with_the_probability_that_they_are_among_them() -> None:
    model = TwoTower(batch_size=40, negatives=5)
    step = next(iter(model.batches(DATA, np.random.default_rng(0))))
    liked = np.bincount(DATA.events.items, minlength=DATA.n_items)
    expected = 40 * liked[step.candidates] / liked.sum() + 5 / (liked > 0).sum()
    np.testing.assert_allclose(np.exp(step.log_q), 1 - np.exp(-expected), rtol=1e-5)
    assert len(np.unique(step.candidates)) == len(step.candidates) and len(step) == 40


def test_neither_history_nor_features_is_refused() -> None:
    bare = Dataset.from_frames(pl.DataFrame({"user_id": [1, 1, 2], "item_id": [1, 2, 1]}))
    with pytest.raises(SerendipError, match=r"length = 0 leaves the features of users and moments alone"):
        TwoTower(length=0).fit(bare, ONE)


@pytest.mark.parametrize("options", [{"loss": "bpr"}, {"loss": "cosine_contrastive", "normalise": True, "margin": 0.2}])
def test_items_are_set_against_ones_own_one_by_one(options: dict[str, Any]) -> None:
    model = TwoTower(**{**SMALL, **options}, items_by="both", hard_negatives=None, heads=2).fit(DATA, ONE)
    for town in range(2):
        for hour, parity in ((NOON, 0), (NIGHT, 1)):
            scores = model.score(asked(town, hour))[0]
            best = {DATA.item_ids.ids[int(code)] for code in np.argsort(-scores)[:3]}
            assert best <= {f"{'ab'[town]}{number}" for number in range(parity, 10, 2)}


def test_losses_of_one_against_another_by_hand() -> None:
    """Two rows and three candidates: the third is nobody's own."""
    asking = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    items = torch.tensor([[0.8, 0.6], [0.0, 1.0], [1.0, 0.0]])
    counts = np.array([1, 3], np.float32)
    batch = Step({}, np.arange(3), np.array([0, 1]), np.zeros(3, np.float32), counts, np.arange(2))

    def found(**options: Any) -> float:
        class Given(TwoTower):
            summary, source = "as given", "none"

            def compared(self, net: Any, batch: Any) -> Any:
                return asking, items

        (value,) = Given(**options).loss(SimpleNamespace(adapter=None), batch).values()
        return float(value)

    # Products: .8 0 1 and .96 .8 .6; each row's own are .8 and .8.
    cosines: dict[str, Any] = {"loss": "cosine_contrastive", "normalise": True, "margin": 0.7, "negative_weight": 2.0}
    rows = 0.2 + 2 * (0.0 + 0.3) / 2, 0.2 + 2 * (0.26 + 0.0) / 2
    assert found(**cosines) == pytest.approx((rows[0] + 3 * rows[1]) / 2, rel=1e-5)
    rows = 0.2 + 2 * 0.3, 0.2 + 2 * 0.26
    assert found(**cosines, hard_negatives=1) == pytest.approx((rows[0] + 3 * rows[1]) / 2, rel=1e-5)
    rows = np.log1p(np.exp(0.2 / 0.5)), np.log1p(np.exp(0.16 / 0.5))
    hardest = {"loss": "bpr", "temperature": 0.5, "hard_negatives": 1}
    assert found(**hardest) == pytest.approx((rows[0] + 3 * rows[1]) / 2, rel=1e-5)


def test_cosines_need_vectors_of_length_one() -> None:
    with pytest.raises(SerendipError, match=r"loss = cosine_contrastive compares cosines.* Try normalise = true"):
        TwoTower(**SMALL, loss="cosine_contrastive").fit(DATA, ONE)


def test_an_item_alone_in_its_batch_is_set_against_nothing() -> None:
    events = pl.DataFrame({"user_id": [1, 2, 3], "item_id": ["a", "b", "a"], "timestamp": [1, 2, 3]})
    for options in ({"loss": "bpr"}, {"loss": "cosine_contrastive", "normalise": True}):
        small: dict[str, Any] = {**SMALL, "batch_size": 1, "epochs": 1, "hard_negatives": 4, **options}
        model = TwoTower(**small).fit(Dataset.from_frames(events), ONE)
        tensors = model.learned()
        assert tensors is not None and all(np.isfinite(one).all() for one in tensors.values())
