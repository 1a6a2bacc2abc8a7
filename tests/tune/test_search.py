from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from serendip.data.dataset import Dataset
from serendip.data.synthetic import planted_factors
from serendip.evaluate import evaluate, evaluate_ratings, last_out, per_user
from serendip.model import Run, find
from serendip.tune import Trial, Tuned, judge, tune
from serendip.types import SerendipError
from tests.tune.toys import BEST, Fragile, Planted, Stepwise, Ticking, log

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def data() -> Dataset:
    return log()


def essence(trials: tuple[Trial, ...]) -> list[Any]:
    """What of trials does not depend on the machine."""
    return [(trial.number, dict(trial.options), trial.state, trial.value, dict(trial.looks)) for trial in trials]


def test_the_planted_optimum_is_found(data: Dataset) -> None:
    found = tune(Planted, data, trials=30, threads=1)
    assert found.options["how"] == "well"
    assert BEST / 4 < found.options["reg"] < BEST * 4  # of five orders of magnitude
    assert found.trials[0].options == {"reg": 1.0, "how": "badly"}  # the defaults come first
    assert found.start is not None and found.value > found.start + 0.02
    assert found.value == max(trial.value for trial in found.trials if trial.value is not None)
    assert found.stopped == "trials" and len(found.trials) == 30 and found.path is None


def test_the_value_is_the_figure_of_a_model_with_the_options_that_were_found(data: Dataset) -> None:
    found = tune(Planted, data, trials=6, metric="recall@5", threads=1)
    split = last_out(data)
    model = Planted(**found.options).fit(split.train)
    assert found.value == pytest.approx(evaluate(model, split, ("recall@5",)).mean("recall@5"), rel=1e-12)
    assert split.description in found.rule and "recall@5" in found.rule


def test_the_same_seed_makes_the_same_trials_and_another_one_others(data: Dataset) -> None:
    once, again = (essence(tune(Planted, data, trials=14, seed=5, threads=1).trials) for _ in range(2))
    assert once == again
    other = essence(tune(Planted, data, trials=14, seed=6, threads=1).trials)
    assert [trial[1] for trial in other[1:]] != [trial[1] for trial in once[1:]]


def test_given_options_are_held_fixed_and_searched_ones_begin_with_them(data: Dataset) -> None:
    found = tune(Planted, data, options={"how": "well"}, trials=4, threads=1)
    assert set(found.space) == {"reg"} and found.options["how"] == "well" and found.fixed == {"how": "well"}
    found = tune(
        Planted, data, options={"how": "well", "reg": 0.5}, space={"reg": {"low": 0.1, "high": 1}}, trials=4, threads=1
    )
    assert found.trials[0].options == {"reg": 0.5}
    assert all(0.1 <= trial.options["reg"] <= 1 for trial in found.trials)
    assert found.options == {"how": "well", **found.best.options} and found.fixed == {"how": "well"}


def test_what_was_tried_before_is_not_fitted_again(data: Dataset) -> None:
    found = tune(Planted, data, space={"how": ["well", "badly"]}, trials=8, threads=1)
    fitted = [trial for trial in found.trials if trial.seconds > 0]
    assert len(fitted) == 2 and len(found.trials) == 8
    assert len({trial.value for trial in found.trials if trial.options["how"] == "well"}) == 1


def test_trials_that_are_behind_are_given_up(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "FIRST", 40)
    found = tune(Planted, data, trials=25, threads=1)
    pruned = [trial for trial in found.trials if trial.state == "pruned"]
    assert pruned and found.best.state == "done"
    for trial in pruned:
        assert list(trial.looks) == [2] and trial.value is None  # on 40 of 120 queries
        before = sorted(other.looks[2] for other in found.trials[: trial.number] if 2 in other.looks)
        assert len(before) >= 5 and trial.looks[2] < before[len(before) // 2]
    assert all(list(trial.looks) == [2, 3] for trial in found.trials if trial.state == "done")


def test_models_that_can_answer_before_they_are_done_are_looked_at_on_the_way(data: Dataset) -> None:
    found = tune(Stepwise, data, trials=20, threads=1)
    assert all(list(trial.looks) == [0, 1, 2] for trial in found.trials[:5])
    pruned = [trial for trial in found.trials if trial.state == "pruned"]
    assert pruned and all(list(trial.looks) in ([0], [0, 1]) for trial in pruned)


@pytest.mark.parametrize(("name", "passes"), [("ials", "iterations"), ("svdpp", "epochs"), ("biased_mf", "epochs")])
def test_what_is_looked_at_half_way_is_the_model_of_half_the_passes(name: str, passes: str) -> None:
    data = planted_factors(users=60, items=40).data
    queries = data.queries()
    early: dict[int, Any] = {}

    def look(done: int, total: int, make: Any) -> None:
        early[done] = make()

    find(name)(**{passes: 4, "factors": 6}).fit(data, Run(threads=1, look=look))
    half = find(name)(**{passes: 2, "factors": 6}).fit(data, Run(threads=1))
    assert list(early) == [1, 2, 3, 4]
    assert (early[2].score(queries) == half.score(queries)).all()


def test_the_time_budget_is_kept(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def search(durations: list[float], **options: Any) -> Tuned:
        monkeypatch.setattr(Ticking, "now", 0.0)
        monkeypatch.setattr(Ticking, "fits", 0)
        monkeypatch.setattr(Ticking, "durations", durations)
        return tune(Ticking, data, clock=lambda: Ticking.now, threads=1, **options)

    found = search([10], time_budget=65)
    assert len(found.trials) == 6 and found.stopped == "time" and Ticking.now == pytest.approx(60)
    assert found.seconds == pytest.approx(60)
    found = search([10, 10, 10, 100], time_budget=65)  # the fourth runs over, and is given up when the time is over
    assert len(found.trials) == 3 and Ticking.now <= 65 + 10
    assert found.stopped == "time" and all(trial.state == "done" for trial in found.trials)
    found = search([50, 1], time_budget=60.5)  # a first one that compiles says nothing of the others
    assert len(found.trials) == 11 and Ticking.now == pytest.approx(60)
    found = search([100], time_budget=1)  # without the first there would be nothing
    assert len(found.trials) == 1 and found.trials[0].state == "done"
    assert search([10], time_budget=1000, trials=3).stopped == "trials"


def test_time_spent_before_counts(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ticking, "now", 0.0)
    monkeypatch.setattr(Ticking, "durations", [10.0])
    settings: dict[str, Any] = {"folder": tmp_path, "clock": lambda: Ticking.now, "threads": 1}
    assert len(tune(Ticking, data, time_budget=35, **settings).trials) == 3
    monkeypatch.setattr(Ticking, "now", 1000.0)
    assert len(tune(Ticking, data, time_budget=35, **settings).trials) == 3
    assert Ticking.now == 1000
    assert len(tune(Ticking, data, time_budget=55, **settings).trials) == 5


KILLED = """
from tests.tune.toys import Planted, log
from serendip.tune import tune
tune(Planted, log(), options={{"pause": 0.06}}, trials=12, threads=1, folder={folder!r})
"""


def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(data: Dataset, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"options": {"pause": 0.06}, "trials": 12, "threads": 1}
    folder = tmp_path / "killed"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", KILLED.format(folder=str(folder))], env=env)
    study = folder / "study.jsonl"
    until = time.monotonic() + 60
    while (not study.exists() or study.read_text().count('"seconds"') < 4) and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    made = study.read_text().count('"seconds"')
    assert 4 <= made < 12
    with study.open("a") as file:
        file.write('{"op_code": 4, "wor')  # a line that was not written to its end
    seen: list[int] = []
    found = tune(Planted, data, folder=folder, progress=lambda done, total, best: seen.append(done), **settings)
    assert seen == list(range(made, 13)) or seen == list(range(made - 1, 13))  # the last one may not have been told
    whole = tune(Planted, data, options={"pause": 0.0}, trials=12, threads=1)
    assert essence(found.trials) == essence(whole.trials)


def test_a_finished_study_returns_at_once_and_more_trials_continue_it(data: Dataset, tmp_path: Path) -> None:
    first = tune(Ticking, data, trials=4, folder=tmp_path, threads=1)
    fits = Ticking.fits
    again = tune(Ticking, data, trials=4, folder=tmp_path, threads=1)
    assert Ticking.fits == fits and again.trials == first.trials and again.path == tmp_path / "study.jsonl"
    more = tune(Ticking, data, trials=7, folder=tmp_path, threads=1)
    assert Ticking.fits == fits + 3 and more.trials[:4] == first.trials
    assert essence(more.trials) == essence(tune(Ticking, data, trials=7, threads=1).trials)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "recall@10"}, 'metric is "ndcg@10" there and "recall@10" here'),
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"space": {"how": ["well", "badly"]}}, r'space is {"reg": {"low": 0.0001, .*} here'),
        ({"options": {"how": "well"}}, r'options is {} there and {"how": "well"} here'),
        ({"holdout": per_user}, "holdout is .*; the data are others"),
    ],
)
def test_a_study_of_something_else_is_refused(
    data: Dataset, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    tune(Planted, data, trials=1, folder=tmp_path, threads=1)
    with pytest.raises(SerendipError, match=f"{tmp_path} holds a study of something else: .*{message}.*Try another"):
        tune(Planted, data, trials=1, folder=tmp_path, threads=1, **change)


def test_other_data_are_refused(data: Dataset, tmp_path: Path) -> None:
    tune(Planted, data, trials=1, folder=tmp_path, threads=1)
    weight = data.events.weight.copy()
    weight[0] = 2
    other = replace(data, events=replace(data.events, weight=weight))
    with pytest.raises(SerendipError, match=r"the data are others\. Try another folder, or remove that one"):
        tune(Planted, other, trials=1, folder=tmp_path, threads=1)


def test_trials_that_fail_are_kept_with_their_reason(data: Dataset, tmp_path: Path) -> None:
    space = {"reg": {"low": 0.01, "high": 10, "log": True}}
    found = tune(Fragile, data, options={"reg": 0.3}, space=space, trials=16, folder=tmp_path, threads=1)
    failed = [trial for trial in found.trials if trial.state == "failed"]
    assert {trial.error.partition(" Got")[0] for trial in failed} == {
        "reg must be at most 0.5.",
        "There is not enough memory for this.",
    }
    assert all(trial.options["reg"] > 0.5 and trial.value is None for trial in failed)
    assert found.options["reg"] <= 0.5
    again = tune(Fragile, data, options={"reg": 0.3}, space=space, trials=16, folder=tmp_path, threads=1)
    assert again.trials == found.trials


def test_where_all_trials_fail_the_last_one_is_heard(data: Dataset) -> None:
    with pytest.raises(SerendipError, match=r"none of 3 trials could be judged\. The last one said: reg must be at mo"):
        tune(Fragile, data, space={"reg": {"low": 1, "high": 2}}, trials=3, threads=1)


def test_defects_are_not_taken_for_failures(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, data: Dataset, run: Run) -> Any:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(Planted, "learn", broken)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        tune(Planted, data, trials=3, threads=1)


def test_models_that_predict_ratings_are_tuned_by_rmse() -> None:
    data = planted_factors().data
    found = tune("baseline", data, trials=8, threads=1, holdout=lambda part: per_user(part, 0.2, seed=1))
    assert found.metric == "rmse" and found.minimise and found.start is not None
    assert found.value == min(trial.value for trial in found.trials if trial.value is not None) <= found.start
    split = per_user(data, 0.2, seed=1)
    model = find("baseline")(**found.options).fit(split.train)
    assert found.value == pytest.approx(evaluate_ratings(model, split).rmse, rel=1e-9)
    assert "Hold out a random 10% of all pairs" in tune("baseline", data, trials=1, threads=1).rule


def test_options_that_are_none_may_begin_a_search(data: Dataset) -> None:
    found = tune("ials", data, options={"factors": 4, "iterations": 2}, trials=13, threads=1)
    assert set(found.trials[0].options) == {"reg", "nu"}  # alpha0 follows from the data unless it is given
    assert all(set(trial.options) == {"alpha0", "reg", "nu"} for trial in found.trials[1:])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"trials": 0}, "trials must be a whole number, 1 or more. Got 0 instead"),
        ({"trials": "3"}, "trials must be a whole number, 1 or more. Got '3' instead"),
        ({"seed": -1}, "seed must be a whole number, 0 or more. Got -1 instead"),
        ({"time_budget": 0.0}, "time_budget must be above 0 seconds. Got 0.0 instead"),
        ({"metric": "coverage@10"}, r"metric must be one that says how right lists are.* Got 'coverage@10' instead"),
        ({"metric": "ndgc@10"}, "Did you mean 'ndcg'"),
        ({"metric": "rmse"}, "rmse judges predicted ratings, and this model ranks items. Try ndcg@10"),
        ({"options": {"rge": 1}}, "has no option 'rge'. Did you mean 'reg'"),
        ({"space": {"rge": [1, 2]}}, "space: .* has no option 'rge'. Did you mean 'reg'"),
        ({"space": {"reg": {"low": -1, "high": 2}}}, "reg must be float > 0. Got -1.0 instead"),
        ({"space": {"how": ["well", "fast"]}}, "how must be .*Got 'fast' instead"),
        ({"space": {"reg": 3}}, "the search space of reg must be a range"),
        ({"space": {}}, "space must name at least one option"),
        ({"options": {"reg": 1.0, "how": "well"}}, r"declares a space of options that are all given \(reg, how\)"),
    ],
)
def test_what_cannot_be_searched_is_refused(data: Dataset, call: dict[str, Any], message: str) -> None:
    with pytest.raises(SerendipError, match=message):
        tune(Planted, data, threads=1, **call)


@pytest.mark.parametrize("call", [{"options": {"schedule": "plateau"}}, {"space": {"schedule": ["cosine", "plateau"]}}])
def test_a_plateau_is_refused_before_anything_is_tried(data: Dataset, call: dict[str, Any]) -> None:
    with pytest.raises(SerendipError, match=r"^fm: schedule = plateau needs a validation within the fit.*Try schedule"):
        tune("fm", data, threads=1, **call)


def test_what_is_no_data_set_is_refused() -> None:
    with pytest.raises(SerendipError, match=r"data must be a Dataset\. Got list instead\. Try: serendip\.Dataset"):
        tune(Planted, [], threads=1)  # type: ignore[arg-type]


def test_a_model_without_a_space_says_so(data: Dataset) -> None:
    with pytest.raises(SerendipError, match=r"ensemble declares no search space \(none\). Try naming what to search"):
        tune("ensemble", data, threads=1)


def test_without_optuna_it_says_what_to_install(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "serendip.tune.study", raising=False)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SerendipError, match=r'tune needs optuna. Try: pip install "serendip\[tune\]"'):
        tune(Planted, data, threads=1)


def test_a_result_as_json_and_as_a_table(data: Dataset) -> None:
    found = tune(Fragile, data, trials=9, threads=1, options={"how": "well"})
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["options"] == found.options and plain["value"] == found.value and plain["fixed"] == {"how": "well"}
    assert plain["space"] == {"reg": {"low": 0.0001, "high": 10.0, "log": True}}
    assert [trial["state"] for trial in plain["trials"]] == [trial.state for trial in found.trials]
    table = found.table()
    assert table.columns == ["trial", "state", "ndcg@10", "seconds", "reg", "error"]
    assert table["trial"].to_list() == list(range(9))
    assert table["ndcg@10"].drop_nulls().max() == found.value
