"""What every model must keep to: a function per clause, which raises an `AssertionError` that says what it expected."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.checks.cases import FEATURES_ONLY, NOTHING, everyone, known_answer, odd_log, tiny_logs
from serendip.evaluate.run import evaluate
from serendip.evaluate.split import last_out
from serendip.kernels.topk import top_k
from serendip.model import Model, Option, Run, describe, find, name_of
from serendip.scorers import dump, restore
from serendip.types import ABSENT, Embedder, Floats, Predictor, Queries, Scorer, SerendipError, Similar

TOLERANCE = 1e-5
THREADS_TOLERANCE = 1e-3
ONE = Run(seed=3, threads=1)

Kind = type[Model]


def says_what_it_is(model: Kind) -> None:
    """It has a summary, a source and a docstring, and every option a default and a description."""
    for attribute in ("summary", "source"):
        text = getattr(model, attribute)
        expect(isinstance(text, str) and text.strip() != "", f"{attribute} must be a line of text. Got {text!r}.")
        expect("\n" not in text, f"{attribute} must be one line. Got {text!r}.")
    expect(bool((model.__doc__ or "").strip()), f"the class {model.__qualname__} must have a docstring.")
    for option in describe(model):
        expect(option.doc != "", f"the option {option.name} must be described: Annotated[…, Meta(description=…)].")
        expect(option.default is not msgspec.NODEFAULT, f"the option {option.name} must have a default.")


def is_found_by_its_name(model: Kind) -> None:
    """`find` of its name gives the class."""
    found = find(name_of(model))
    expect(found is model, f"find({name_of(model)!r}) must give {model.__qualname__}. Got {found.__qualname__}.")


def config_survives_json(model: Kind) -> None:
    """The options written as JSON and read again are equal."""
    config = model().config
    again = msgspec.json.decode(msgspec.json.encode(config), type=model.Config)
    expect(again == config, f"the Config read back from JSON must equal what was written: {config}. Got {again}.")


def bad_options_are_named(model: Kind) -> None:
    """An unknown option, one of the wrong type and one out of bounds are refused by name."""
    cases: list[tuple[str, Any]] = [("no_such_option", 1)]
    for option in describe(model):
        cases.append((option.name, {"not": "a value"}))
        cases += [(option.name, value) for value in _outside(option)]
    for name, value in cases:
        try:
            model(**{name: value})
        except SerendipError as error:
            expect(name in str(error), f"the error about {name}={value!r} must name the option. Got: {error}")
        else:
            raise AssertionError(f"{name}={value!r} must be refused with a SerendipError. It was accepted.")


def says_whether_it_predicts_ratings(model: Kind) -> None:
    """Its ``predicts_ratings`` is true where what it learns predicts ratings, and only there."""
    predicts = isinstance(model().fit(odd_log(), ONE).lower(), Predictor)
    expect(model.predicts_ratings == predicts, f"predicts_ratings must be {predicts}. Got {model.predicts_ratings}.")


def batch_equals_single(model: Kind) -> None:
    """Many queries at once get the same scores as one after the other."""
    data = odd_log()
    fitted, queries = model().fit(data, ONE), everyone(data)
    together = fitted.score(queries)
    alone = np.concatenate([fitted.score(queries.take(slice(row, row + 1))) for row in range(len(queries))])
    close(together, alone, TOLERANCE, "scores of a batch and of its queries one by one")
    turned = fitted.score(queries.take(slice(None, None, -1)))
    close(together, turned[::-1], TOLERANCE, "scores of a batch and of the same batch in reverse")


def refit_equals_fresh_fit(model: Kind) -> None:
    """Nothing of an earlier fit remains in a later one."""
    first, second = odd_log(seed=1), odd_log()
    used = model().fit(first, ONE).fit(second, ONE)
    fresh = model().fit(second, ONE)
    queries = everyone(second)
    same(used.score(queries), fresh.score(queries), "scores after fitting again and after fitting afresh")


def same_seed_same_result(model: Kind) -> None:
    """With one thread bit for bit; with two as near as rounding allows."""
    data = odd_log()
    queries = everyone(data)
    once, again = (model().fit(data, ONE).score(queries) for _ in range(2))
    same(once, again, "scores of two fits with the same seed on one thread")
    two = model().fit(data, Run(seed=ONE.seed, threads=2)).score(queries)
    close(once, two, THREADS_TOLERANCE, "scores of fits with the same seed on one thread and on two")


def looking_changes_nothing(model: Kind) -> None:
    """What could answer before the fit is done scores every item, and asking for it leaves the fit as it was."""
    data = odd_log()
    queries = everyone(data)
    early: list[Floats] = []

    def look(done: int, total: int, make: Callable[[], Scorer]) -> None:
        early.append(make().score(queries))

    looked = model().fit(data, replace(ONE, look=look)).score(queries)
    same(looked, model().fit(data, ONE).score(queries), "scores of a fit that was looked at and of one that was not")
    for scores in early:
        shape = (len(queries), data.n_items)
        expect(scores.shape == shape, f"what answers before the fit is done must score {shape}. Got {scores.shape}.")


def inputs_are_not_modified(model: Kind) -> None:
    """Neither the data nor the queries nor the codes of items change."""
    data = odd_log()
    queries, items = everyone(data), np.array([1, ABSENT, 0, NOTHING], np.int32)
    before = {name: _digest(value) for name, value in (("data", data), ("queries", queries), ("items", items))}
    fitted = model().fit(data, ONE)
    expect(_digest(data) == before["data"], "fit must not change the data. It did.")
    fitted.score(queries, items)
    fitted.score(queries)
    scorer = fitted.lower()
    if isinstance(scorer, Similar):
        scorer.similar_items(items, 3)
    expect(_digest(data) == before["data"], "score must not change the data. It did.")
    expect(_digest(queries) == before["queries"], "score must not change the queries. It did.")
    expect(_digest(items) == before["items"], "score must not change the items asked for. It did.")


def unknown_codes_score_nothing(model: Kind) -> None:
    """Codes outside the vocabulary score ``-inf`` and count for nothing in a history; so do items without a trace."""
    data = odd_log()
    fitted, queries, n = model().fit(data, ONE), everyone(data), data.n_items
    outside = np.array([ABSENT, n, n + 7, np.iinfo(np.int32).max, np.iinfo(np.int32).min], np.int32)
    for items in (outside, np.repeat(outside[None], len(queries), axis=0)):
        scores = fitted.score(queries, items)
        expect(bool(np.isneginf(scores).all()), f"codes outside 0 … {n - 1} must score -inf. Got {scores[0]}.")
    if model.personalised:
        traceless = fitted.score(queries)[:, NOTHING]
        expect(bool(np.isneginf(traceless).all()), "an item with neither events nor features must score -inf.")
    plain = Queries.of([[0, 2, 4]])
    strange = Queries.of([[0, ABSENT, n, 2, NOTHING, n + 5, 4]])
    close(
        fitted.score(plain),
        fitted.score(strange),
        TOLERANCE,
        "scores for a history, and for the same with unknown items in between",
    )


def empty_history_is_answered(model: Kind) -> None:
    """Somebody of whom nothing is known gets ``-inf`` from a personalised model, and finite scores from any other."""
    data = odd_log()
    fitted = model().fit(data, ONE)
    cases = {
        "an empty history": Queries.of([[]]),
        "a history of blanks": Queries.of([[ABSENT, ABSENT]]),
        "a history of unknown items": Queries.of([[data.n_items, data.n_items + 1]]),
        "a user code out of range": Queries.of([[]], users=[data.n_users + 3]),
    }
    for what, queries in cases.items():
        scores = fitted.score(queries)
        expect(scores.shape == (1, data.n_items), f"{what}: scores must be [1, {data.n_items}]. Got {scores.shape}.")
        if model.personalised:
            expect(bool(np.isneginf(scores).all()), f"{what}: a personalised model must score -inf. Got {scores[0]}.")
        else:
            expect(bool(np.isfinite(scores).all()), f"{what}: every item must have a finite score. Got {scores[0]}.")
    nobody = fitted.score(Queries.of([]))
    expect(nobody.shape == (0, data.n_items), f"no queries must give [0, {data.n_items}]. Got {nobody.shape}.")


def items_argument_agrees(model: Kind) -> None:
    """Chosen items, the same for all or others for each query, get the scores that they have among all."""
    data = odd_log()
    fitted, queries = model().fit(data, ONE), everyone(data)
    full = fitted.score(queries)
    expect(full.dtype == np.float32, f"scores must be float32. Got {full.dtype}.")
    expect(full.shape == (len(queries), data.n_items), f"scores must be [q, n]. Got {full.shape}.")
    same = np.array([3, 0, 3, FEATURES_ONLY, 7], np.int32)
    close(fitted.score(queries, same), full[:, same], TOLERANCE, "scores of items [c] and of all items")
    each = np.random.default_rng(0).integers(0, data.n_items, (len(queries), 6)).astype(np.int32)
    chosen = np.take_along_axis(full, each, axis=1)
    close(fitted.score(queries, each), chosen, TOLERANCE, "scores of items [q, c] and of all items")
    none = fitted.score(queries, np.empty(0, np.int32))
    expect(none.shape == (len(queries), 0), f"no items must give [q, 0]. Got {none.shape}.")


def scores_are_numbers(model: Kind) -> None:
    """Never NaN, never infinite above, whatever the log; a log that cannot be learned from is refused with a reason."""
    for what, data in {"an odd log": odd_log(), **tiny_logs()}.items():
        try:
            scores = model().fit(data, ONE).score(everyone(data))
        except SerendipError as error:
            expect(what != "an odd log", f"{what} must be learned from. It was refused: {error}")
            continue
        expect(not bool(np.isnan(scores).any()), f"{what}: scores must not be NaN. Got some.")
        expect(not bool(np.isposinf(scores).any()), f"{what}: scores must be below infinity. Got some that are not.")


def lowered_scorer_agrees(model: Kind) -> None:
    """What goes into a bundle scores as the model does, and knows as many items."""
    data = odd_log()
    fitted, queries = model().fit(data, ONE), everyone(data)
    scorer = fitted.lower()
    expect(scorer.n_items == data.n_items, f"n_items must be {data.n_items}. Got {scorer.n_items}.")
    close(fitted.score(queries), scorer.score(queries), 1e-4, "scores of the model and of its lowered scorer")


def dump_and_restore_keep_scores(model: Kind) -> None:
    """A scorer written as tensors and JSON, and read again, scores the same."""
    data = odd_log()
    scorer, queries = model().fit(data, ONE).lower(), everyone(data)
    tensors, header = dump(scorer)
    copies = {name: np.frombuffer(value.tobytes(), value.dtype).reshape(value.shape) for name, value in tensors.items()}
    again = restore(copies, json.loads(json.dumps(header)))
    same(scorer.score(queries), again.score(queries), "scores before and after a dump")


def beats_popularity(model: Kind) -> None:
    """On its declared synthetic set, leaving the last event out, its lists are better than the most popular items."""
    split = last_out(known_answer(model.synthetic))
    popular = find("popular")().fit(split.train, ONE)
    means = [
        float(np.mean(evaluate(fitted, split, ("ndcg@10",)).values["ndcg@10"]))
        for fitted in (model().fit(split.train, ONE), popular)
    ]
    expect(
        means[0] > means[1],
        f"NDCG@10 on {model.synthetic} must be above the {means[1]:.4f} of the most popular items. Got {means[0]:.4f}.",
    )


def vectors_rank_as_scores(model: Kind) -> None:
    """The inner products of an embedder's vectors are its scores, and NaN rows its ``-inf``."""
    data = odd_log()
    scorer, queries = model().fit(data, ONE).lower(), everyone(data)
    assert isinstance(scorer, Embedder)
    asked, items = scorer.query_vectors(queries), scorer.item_vectors()
    expect(asked.dtype == items.dtype == np.float32, f"vectors must be float32. Got {asked.dtype}, {items.dtype}.")
    products = asked @ items.T
    scores = scorer.score(queries)
    close(np.where(np.isnan(products), -np.inf, products), scores, 1e-4, "inner products and scores")
    ranked = top_k(np.where(np.isnan(products), np.float32(-np.inf), products), 5).scores
    close(ranked, top_k(scores, 5).scores, 1e-4, "the best five by vectors and by scores")


def similar_items_exclude_the_item(model: Kind) -> None:
    """Lists of similar items hold neither the item itself nor any twice; a code without meaning gets an empty list."""
    data = odd_log()
    scorer, k = model().fit(data, ONE).lower(), 6
    assert isinstance(scorer, Similar)
    asked = np.array([*range(data.n_items), ABSENT, data.n_items], np.int32)
    recs = scorer.similar_items(asked, k)
    expect(recs.items.shape == (len(asked), k), f"similar_items must give [{len(asked)}, {k}]. Got {recs.items.shape}.")
    for item, row in zip(asked.tolist(), recs.items, strict=True):
        named = row[row != ABSENT]
        expect(item not in named, f"the items similar to {item} must not hold itself. Got {row}.")
        expect(len(np.unique(named)) == len(named), f"the items similar to {item} must be distinct. Got {row}.")
        expect(bool((row[: len(named)] != ABSENT).all()), f"{ABSENT} must stand on the right. Got {row}.")
        inside = bool(((named >= 0) & (named < data.n_items)).all())
        expect(inside, f"the items similar to {item} must be in the vocabulary. Got {row}.")
    expect(bool((recs.items[-2:] == ABSENT).all()), "codes outside the vocabulary must have no similar items.")
    expect(bool((recs.items[0] != ABSENT).any()), "an item that many share must have similar items. Got none.")


def _outside(option: Option) -> Iterator[Any]:
    """Values just past the bounds of an option."""
    whole = option.type.startswith("int")
    for bound in option.bounds.split(", ") if option.bounds else []:
        sign, _, text = bound.rpartition(" ")
        limit = float(text)
        step = {"≥": -1.0, ">": 0.0, "≤": 1.0, "<": 0.0}.get(sign)
        if step is not None:
            yield int(limit + step) if whole else limit + step


def _digest(value: Any) -> str:
    """A hash of all arrays and frames within a value."""
    hasher = hashlib.sha256()
    _feed(value, hasher.update)
    return hasher.hexdigest()


def _feed(value: Any, update: Callable[[bytes], None]) -> None:
    if isinstance(value, np.ndarray):
        update(str((value.dtype, value.shape)).encode())
        update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, pl.DataFrame | pl.Series):
        frame = value.to_frame() if isinstance(value, pl.Series) else value
        update(str(frame.schema).encode())
        update(frame.write_ipc(None).getvalue())
    elif isinstance(value, Mapping):
        for key in sorted(value):
            update(str(key).encode())
            _feed(value[key], update)
    elif is_dataclass(value):
        for field in fields(value):
            _feed(getattr(value, field.name), update)
    else:
        update(repr(value).encode())


def expect(holds: bool, text: str) -> None:
    """Raise an `AssertionError` with the text unless ``holds``."""
    if not holds:
        raise AssertionError(text)


def same(left: Floats, right: Floats, what: str) -> None:
    """Assert that scores are equal to the last bit."""
    expect(left.shape == right.shape, f"{what} must have one shape. Got {left.shape} and {right.shape}.")
    differ = ~((left == right) | (np.isnan(left) & np.isnan(right)))
    if bool(differ.any()):
        raise AssertionError(f"{what} must be equal to the last bit. {_first(left, right, differ)}")


def close(left: NDArray[Any], right: NDArray[Any], tolerance: float, what: str) -> None:
    """That two arrays agree, relative to the larger where that is above 1."""
    expect(left.shape == right.shape, f"{what} must have one shape. Got {left.shape} and {right.shape}.")
    with np.errstate(invalid="ignore"):
        scale = np.maximum(1, np.maximum(np.abs(left), np.abs(right)))
        differ = ~((left == right) | (np.abs(left - right) <= tolerance * scale))
    if bool(differ.any()):
        raise AssertionError(f"{what} must agree to {tolerance:g}. {_first(left, right, differ)}")


def _first(left: NDArray[Any], right: NDArray[Any], differ: NDArray[np.bool_]) -> str:
    place = tuple(int(index) for index in np.argwhere(differ)[0])
    return f"{int(differ.sum())} of {differ.size} do not; the first, at {place}: {left[place]} and {right[place]}."
