"""What every model must keep to at the edges: options at their bounds, and logs that grew, as in `contract`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.checks.cases import everyone, later, odd_log, tiny_logs
from serendip.checks.contract import ONE, Kind, expect
from serendip.data.dataset import Dataset
from serendip.model import Option, describe
from serendip.types import ABSENT, Explainer, Predictor, Recs, Scorer, SerendipError, Similar, SimilarUsers

LARGE = 64
"""Of whole numbers: more than the odd log has users or items."""
HUGE = 1e9
TINY = 1e-9
PASSES = ("epochs", "iterations", "burn_in")
"""Options that say how long a fit takes: one will do here."""
DEPTHS = ("blocks", "layers", "bottom_layers", "attentions", "crosses", "levels")
"""Options that say how many layers a network has: one will do while another option is at its bounds."""


def every_answer_is_a_number(model: Kind) -> None:
    """Whatever the log, all that can be asked is answered by numbers: ratings, what is similar, explanations."""
    for what, data in {"an odd log": odd_log(), **tiny_logs()}.items():
        try:
            scorer = model(**_short(model)).fit(data, ONE).lower()
        except SerendipError:
            continue
        _sound(scorer, data, what)


def extreme_options_are_answered(model: Kind) -> None:
    """With any option at its bounds answers are numbers all the same, or the option is refused with a reason.

    Models that learn in epochs are asked with an odd log, one event and none in turn, not with all: a fit and what
    answers for it take them longer than the others. Bounds that are what an option is anyway are asked for once.
    """
    tiny, few = tiny_logs(), {**_short(model), **_ones(model, DEPTHS)}
    logs = [("an odd log", odd_log()), *((name, tiny[name]) for name in ("one event", "no event"))]
    asked = [(option, value) for option in describe(model) for value in _extremes(option)]
    done: set[tuple[str, str]] = set()
    for place, (option, value) in enumerate(asked):
        for name, data in [logs[place % 3]] if model.learns_in_epochs else logs:
            what = f"{name} with {option.name}={value!r}"
            try:
                made = model(**{**few, option.name: value})
                if (name, repr(made.config)) in done:
                    continue
                done.add((name, repr(made.config)))
                scorer = made.fit(data, ONE).lower()
            except SerendipError:
                continue
            except Exception as error:
                raise AssertionError(f"{what}: it must not raise {type(error).__name__}. Got: {error}") from error
            _sound(scorer, data, what)


def updates_are_answered(model: Kind) -> None:
    """After new events, users and items answers are numbers for all of them, and the model is as it was before."""
    change = later()
    data = odd_log()
    fitted = model().fit(data, ONE)
    before = fitted.score(everyone(data))
    scorer = fitted.update(change, ONE).lower()
    n = change.after.n_items
    expect(scorer.n_items == n, f"n_items after an update must be {n}. Got {scorer.n_items}.")
    _sound(scorer, change.after, "an update")
    expect(
        np.array_equal(fitted.score(everyone(data)), before), "an update must leave the model as it was. It did not."
    )


def _sound(scorer: Scorer, data: Dataset, what: str) -> None:
    """That nothing the scorer says is NaN, or infinite above."""
    queries, n = everyone(data), data.n_items
    codes = np.array([*range(n), ABSENT, n], np.int32)
    _numbers(scorer.score(queries), f"{what}: scores")
    if isinstance(scorer, Predictor):
        users = np.array([*range(data.n_users), ABSENT, data.n_users], np.int32)
        ratings = scorer.predict(np.repeat(users, len(codes)), np.tile(codes, len(users)))
        expect(bool(np.isfinite(ratings).all()), f"{what}: predicted ratings must be finite. Some were not.")
    for k in (1, n + 3):
        if isinstance(scorer, Similar):
            _listed(scorer.similar_items(codes, k), (len(codes), k), f"{what}: similar items")
        if isinstance(scorer, SimilarUsers):
            _listed(scorer.similar_users(queries, k), (len(queries), k), f"{what}: similar users")
        if isinstance(scorer, Explainer):
            asked = np.resize(codes, len(queries))
            _listed(scorer.explain(queries, asked, k), (len(queries), k), f"{what}: explanations")


def _listed(recs: Recs, shape: tuple[int, int], what: str) -> None:
    expect(recs.items.shape == shape, f"{what} must be {list(shape)}. Got {list(recs.items.shape)}.")
    _numbers(recs.scores, what)
    matches = bool((np.isneginf(recs.scores) == (recs.items == ABSENT)).all())
    expect(matches, f"{what} must score -inf where the list has ended, and only there. They did not.")


def _numbers(values: NDArray[np.floating], what: str) -> None:
    expect(not bool(np.isnan(values).any()), f"{what} must not be NaN. Got some.")
    expect(not bool(np.isposinf(values).any()), f"{what} must be below infinity. Got some that are not.")


def _short(model: Kind) -> dict[str, Any]:
    return _ones(model, PASSES)


def _ones(model: Kind, names: Sequence[str]) -> dict[str, Any]:
    """1 for those of these options that the model has."""
    return {option.name: 1 for option in describe(model) if option.name in names}


def _extremes(option: Option) -> Iterator[Any]:
    """Values at the bounds of an option, small and large where it has none, and each of those it may choose among."""
    kinds = option.type.split(" | ")
    if kinds[0] not in ("int", "float", "text", "true or false"):
        chosen = [kind for kind in kinds if kind.isidentifier()]
        yield from chosen if len(chosen) == len(kinds) > 1 else ()
    elif kinds[0] == "true or false":
        yield from (True, False)
    elif kinds[0] == "int":
        yield max(int(_least(option) or 0), 0)
        if option.name not in PASSES:
            yield int(min(_most(option) or LARGE, LARGE))
    elif kinds[0] == "float":
        least, most = _least(option), _most(option)
        yield -HUGE if least is None else least + (TINY if "> " in option.bounds else 0.0)
        yield HUGE if most is None else most - (TINY if "< " in option.bounds else 0.0)
    if "none" in kinds and kinds[0] in ("int", "float"):
        yield None


def _least(option: Option) -> float | None:
    return _bound(option, ("≥", ">"))


def _most(option: Option) -> float | None:
    return _bound(option, ("≤", "<"))


def _bound(option: Option, signs: tuple[str, ...]) -> float | None:
    for bound in option.bounds.split(", ") if option.bounds else []:
        sign, _, text = bound.rpartition(" ")
        if sign in signs:
            return float(text)
    return None
