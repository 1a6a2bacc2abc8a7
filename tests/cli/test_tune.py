from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import typer

from serendip.cli.tune import duration

SMALL = ("--model", "ease", "--threads", "1")


def test_from_a_log_to_better_options_that_fit_and_evaluate_take(
    run: Any, data_flags: list[object], here: Path
) -> None:
    result = run("tune", *data_flags, *SMALL, "--trials", "8")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("ease: 8 trials (8 done) in ") and "Judged by ndcg@10 on a part held out" in lines[0]
    assert lines[1] == "The best trials"
    assert lines[2].split() == ["trial", "ndcg@10", "reg", "user_power", "reg_power", "popularity_power"]
    assert "best so far" in result.stderr and "Next: serendip evaluate out/tune/recipe.toml" in result.stderr
    folder = here / "out" / "tune"
    assert {path.name for path in folder.iterdir()} >= {"study.jsonl", "recipe.toml", "tuned.json", "tuned.html"}
    found = json.loads((folder / "tuned.json").read_text())
    assert lines[4].split()[1] == f"{found['value']:.4f}" and len(found["trials"]) == 8
    assert (folder / "tuned.html").read_text().startswith("<!doctype html>")

    validated = run("validate", folder / "recipe.toml")
    assert "error" not in validated.stdout.lower()
    run("evaluate", folder / "recipe.toml", "--set", 'evaluate.compare=["popular"]', "--quiet", "--out", "e.json")
    evaluated = json.loads((here / "e.json").read_text())
    assert "ease" in evaluated["models"]
    run("fit", folder / "recipe.toml", "--out", "out/b", "--quiet")
    kept = json.loads((here / "out" / "b" / "manifest.json").read_text())["recipe"]["model"]
    assert kept == {"name": "ease", **found["options"]}


def test_running_it_again_goes_on_where_it_was(run: Any, data_flags: list[object], here: Path) -> None:
    first = json.loads(run("tune", *data_flags, *SMALL, "--trials", "3", "--json").stdout)
    again = json.loads(run("tune", *data_flags, *SMALL, "--trials", "3", "--json").stdout)
    assert again == first and first["out"] == "out/tune"
    more = json.loads(run("tune", *data_flags, *SMALL, "--trials", "5", "--json").stdout)
    assert more["trials"][:3] == first["trials"] and len(more["trials"]) == 5
    other = run("tune", *data_flags, *SMALL, "--trials", "3", "--set", "tune.metric=recall@5", code=4)
    assert 'holds a study of something else: metric is "ndcg@10" there and "recall@5" here' in other.stderr


def test_a_recipe_of_the_users_is_not_written_over(run: Any, data_flags: list[object], here: Path) -> None:
    (here / "recipe.toml").write_text("# mine\n")
    result = run("tune", *data_flags, *SMALL, "--trials", "2", "--out", here, code=6)
    assert "would be written over. Try --out out/tune" in result.stderr
    assert (here / "recipe.toml").read_text() == "# mine\n"
    assert [path.name for path in here.iterdir()] == ["recipe.toml"]


def test_an_interruption_loses_nothing(run: Any, data_flags: list[object], here: Path, monkeypatch: Any) -> None:
    from serendip.models.ease import Ease

    learn, fits = Ease.learn, iter(range(100))

    def interrupted(self: Any, data: Any, run: Any) -> Any:
        if next(fits) == 2:
            raise KeyboardInterrupt
        return learn(self, data, run)

    monkeypatch.setattr(Ease, "learn", interrupted)
    result = run("tune", *data_flags, *SMALL, "--trials", "4", code=130)
    assert "What was tried so far is kept in out/tune: the same command goes on from there." in result.stderr
    found = json.loads(run("tune", *data_flags, *SMALL, "--trials", "4", "--json").stdout)
    assert len(found["trials"]) == 4 and next(fits) == 5  # two before, one cut off, two after


def test_a_time_and_a_space_of_ones_own(run: Any, data_flags: list[object], here: Path) -> None:
    space = ("--set", "tune.space.reg={low=1, high=10}", "--set", "model.user_power=0.25")
    result = run("tune", *data_flags, *SMALL, *space, "--trials", "400", "--time", "0.5s", "--json", "--out", "t")
    found = json.loads(result.stdout)
    assert found["stopped"] == "time" and 1 <= len(found["trials"]) < 400
    assert list(found["space"]) == ["reg"] and found["options"]["user_power"] == 0.25
    text = (here / "t" / "recipe.toml").read_text()
    assert "space = { reg = { low = 1, high = 10 } }" in text and "user_power = 0.25" in text


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("1d", 86400), (" 2 m ", 120)]
)
def test_times_are_written_as_people_write_them(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0", "0s", "-1m", "10 min", "1h30"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"must be a time such as 90s, 10m or 1\.5h"):
        duration(text)


def test_what_cannot_be_tuned(run: Any, data_flags: list[object], here: Path, monkeypatch: Any) -> None:
    assert "must be a time such as" in run("tune", *data_flags, "--time", "soon", code=2).stderr
    result = run("tune", *data_flags, "--model", "ensemble", code=4)
    assert "ensemble declares no search space (none)" in result.stderr
    result = run("tune", *data_flags, *SMALL, "--set", "tune.space.rge=[1, 2]", code=4)
    assert "ease has no option 'rge'. Did you mean 'reg'?" in result.stderr
    (here / "file").write_text("")
    assert "a directory must stand there" in run("tune", *data_flags, *SMALL, "--out", "file", code=6).stderr
    find = importlib.util.find_spec
    monkeypatch.setattr("serendip.cli.tune.find_spec", lambda name: None if name == "optuna" else find(name))
    result = run("tune", *data_flags, *SMALL, code=6)
    assert 'tune needs optuna. Try: pip install "serendip[tune]"' in result.stderr
