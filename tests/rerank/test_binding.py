"""What holds of every re-ranker, and options that cannot be used."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from serendip.rerank import (
    KINDS,
    Boost,
    Calibrate,
    Cap,
    Dpp,
    Explore,
    Mmr,
    Pin,
    Popularity,
    Repeat,
    Reranker,
    bind,
    checked,
)
from serendip.types import ABSENT, Recs, SerendipError, pack_mask, unpack_mask

from .shelves import Plain, Toy, Vectors, asked, lists, shelf

EVERY: list[Reranker] = [
    Mmr(weight=0.3, by="genres"),
    Mmr(order="relevance"),
    Dpp(weight=0.3, by="genres"),
    Dpp(order="relevance"),
    Cap(by="genres", most=1),
    Boost(by="price", weight=1),
    Boost(by="year", half_life=2, weight=1),
    Boost(fits="price > 1", weight=1),
    Pin(items=("e", "c", "nobody"), place=2),
    Calibrate(by="genres", weight=0.9),
    Popularity(weight=0.5),
    Popularity(quota=0.6),
    Repeat(),
    Repeat(policy="lower"),
    Repeat(policy="keep"),
    Explore(epsilon=0.7),
    Explore(policy="thompson", draws=20),
]
SHELF = shelf({"ials": Vectors(np.random.default_rng(3).normal(size=(6, 3))), "toy": Toy(range(6), [1] * 6)})


def some_lists(seed: int) -> Recs:
    """Lists of all lengths, also with equal scores."""
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(6)[: rng.integers(0, 7)] for _ in range(60)]
    scores = [-np.sort(-rng.integers(0, 4, len(row)).astype(float)) for row in rows]
    made = lists(*rows, scores=scores)
    tag = np.where(made.items == ABSENT, "", np.char.add("s", made.items.astype(str)))
    return replace(made, columns={"source": tag, "mark": made.items * 10}, notes=("a note",))


@pytest.mark.parametrize("options", EVERY, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("seed", [0, 1])
def test_none_loses_repeats_or_adds_an_item_that_it_must_not(options: Reranker, seed: int) -> None:
    rng = np.random.default_rng(seed)
    recs = some_lists(seed)
    q = len(recs)
    exclude = rng.integers(-1, 6, (q, 2)).astype(np.int32)
    allow = pack_mask(rng.random((q, 6)) < 0.8)
    may = unpack_mask(allow, 6)
    np.put_along_axis(
        may, np.maximum(exclude, 0), np.take_along_axis(may, np.maximum(exclude, 0), 1) & (exclude < 0), 1
    )
    recs = recs.keep((recs.items != ABSENT) & np.take_along_axis(may, np.maximum(recs.items, 0), axis=1))
    history = [rng.integers(0, 6, 3).tolist() for _ in range(q)]
    draw = rng.integers(0, 2**64, q, dtype=np.uint64)
    for k in (1, 3, 10):
        queries = replace(asked(history=history, k=k), exclude=exclude, allow=allow, draw=draw)
        found = bind(options, SHELF)(queries, recs)
        pins = [4, 2] if isinstance(options, Pin) else []
        for row in range(q):
            before = [code for code in recs.items[row].tolist() if code != ABSENT]
            after = [code for code in found.items[row].tolist() if code != ABSENT]
            assert len(set(after)) == len(after)
            assert may[row, after].all()
            added = {code for code in pins if may[row, code]}
            gone = set(history[row]) if options == Repeat() else set()
            assert set(after) == (set(before) | added) - gone
            for place, code in enumerate(after):  # each with its own columns
                if code in before:
                    was = before.index(code)
                    assert found.columns["mark"][row, place] == code * 10
                    assert found.scores[row, place] == recs.scores[row, was]
        assert found.notes[0] == "a note"
        assert (np.isfinite(found.scores) == (found.items != ABSENT)).all()


@pytest.mark.parametrize("options", EVERY, ids=lambda one: type(one).__name__)
def test_options_survive_json_and_hold_in_empty_batches(options: Reranker) -> None:
    assert msgspec.json.decode(msgspec.json.encode(options), type=Reranker) == options
    found = bind(options, SHELF)(replace(asked(0), draw=np.zeros(0, np.uint64)), Recs.empty(0, 3))
    assert len(found) == 0


def test_every_kind_has_its_own_name() -> None:
    assert {type(one) for one in EVERY} == set(KINDS.values())
    assert all(msgspec.to_builtins(one)["name"] in KINDS for one in EVERY)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Mmr(weight=2), r"mmr: Expected `float` <= 1.0 - at `\$.weight`"),
        (Dpp(weight=1), r"dpp: Expected `float` < 1.0"),
        (Cap(by="genres", most=0), r"cap: Expected `int` >= 1"),
        (
            Cap(by="genre"),
            "cap.by must be a column of the items: genres, maker.* Got 'genre' instead. Did you mean 'genre",
        ),
        (Cap(by="nested"), "cap.by must be a column of texts, numbers or dates, or of lists of them. Got 'nested'"),
        (Mmr(by="ealss"), "mmr.by must be a column of the items or a model of the pipeline: .*ease, ials. Got 'ealss'"),
        (Mmr(by="ease"), r"mmr.by must be a model that has vectors \(ials\) or a column of the items \(genres, "),
        (Boost(fits="price <"), "price <"),
        (Boost(fits="prise < 2"), "Did you mean 'price'"),
    ],
)
def test_what_cannot_be_used_is_said_with_what_there_is(options: Reranker, said: str) -> None:
    held = shelf({"ease": Plain([1] * 6, [1] * 6), "ials": Vectors(np.ones((6, 2)))})
    with pytest.raises(SerendipError, match=said):
        bind(options, held)


def test_by_default_items_are_compared_by_vectors_if_there_are_any() -> None:
    with pytest.raises(
        SerendipError, match=r"mmr.by must be given where no model .* \(genres, .* Got models without: ease"
    ):
        bind(Mmr(), shelf({"ease": Plain([1] * 6, [1] * 6)}))


def test_a_model_that_is_not_fitted_yet_is_taken_on_trust() -> None:
    for options in (Mmr(), Mmr(by="ials"), Explore(policy="thompson"), Explore(policy="thompson", scorer="ials")):
        bind(options, shelf({"ials": None}))


def test_what_explores_stands_last() -> None:
    with pytest.raises(SerendipError, match=r"explore must be the last re-ranker, .* Got cap behind it"):
        checked([Explore(), Cap(by="genres")])
    with pytest.raises(SerendipError, match="must be one of mmr, dpp, cap"):
        checked([{"name": "mmr"}])  # type: ignore[list-item]
