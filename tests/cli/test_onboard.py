from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_questions_follow_the_answers(run: Any, bundle: Path) -> None:
    first = json.loads(run("onboard", "-b", bundle, "-k", 3, "--json").stdout)
    assert [one["rank"] for one in first] == [1, 2, 3] and {"item_id", "title", "known", "gain"} <= set(first[0])
    a, b, _ = (one["item_id"] for one in first)
    flags = ["onboard", "-b", bundle, "-k", 2, "--liked", a, "--not-known", b, "--json"]
    after = [one["item_id"] for one in json.loads(run(*flags).stdout)]
    assert not {a, b} & set(after)
    assert "item_id" in run("onboard", "-b", bundle).stdout


def test_what_cannot_be_asked_is_said(run: Any, bundle: Path) -> None:
    few = run("onboard", "-b", bundle, "-k", 5, "--pool", 3)
    assert "3 questions instead of 5" in few.stderr
    for flags, code, said in (
        (["-k", 0], 2, "Invalid value for '-k'"),
        (["--pool", 0], 4, "Expected `int` >= 1"),
        (["--liked", "nothing-like-it"], 4, "must be among"),
        (["--filter", "prize < 3"], 4, "prize"),
    ):
        assert said in run("onboard", "-b", bundle, *flags, code=code).stderr
