"""The contract of a model as checks that anybody can run on theirs: ``check("their.package")``.

Which checks apply follows from what the model and its fitted scorer can do. Each raises an `AssertionError` that says
what was expected and what came.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from serendip.checks import bounds, contract, rating, searching, training
from serendip.checks.cases import odd_log
from serendip.model import Model, find, name_of
from serendip.types import Embedder, Predictor, Similar

_ALL = (
    contract.says_what_it_is,
    contract.is_found_by_its_name,
    contract.config_survives_json,
    contract.bad_options_are_named,
    searching.search_space_is_accepted,
    contract.says_whether_it_predicts_ratings,
    contract.batch_equals_single,
    contract.refit_equals_fresh_fit,
    contract.same_seed_same_result,
    contract.looking_changes_nothing,
    contract.inputs_are_not_modified,
    contract.unknown_codes_score_nothing,
    contract.empty_history_is_answered,
    contract.items_argument_agrees,
    contract.scores_are_numbers,
    contract.lowered_scorer_agrees,
    contract.dump_and_restore_keep_scores,
    bounds.every_answer_is_a_number,
    bounds.extreme_options_are_answered,
    bounds.updates_are_answered,
)
_PERSONALISED = (contract.beats_popularity,)
_PREDICTOR = (
    rating.predictions_of_a_batch_equal_single,
    rating.predictions_are_ratings,
    rating.scores_are_predictions,
    rating.one_rating_throughout_is_predicted,
    rating.predicts_better_than_the_mean,
)
_EMBEDDER = (contract.vectors_rank_as_scores,)
_EPOCHS = (training.goes_on_from_a_checkpoint, training.goes_on_from_another_fit)
_SIMILAR = (contract.similar_items_exclude_the_item,)


@dataclass(frozen=True, slots=True)
class Check:
    """One clause of the contract.

    Attributes:
        name: of the clause.
        claim: what it holds a model to.
        clause: the function that tries it.
    """

    name: str
    claim: str
    clause: Callable[[type[Model]], None]

    def run(self, model: type[Model]) -> None:
        """Try the clause.

        Raises:
            AssertionError: the model does not keep to it, with what was expected and what came.
        """
        try:
            self.clause(model)
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(f"it must not raise {type(error).__name__}. Got: {error}") from error


def checks_for(model: type[Model] | str) -> list[Check]:
    """The checks that apply to a model, by its class or the name that `find` takes."""
    kind = find(model) if isinstance(model, str) else model
    clauses = [*_ALL]
    try:
        scorer: object = kind().fit(odd_log(), contract.ONE).lower()
    except Exception:
        scorer = None  # the checks above say what is wrong with it
    if isinstance(scorer, Predictor):
        clauses += _PREDICTOR  # it is held to its ratings: to say who will like what is not to say who will take it up
    else:
        clauses += _PERSONALISED if kind.personalised else ()
    clauses += _EPOCHS if kind.learns_in_epochs else ()
    clauses += _EMBEDDER if isinstance(scorer, Embedder) else ()
    clauses += _SIMILAR if isinstance(scorer, Similar) else ()
    return [Check(clause.__name__, " ".join((clause.__doc__ or "").split()), clause) for clause in clauses]


def check(model: type[Model] | str) -> list[str]:
    """Run every check that applies.

    Returns:
        The names of the checks, all of which the model passed.

    Raises:
        AssertionError: naming each check that failed, with its claim and what came.
        SerendipError: there is no model of that name.
    """
    kind = find(model) if isinstance(model, str) else model
    checks = checks_for(kind)
    failures = []
    for one in checks:
        try:
            one.run(kind)
        except AssertionError as error:
            failures.append(f"- {one.name}: {one.claim}\n  {error}")
    if failures:
        listed = "\n".join(failures)
        raise AssertionError(f"{name_of(kind)} fails {len(failures)} of {len(checks)} checks:\n{listed}")
    return [one.name for one in checks]


__all__ = ["Check", "check", "checks_for"]
