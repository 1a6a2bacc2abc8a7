from __future__ import annotations

from pathlib import Path

import pytest

from serendip.data.fetch import alone
from serendip.space import OneOf, Range, declare
from serendip.tune.study import FILE, opened
from serendip.tune.tuned import Trial
from serendip.types import SerendipError

SPACE = declare(reg=Range(0.001, 10, log=True), k=Range(1, 9, whole=True), how=OneOf((None, "a", True)))
ABOUT = {"model": "toy", "space": {"reg": 1}}
FIRST = Trial(0, {"reg": 1.0, "k": 3, "how": None}, "done", 0.5, {2: 0.4, 3: 0.5}, 1.5)


def filled(folder: Path, n: int) -> list[Trial]:
    with opened(folder, ABOUT, SPACE, False, 0) as study:
        if not study.trials:
            study.tell(FIRST)
        while len(study.trials) < n:
            number, options = len(study.trials), study.ask()
            state = ("done", "pruned", "failed")[number % 3]
            value = -abs(options["k"] - 4.0)
            study.tell(
                Trial(
                    number,
                    options,
                    state,  # type: ignore[arg-type]
                    value if state == "done" else None,
                    {} if state == "failed" else {2: value},
                    0.25,
                    "no luck" if state == "failed" else "",
                )
            )
        return study.trials


def test_trials_are_read_as_they_were_told(tmp_path: Path) -> None:
    told = filled(tmp_path, 20)
    assert filled(tmp_path, 20) == told
    assert told[0] == FIRST
    assert {trial.state for trial in told} == {"done", "pruned", "failed"}
    assert all(type(trial.options["k"]) is int and trial.options["reg"] in SPACE["reg"] for trial in told)


def test_what_is_proposed_does_not_depend_on_where_a_search_was_cut(tmp_path: Path) -> None:
    whole = filled(tmp_path / "whole", 20)
    for cut in (1, 3, 12, 17):
        filled(tmp_path / "cut", cut)
        with opened(tmp_path / "cut", ABOUT, SPACE, False, 0) as study:
            study.ask()  # and the process ends
    assert filled(tmp_path / "cut", 20) == whole


def test_a_trial_that_is_forgotten_leaves_no_trace(tmp_path: Path) -> None:
    filled(tmp_path, 12)
    with opened(tmp_path, ABOUT, SPACE, False, 0) as study:
        options = study.ask()
        study.forget()
        study.forget()
        assert study.ask() == options
    assert len(filled(tmp_path, 12)) == 12


def test_a_first_trial_that_lacks_an_option_does_not_keep_it_from_being_learnt() -> None:
    def proposals(first: dict[str, float]) -> list[float]:
        with opened(None, ABOUT, SPACE, False, 0) as study:
            study.tell(Trial(0, first, "done", 0.0, {}, 1.0))
            for number in range(1, 40):
                options = study.ask()
                study.tell(Trial(number, options, "done", -abs(options["k"] - 7.0), {}, 1.0))
            return [trial.options["k"] for trial in study.trials[20:]]

    assert sum(6 <= k <= 8 for k in proposals({"reg": 1.0})) > 12


def test_a_damaged_study_is_refused(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    path = tmp_path / FILE
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "not json", *lines[1:]]) + "\n")
    with pytest.raises(SerendipError, match=r"study\.jsonl is damaged, or no study of Serendip: .*Try another folder"):
        filled(tmp_path, 3)


def test_a_study_that_is_open_elsewhere_is_left_alone(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    with (
        alone(tmp_path, ""),
        pytest.raises(
            SerendipError, match=r"is being tuned in by another process\. Wait for it, or try another folder"
        ),
    ):
        filled(tmp_path, 3)
    assert len(filled(tmp_path, 3)) == 3


def test_optuna_says_nothing(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    import optuna

    before = optuna.logging.get_verbosity()
    filled(tmp_path, 3)
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == before
