"""Live items: what is put in is found, what is taken out is gone, whatever happens between."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import polars as pl
import pytest

from serendip.catalogue import Catalogue, CatalogueError
from serendip.index.tuning import per_query
from serendip.types import ABSENT, SerendipError
from tests.catalogue.conftest import N, made

LIKE = [100, 101, 102]


def shown(bundle, k=8, **how):
    return bundle.recommend("new", k, history=LIKE, **how)["item_id"].to_list()


@pytest.fixture
def live(bundle, tmp_path):
    return Catalogue.open(bundle, tmp_path / "live")


def test_nothing_happened_yet(bundle, live):
    assert live.view.sequence == 0
    assert live.bundle is bundle
    assert live.upsert([]) is live.view


def test_an_item_that_came_is_found_and_one_that_went_is_not(bundle, live):
    first = shown(bundle)
    live.upsert([{"item_id": 500, "title": "New", "price": 3, "genres": ["z"]}], np.array([[9, 1]], np.float32))
    assert shown(live.bundle)[0] == 500
    answer = live.bundle.recommend("new", 2, history=LIKE)
    assert answer["title"].to_list()[0] == "New"
    assert answer["source"].to_list() == ["taste"] * 2
    assert shown(live.bundle, filter='genres has "z"') == [500]
    assert 500 not in shown(live.bundle, exclude=[500])
    assert shown(live.bundle, allow=[500, first[3]]) == [500, first[3]]
    live.delete([500, first[0], first[-1]])
    left = shown(live.bundle, N)
    assert len(left) == N - 2 - len(LIKE)
    assert not {500, first[0], first[-1]} & set(left)
    assert shown(live.bundle, 7)[:6] == first[1:7]
    assert shown(bundle) == first
    assert live.view.sequence == 2


def test_several_values_may_come_as_one_text(bundle, live):
    live.upsert([{"item_id": 500, "genres": "x| y"}, {"item_id": 501, "genres": "x"}, {"item_id": 502, "genres": None}])
    for one in (live, Catalogue.open(bundle, live.path)):
        genres = one.bundle.items.filter(pl.col("item_id") >= 500)["genres"].to_list()
        assert genres == [["x", "y"], ["x"], None]
        assert set(shown(one.bundle, filter='genres has "x"')) == {500, 501}
        assert set(shown(one.bundle, filter="genres is missing")) == {502}


def test_attributes_change_alone(bundle, live):
    view = live.upsert(pl.DataFrame({"item_id": [110, 150], "price": [-1.0, -2.0]}))
    assert set(shown(live.bundle, filter="price < 0")) == {110, 150}
    assert view.items.filter(item_id=110).row(0, named=True) == {
        **bundle.items.filter(item_id=110).row(0, named=True), "price": -1.0,
    }  # fmt: skip
    live.upsert([{"item_id": "110", "out": "2027-05-01"}])
    assert shown(live.bundle, filter='out > "2027-01-01"') == [110]
    assert view.items.filter(item_id=110)["price"].item() == -1.0
    assert shown(bundle, filter="price < 0") == []


def test_an_item_without_a_vector_is_no_trouble(live):
    """Its retriever leaves it out, and says so; what is popular has it last."""
    view = live.upsert([{"item_id": 700, "price": -5.0}, {"item_id": 701}])
    assert view.lacking == {"taste": 2}
    assert view.said == ("taste knows nothing of 2 of the items that came, and leaves them to others",)
    answer = live.bundle.recommend("new", 1, history=LIKE, filter="price < 0")
    assert answer.select("item_id", "source").row(0) == (700, "popular")
    assert set(shown(live.bundle, N + 2)[-2:]) <= {100, 700, 701}
    live.upsert([{"item_id": 701}], {"taste": np.array([[9, 1]])})
    assert shown(live.bundle, 1) == [701]
    assert len(live.bundle.recommend(3, 5, history=[700, 701, 103])) == 5
    assert live.bundle.item_ids.encode([700, "701", 9, 100]).tolist() == [N, N + 1, ABSENT, 0]


def test_a_new_item_is_recommended_at_once_by_what_it_is(described, tmp_path):
    """Its vector comes from its attributes, and changes with them; who knows ids alone leaves it out and is counted."""
    live = Catalogue.open(described, tmp_path / "live")
    likes_a, likes_b = {"history": [100, 102, 104]}, {"history": [101, 103, 105]}

    def place(frame):
        return frame["item_id"].to_list().index(900)

    def named(**how):
        return live.bundle.recommend("new", N, **how)

    view = live.upsert([{"item_id": 900, "genre": "a"}, {"item_id": 901}])
    assert view.lacking == {"hybrid_mf": 1, "item_knn": 2}
    assert place(named(**likes_a)) < N // 2 < place(named(**likes_b))
    assert named(**likes_a)["source"][place(named(**likes_a))] == "hybrid_mf"
    first = view.indices["hybrid_mf"].of(np.array([N]))
    live.upsert([{"item_id": 900, "genre": "b"}])
    assert place(named(**likes_b)) < N // 2 < place(named(**likes_a))
    again = Catalogue.open(described, tmp_path / "live").view.indices["hybrid_mf"]
    np.testing.assert_array_equal(again.of(np.array([N])), live.view.indices["hybrid_mf"].of(np.array([N])))
    live.upsert([{"item_id": 900, "genre": "a"}])
    np.testing.assert_array_equal(live.view.indices["hybrid_mf"].of(np.array([N])), first)
    live.upsert([{"item_id": 900, "genre": None}])
    assert live.view.lacking == {"hybrid_mf": 2, "item_knn": 2}
    assert named(**likes_a).filter(item_id=901)["source"].item() == "popular"


def test_a_changed_item_moves_and_a_given_vector_stays(described, tmp_path):
    live = Catalogue.open(described, tmp_path / "live")
    index = live.view.indices["hybrid_mf"]
    had = index.of(np.array([6]))
    live.upsert([{"item_id": 106, "genre": "b"}])
    assert np.abs(live.view.indices["hybrid_mf"].of(np.array([6])) - had).max() > 0.05
    live.delete([106])
    live.upsert([{"item_id": 106}])
    np.testing.assert_allclose(live.view.indices["hybrid_mf"].of(np.array([6])), had, atol=1e-5)
    assert live.view.items["genre"][6] == "a"
    own = np.ones((1, index.dimensions), np.float32)
    live.upsert([{"item_id": 107}], {"hybrid_mf": own})
    live.upsert([{"item_id": 107, "genre": "a"}])
    np.testing.assert_array_equal(live.view.indices["hybrid_mf"].of(np.array([7])), own)


def test_what_was_taken_out_is_not_like_anything(described, tmp_path):
    live = Catalogue.open(described, tmp_path / "live")
    like = live.bundle.similar_items(100, 3)["similar_item_id"].to_list()
    live.delete(like[:2])
    again = live.bundle.similar_items(100, 3)["similar_item_id"].to_list()
    assert again[0] == like[2] and len(again) == 3


def test_an_item_is_shown_while_one_is_allowed(described, tmp_path):
    """Of a new user nothing is known, of the only item that fits no more than its id."""
    live = Catalogue.open(described, tmp_path / "live")
    live.upsert([{"item_id": 901, "title": "odd"}])
    answer = live.bundle.answer(None, 3, filter='title == "odd"')
    assert answer.frame.select("item_id", "source").rows() == [(901, "popular")]
    nothing = live.bundle.answer(None, 3, filter='title == "none such"')
    assert len(nothing.frame) == 0
    assert any("no item of the catalogue fits" in note for note in nothing.notes)


def test_what_was_deleted_comes_back_by_upsert_alone(bundle, live):
    first = shown(bundle)
    live.delete([first[0]])
    live.upsert([{"item_id": first[1], "price": 1.0}])
    assert first[0] not in shown(live.bundle, N)
    live.upsert([{"item_id": first[0]}])
    assert shown(live.bundle) == first


def test_survives_a_restart_and_another_bundle(bundle, live, tmp_path):
    first = shown(bundle)
    live.upsert([{"item_id": 500, "title": "New", "price": 3.0}], np.array([[9, 1]], np.float32))
    live.upsert([{"item_id": 500, "price": 4.0}, {"item_id": 120, "price": -1.0}])
    live.delete([first[0]])
    again = Catalogue.open(bundle, tmp_path / "live")
    assert again.view.sequence == 3
    assert again.view.items.equals(live.view.items)
    assert shown(again.bundle) == shown(live.bundle)
    other = made(np.random.default_rng(1).standard_normal((N, 3)).astype(np.float32))
    view = again.rebase(other)
    assert view.notes == ("1 items have a vector of another bundle: they have that of this one, or none",)
    assert first[0] not in shown(again.bundle, N)
    assert shown(again.bundle, filter="price < 0") == [120]
    assert view.lacking == {"taste": 1}
    assert again.view.items.filter(item_id=500)["price"].item() == 4.0
    live.delete([121])
    again.refresh()
    assert 121 not in shown(again.bundle, N)
    assert again.rebase(bundle).notes == ()
    assert shown(again.bundle)[0] == 500


@pytest.mark.parametrize("item", [12, "12", np.int64(12)])
def test_one_id_is_one_item_and_not_its_digits(live, item):
    live.upsert([{"item_id": one, "price": 1.0} for one in (1, 2, 12)])
    shown = live.delete(item).shown
    assert [bool(shown[live.view.item_ids.find(one)]) for one in (1, 2, 12)] == [True, True, False]


def test_writers_take_turns_and_see_each_other(bundle, live, tmp_path):
    other = Catalogue.open(bundle, tmp_path / "live")
    live.upsert([{"item_id": 500, "price": 1.0}])
    other.upsert([{"item_id": 501, "price": 1.0}])
    assert (live.view.sequence, other.view.sequence) == (1, 2)
    live.refresh()
    assert live.view.items.equals(other.view.items)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda live: live.upsert([{"item_id": 500}, {"item_id": "500"}]),
            "Every item must be given once. Got 500 twice",
        ),
        (lambda live: live.upsert([{"price": 3}]), "must have an item_id: a whole number or a text. Got None"),
        (lambda live: live.upsert([{"item_id": "x"}]), "must be whole numbers, as those of the bundle. Got 'x'"),
        (lambda live: live.upsert([{"item_id": 1, "prize": 3}]), "title, price, genres, out. Got 'prize'"),
        (lambda live: live.upsert([{"item_id": 1, "price": "low"}]), "'price' must be Float64. Got 'low'"),
        (lambda live: live.upsert([{"item_id": 1, "out": "May"}]), "'out' must be Date. Got 'May'"),
        (lambda live: live.upsert([{"item_id": 1, "price": {}}]), "Attributes must be texts, numbers"),
        (lambda live: live.upsert([{"item_id": 1}], np.ones((1, 3))), r"'taste' must be \[1, 2\]. Got \[1, 3\]"),
        (lambda live: live.upsert([{"item_id": 1}], np.full((1, 2), np.nan)), "must be finite. Got NaN"),
        (lambda live: live.upsert([{"item_id": 1}], "much"), r"'taste' must be numbers, \[1, 2\]\. Got str"),
        (
            lambda live: live.upsert([{"item_id": 1}], {"popular": np.ones((1, 2))}),
            "with vectors: taste. Got 'popular'",
        ),
        (lambda live: live.delete([100, 999]), "must be there to be deleted. Got 999"),
        (lambda live: live.delete([100, 100]), "Every item must be given once. Got 100"),
        (lambda live: (live.delete([100]), live.delete([100])), "must be there to be deleted. Got 100"),
    ],
)
def test_refuses_and_changes_nothing(bundle, live, call, said):
    with pytest.raises(CatalogueError, match=said):
        call(live)
    assert live.view.sequence <= 1
    assert Catalogue.open(bundle, live.path).view.sequence == live.view.sequence


def test_a_live_bundle_is_asked_not_saved(live, tmp_path):
    live.upsert([{"item_id": 500}])
    with pytest.raises(SerendipError, match="Live items"):
        live.bundle.save(tmp_path / "bundle")


def test_after_a_thousand_changes_as_if_built_so(bundle, live, monkeypatch):
    """Changes in any order lead where their sum leads; the log is put together, and indices are built anew."""
    monkeypatch.setattr("serendip.catalogue.catalogue.LARGE", 20_000)
    monkeypatch.setattr("serendip.index.index.LEAST", 40)
    rng, truth, longest = np.random.default_rng(2), {100 + i: (np.cos(i / 20), np.sin(i / 20)) for i in range(N)}, 0
    for _ in range(80):
        ids = rng.choice(300, 3, replace=False) + 100
        vectors = rng.standard_normal((3, 2)).astype(np.float32)
        live.upsert([{"item_id": int(one), "price": float(one)} for one in ids], vectors)
        truth |= dict(zip(ids.tolist(), vectors.tolist(), strict=True))
        gone = int(rng.choice(sorted(truth)))
        live.delete([gone])
        del truth[gone]
        longest = max(longest, (live.path / "changes.log").stat().st_size)
    assert longest < 75_000
    view = live.settle()
    index, held = view.indices["taste"], sorted(truth)
    queries = rng.standard_normal((20, 2)).astype(np.float32)
    best = np.argsort(-(queries @ np.array([truth[one] for one in held], np.float32).T), axis=1)[:, :10]
    found = index.search(queries, 10).items
    ids = view.item_ids.ids.to_numpy()
    assert per_query(ids[found].astype(np.int32), np.array(held, np.int32)[best]).mean() == 1
    assert sorted(view.item_ids.ids.filter(pl.Series(view.shown)).to_list()) == held
    again = Catalogue.open(bundle, live.path)
    assert again.view.indices["taste"].search(queries, 10).scores.tolist() == index.search(queries, 10).scores.tolist()
    assert len(index.fresh) < 150


def test_searches_go_on_meanwhile(bundle, live):
    """Each sees one state: item 500 + i is there with price i, and there are as many as the sequence says."""
    stop, odd, count = threading.Event(), [], [0]

    def search():
        while not stop.is_set():
            view = live.view
            prices = view.items.filter(pl.col("item_id") >= 500)
            frame = view.bundle.recommend("new", 100, history=LIKE, filter="item_id >= 500")
            if len(prices) != view.sequence or len(frame) != view.sequence or (prices["price"] < 0).any():
                odd.append((view.sequence, len(prices), len(frame)))
            count[0] += 1

    threads = [threading.Thread(target=search) for _ in range(2)]
    for one in threads:
        one.start()
    for at in range(20):
        live.upsert([{"item_id": 500 + at, "price": float(at)}], np.array([[1, at / 20]], np.float32))
    time.sleep(0.05)
    stop.set()
    for one in threads:
        one.join()
    assert odd == []
    assert count[0] > 0


WRITER = """
import sys
import numpy as np
from tests.catalogue.conftest import made
from serendip.catalogue import Catalogue
live = Catalogue.open(made(), sys.argv[1])
print("ready", flush=True)
for at in range(live.view.sequence, 10**6):
    live.upsert([{"item_id": 1000 + at, "price": float(at)}, {"item_id": 2_000_000 + at}], np.ones((2, 2)))
    print(at, flush=True)
"""


def test_killed_while_writing(bundle, live):
    """What was acknowledged is there, in order, and of what was not, all or nothing; and one can go on."""
    live.upsert([{"item_id": 1000, "price": 0.0}, {"item_id": 2_000_000}], np.ones((2, 2)))
    with subprocess.Popen([sys.executable, "-c", WRITER, str(live.path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "ready\n"
        writer.stdout.readline()
        time.sleep(random.Random(3).random() / 10)
        os.kill(writer.pid, signal.SIGKILL)
        said = [int(line) for line in writer.stdout.read().split()]
    view = Catalogue.open(bundle, live.path).view
    assert view.sequence > max(said, default=0) >= 1
    live.upsert([{"item_id": 1000 + view.sequence}, {"item_id": 2_000_000 + view.sequence}])
    came = live.view.items.filter(pl.col("item_id") >= 1000)["item_id"].to_list()
    assert came == [one for at in range(view.sequence + 1) for one in (1000 + at, 2_000_000 + at)]
