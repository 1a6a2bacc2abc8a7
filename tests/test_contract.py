"""Every model keeps the contract; and every clause of the contract notices a model that does not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import pytest
from scipy.sparse import csr_array

from serendip.checks import Check, check, checks_for
from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run, find, names
from serendip.models.ials import IALS
from serendip.scorers import Factors, ItemToItem, StaticScores
from serendip.space import OneOf, Range, declare
from serendip.types import Floats, Ids, Queries, Recs, Scorer

CASES = [(name, one) for name in names() for one in checks_for(name)]


@pytest.mark.parametrize(("name", "one"), CASES, ids=[f"{name}-{one.name}" for name, one in CASES])
def test_model_keeps_the_contract(name: str, one: Check) -> None:
    one.run(find(name))


OUTSIDE = '''
"""What is seen together, as one file that is not part of the package."""

from typing import Annotated

from msgspec import Meta
from scipy.sparse import csr_array

from serendip.model import Config, Model
from serendip.scorers import ItemToItem


class Options(Config, frozen=True):
    """Its options."""

    length: Annotated[int, Meta(ge=1, description="How many of the latest events count.")] = 30


class Together(Model):
    """Counts of users in common."""

    Config = Options
    summary = "Items that were seen together."
    source = "Counting"

    def learn(self, data, run):
        seen = data.matrix()
        together = csr_array(seen.T @ seen)
        together.setdiag(0)
        together.eliminate_zeros()
        return ItemToItem(together, length=self.config.length)
'''


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    package = tmp_path / "outside_sample"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "together.py").write_text(OUTSIDE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "outside_sample.together"
    for name in [name for name in sys.modules if name.startswith("outside_sample")]:
        del sys.modules[name]


def test_a_file_outside_the_package_is_listed_and_keeps_the_contract(
    outside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERENDIP_MODELS", outside)
    assert names()[-1] == outside
    assert check(outside) == [one.name for one in checks_for(outside)]


def test_checks_follow_from_what_a_model_can_do() -> None:
    claims = {name: {one.name for one in checks_for(name)} for name in ("popular", "ials", "item_knn", "svdpp")}
    assert "beats_popularity" not in claims["popular"]
    assert "similar_items_exclude_the_item" not in claims["popular"]
    assert {"beats_popularity", "similar_items_exclude_the_item", "vectors_rank_as_scores"} <= claims["ials"]
    assert "vectors_rank_as_scores" not in claims["item_knn"]
    assert "predictions_are_ratings" in claims["svdpp"]
    assert "predictions_are_ratings" not in claims["ials"]
    assert "beats_popularity" not in claims["svdpp"]
    assert all(one.claim.endswith(".") for name in claims for one in checks_for(name))


# --- models that break one clause each


class Options(Config, frozen=True):
    power: Annotated[float, msgspec.Meta(gt=0, le=2, description="Of the counts.")] = 1.0


class Honest(Model):
    """Counts of users in common."""

    Config = Options
    config: Options
    summary = "Items that were seen together."
    source = "Counting"

    def learn(self, data: Dataset, run: Run) -> Scorer:
        return ItemToItem(self.together(data))

    def together(self, data: Dataset) -> csr_array:
        seen = data.matrix()
        together = csr_array(seen.T @ seen)
        together.setdiag(0)
        together.eliminate_zeros()
        together.data **= np.float32(self.config.power)
        return together


@dataclass(frozen=True)
class Wrapped:
    """A scorer that passes on what another one says."""

    inner: Any

    @property
    def n_items(self) -> int:
        return int(self.inner.n_items)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        return np.asarray(self.inner.score(queries, items), np.float32)


class Silent(Honest):
    summary = ""


class Mute(Honest):
    """As the honest one, but its option is not described."""

    class Config(Config, frozen=True):
        power: float = 1.0


class Unfindable(Honest):
    __module__ = "no.such.module"


class Forgetful(Honest):
    class Config(Config, frozen=True):
        power: Annotated[float, msgspec.Meta(description="Written as null.")] = float("inf")


class Careless(Honest):
    def __init__(self, config: Config | None = None, **options: Any) -> None:
        super().__init__(Options())


class Vague(Honest):
    def __init__(self, config: Config | None = None, **options: Any) -> None:
        try:
            super().__init__(config, **options)
        except Exception as error:
            raise type(error)("something is wrong") from None


class Dreamer(Honest):
    space = declare(strength=Range(0, 1))


class Explorer(Honest):
    space = declare(power=Range(0.5, 3))


class Counter(Honest):
    space = declare(power=Range(1, 2, whole=True))


class Stranger(Honest):
    space = declare(power=OneOf((0.5, 2.0)))


class Pretender(Honest):
    predicts_ratings = True


class OnePerBatch(Honest):
    @dataclass(frozen=True)
    class Answers(Wrapped):
        def score(self, queries: Queries, items: Ids | None = None) -> Floats:
            scores = super().score(queries, items)
            return scores / np.float32(max(len(scores), 1))

    def learn(self, data: Dataset, run: Run) -> Scorer:
        return self.Answers(super().learn(data, run))


class Hoarder(Honest):
    kept: csr_array | int = 0

    def learn(self, data: Dataset, run: Run) -> Scorer:
        self.kept = csr_array(self.together(data) + self.kept)
        return ItemToItem(self.kept)


class Restless(Honest):
    def learn(self, data: Dataset, run: Run) -> Scorer:
        together = self.together(data)
        together.data += np.random.default_rng().random(len(together.data), np.float32)
        return ItemToItem(together)


class TwoMinds(Honest):
    def learn(self, data: Dataset, run: Run) -> Scorer:
        together = self.together(data)
        together.data *= np.float32(run.threads or 1)
        return ItemToItem(together)


class Distracted(Honest):
    def learn(self, data: Dataset, run: Run) -> Scorer:
        together = self.together(data)
        run.report(1, 2, lambda: ItemToItem(together))
        if run.look is not None:
            together.data *= np.float32(2)
        return ItemToItem(together)


class Meddler(Honest):
    def learn(self, data: Dataset, run: Run) -> Scorer:
        scorer = super().learn(data, run)
        data.events.weight.setflags(write=True)
        data.events.weight[0] += 1
        return scorer


class Scribbler(Honest):
    @dataclass(frozen=True)
    class Answers(Wrapped):
        def score(self, queries: Queries, items: Ids | None = None) -> Floats:
            scores = super().score(queries, items)
            queries.history[:, :1] = 0
            return scores

    def learn(self, data: Dataset, run: Run) -> Scorer:
        return self.Answers(super().learn(data, run))


class Guesser(Honest):
    @dataclass(frozen=True)
    class Answers(Wrapped):
        def score(self, queries: Queries, items: Ids | None = None) -> Floats:
            return super().score(queries, None if items is None else np.clip(items, 0, self.n_items - 1))

    def learn(self, data: Dataset, run: Run) -> Scorer:
        return self.Answers(super().learn(data, run))


class Generous(Honest):
    @dataclass(frozen=True)
    class Answers(Wrapped):
        def score(self, queries: Queries, items: Ids | None = None) -> Floats:
            scores = super().score(queries, items)
            empty = np.isneginf(scores).all(axis=1) if items is None else np.zeros(len(scores), bool)
            scores[empty] = 0
            return scores

    def learn(self, data: Dataset, run: Run) -> Scorer:
        return self.Answers(super().learn(data, run))


class Sorter(Honest):
    @dataclass(frozen=True)
    class Answers(Wrapped):
        def score(self, queries: Queries, items: Ids | None = None) -> Floats:
            return super().score(queries, None if items is None else np.sort(items, axis=-1))

    def learn(self, data: Dataset, run: Run) -> Scorer:
        return self.Answers(super().learn(data, run))


class Divider(Honest):
    @dataclass(frozen=True)
    class Answers(Wrapped):
        def score(self, queries: Queries, items: Ids | None = None) -> Floats:
            scores = super().score(queries, items)
            with np.errstate(invalid="ignore"):
                return scores - scores

    def learn(self, data: Dataset, run: Run) -> Scorer:
        return self.Answers(super().learn(data, run))


class Unready(Honest):
    def learn(self, data: Dataset, run: Run) -> Scorer:
        if len(data.events) < 2:
            raise ZeroDivisionError("no events")
        return super().learn(data, run)


class TwoFaced(Honest):
    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        return super().score(queries, items) + np.float32(1)


class Homeless(Honest):
    def learn(self, data: Dataset, run: Run) -> Scorer:
        return Wrapped(super().learn(data, run))


class Contrary(Honest):
    def learn(self, data: Dataset, run: Run) -> Scorer:
        apart = self.together(data).toarray() == 0
        return ItemToItem(csr_array(apart.astype(np.float32)))


class Inflated(Honest):
    @dataclass(frozen=True)
    class Answers(Wrapped):
        def item_vectors(self) -> Floats:
            return np.asarray(self.inner.item_vectors() * 2, np.float32)

        def query_vectors(self, queries: Queries) -> Floats:
            return np.asarray(self.inner.query_vectors(queries), np.float32)

    def learn(self, data: Dataset, run: Run) -> Scorer:
        vectors = np.random.default_rng(0).random((data.n_items, 3), np.float32)
        return self.Answers(Factors(vectors, 0.1, 0.1, 1.0))


class Narcissus(Honest):
    @dataclass(frozen=True)
    class Answers(Wrapped):
        def similar_items(self, items: Ids, k: int = 10) -> Recs:
            recs: Recs = self.inner.similar_items(items, k)
            named = recs.items.copy()
            named[:, 0] = items
            return replace(recs, items=named)

    def learn(self, data: Dataset, run: Run) -> Scorer:
        return self.Answers(super().learn(data, run))


class Echo(Honest):
    @dataclass(frozen=True)
    class Answers(Wrapped):
        def similar_items(self, items: Ids, k: int = 10) -> Recs:
            recs: Recs = self.inner.similar_items(items, k)
            return replace(recs, scores=np.where(recs.items == 2, np.float32(np.nan), recs.scores))

    def learn(self, data: Dataset, run: Run) -> Scorer:
        return self.Answers(super().learn(data, run))


class Brittle(Honest):
    def learn(self, data: Dataset, run: Run) -> Scorer:
        together = self.together(data)
        together.data[:] = np.where(self.config.power < 2, together.data, np.nan)
        return ItemToItem(together)


class Stubborn(Honest):
    def renew(self, known: Scorer, change: Change, run: Run) -> Scorer:
        return known


class Rater(Honest):
    """The mean with deviations, wrapped so that each of those below can spoil one thing."""

    personalised = False
    predicts_ratings = True

    @dataclass(frozen=True)
    class Answers(Wrapped):
        def predict(self, users: Ids, items: Ids, time: Any = None) -> Floats:
            return np.asarray(self.inner.predict(users, items, time), np.float32)

    def learn(self, data: Dataset, run: Run) -> Scorer:
        return self.Answers(find("baseline")().fit(data, run).lower())


class Averager(Rater):
    @dataclass(frozen=True)
    class Answers(Rater.Answers):
        def predict(self, users: Ids, items: Ids, time: Any = None) -> Floats:
            ratings = super().predict(users, items, time)
            return ratings if len(ratings) == 0 else (ratings + ratings.mean()) / 2


class Enthusiast(Rater):
    @dataclass(frozen=True)
    class Answers(Rater.Answers):
        def predict(self, users: Ids, items: Ids, time: Any = None) -> Floats:
            return super().predict(users, items, time) + np.float32(2)


class Turncoat(Rater):
    @dataclass(frozen=True)
    class Answers(Rater.Answers):
        def score(self, queries: Queries, items: Ids | None = None) -> Floats:
            return -super().score(queries, items)


class Wobbler(Rater):
    @dataclass(frozen=True)
    class Answers(Rater.Answers):
        def predict(self, users: Ids, items: Ids, time: Any = None) -> Floats:
            return super().predict(users, items, time) * np.float32(0.9)


class Grumbler(Rater):
    @dataclass(frozen=True)
    class Answers(Rater.Answers):
        def predict(self, users: Ids, items: Ids, time: Any = None) -> Floats:
            return np.full(len(users), self.inner.low, np.float32)


class Everybody(Honest):
    personalised = False

    def learn(self, data: Dataset, run: Run) -> Scorer:
        return StaticScores(np.full(data.n_items, -np.inf, np.float32))


class Amnesiac(Honest):
    """Begins anew where it was to go on."""

    learns_in_epochs = True

    def learn(self, data: Dataset, run: Run) -> Scorer:
        if run.checkpoint is not None:
            run.checkpoint.touch()
        return StaticScores(np.arange(data.n_items, dtype=np.float32) * (2 if run.resume else 1))


BROKEN: list[tuple[type[Model], str, str]] = [
    (Silent, "says_what_it_is", "summary must be a line of text. Got ''"),
    (Mute, "says_what_it_is", "the option power must be described"),
    (Unfindable, "is_found_by_its_name", "there is no model 'no.such.module'"),
    (Forgetful, "config_survives_json", "Expected `float`, got `null`"),
    (Careless, "bad_options_are_named", "no_such_option=1 must be refused with a SerendipError. It was accepted."),
    (Vague, "bad_options_are_named", "must name the option. Got: something is wrong"),
    (Dreamer, "search_space_is_accepted", r"the search space must name options \(power\). Got 'strength'"),
    (Explorer, "search_space_is_accepted", r"options of the search space must be accepted. Got {'power': 3.0}"),
    (Counter, "search_space_is_accepted", "the range of power must have whole=False: the option is float"),
    (Stranger, "search_space_is_accepted", "the search space of power must hold its default 1.0"),
    (Pretender, "says_whether_it_predicts_ratings", "predicts_ratings must be False. Got True"),
    (OnePerBatch, "batch_equals_single", "scores of a batch and of its queries one by one must agree to 1e-05"),
    (Hoarder, "refit_equals_fresh_fit", "scores after fitting again and after fitting afresh must be equal"),
    (Restless, "same_seed_same_result", "same seed on one thread must be equal to the last bit"),
    (TwoMinds, "same_seed_same_result", "on one thread and on two must agree to 0.001"),
    (Distracted, "looking_changes_nothing", "scores of a fit that was looked at and of one that was not must be equal"),
    (Meddler, "inputs_are_not_modified", "fit must not change the data"),
    (Scribbler, "inputs_are_not_modified", "score must not change the queries"),
    (Guesser, "unknown_codes_score_nothing", "codes outside 0 … 25 must score -inf"),
    (Generous, "empty_history_is_answered", "a personalised model must score -inf"),
    (Everybody, "empty_history_is_answered", "every item must have a finite score"),
    (Sorter, "items_argument_agrees", r"scores of items \[c\] and of all items must agree"),
    (Divider, "scores_are_numbers", "an odd log: scores must not be NaN"),
    (Unready, "scores_are_numbers", "it must not raise ZeroDivisionError. Got: no events"),
    (TwoFaced, "lowered_scorer_agrees", "scores of the model and of its lowered scorer must agree"),
    (Homeless, "dump_and_restore_keep_scores", "a bundle holds scorers of the kinds"),
    (Contrary, "beats_popularity", r"NDCG@10 on checkerboard must be above the 0\.\d+ of the most popular items"),
    (Inflated, "vectors_rank_as_scores", "inner products and scores must agree"),
    (Averager, "predictions_of_a_batch_equal_single", "ratings of a batch and of its pairs one by one must agree"),
    (Enthusiast, "predictions_are_ratings", r"an odd log: ratings must be in 1\.0 … 5\.0"),
    (Turncoat, "scores_are_predictions", "scores and predicted ratings must agree"),
    (Wobbler, "one_rating_throughout_is_predicted", r"where all ratings are 4 it must predict 4\. Got 3\.5999"),
    (Grumbler, "predicts_better_than_the_mean", r"RMSE on planted_factors must be below the \d\.\d+ of the mean"),
    (Echo, "every_answer_is_a_number", "an odd log: similar items must not be NaN"),
    (Brittle, "extreme_options_are_answered", r"an odd log with power=2\.0: scores must not be NaN"),
    (Stubborn, "updates_are_answered", r"n_items after an update must be 28\. Got 26\."),
    (Amnesiac, "goes_on_from_a_checkpoint", "went on and of one that was never cut off must be equal to the last bit"),
    (Amnesiac, "goes_on_from_another_fit", r"learned\(\) must give what the fit learned"),
    (Narcissus, "similar_items_exclude_the_item", "the items similar to 0 must not hold itself"),
]


def test_an_honest_model_passes() -> None:
    assert len(check(Honest)) == len(checks_for(Honest))


@pytest.mark.parametrize(("model", "name", "text"), BROKEN, ids=[f"{one[1]}-{one[0].__name__}" for one in BROKEN])
def test_the_clause_notices(model: type[Model], name: str, text: str) -> None:
    one = next(one for one in checks_for(model) if one.name == name)
    with pytest.raises(AssertionError, match=text):
        one.run(model)


def test_every_clause_has_a_model_that_breaks_it() -> None:
    clauses = {one.name for name in names() for one in checks_for(name)}
    assert {name for _, name, _ in BROKEN} == clauses


@pytest.mark.parametrize("name", ["checkerboard", "planted_factors", "markov"])
def test_a_model_may_name_another_synthetic_set(name: str) -> None:
    model = type("Elsewhere", (IALS,), {"synthetic": name, "__doc__": "As ials."})
    next(one for one in checks_for(model) if one.name == "beats_popularity").run(model)


def test_a_synthetic_set_must_exist() -> None:
    model = type("Nowhere", (IALS,), {"synthetic": "chessboard"})
    with pytest.raises(AssertionError, match=r"must name a function of .*synthetic\. Got 'chessboard'"):
        next(one for one in checks_for(model) if one.name == "beats_popularity").run(model)


def test_check_lists_all_failures() -> None:
    with pytest.raises(AssertionError) as caught:
        check(TwoFaced)
    text = str(caught.value)
    assert text.startswith("tests.test_contract:TwoFaced fails ")
    assert "- lowered_scorer_agrees: What goes into a bundle scores as the model does" in text
    assert "- batch_equals_single" not in text
