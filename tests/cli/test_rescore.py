"""Another score over the tasks of a bundle, beside it or in its place, without a fit; what is none is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from serendip.bundle import Bundle
from serendip.data.dataset import Dataset
from serendip.model import Run, find
from serendip.pipeline import retrieve


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a, b and c everybody clicks on a, buys b, and does nothing with c."""
    done = {"a": (1, 0), "b": (0, 1), "c": (0, 0)}
    rows = [(user, item, *done[item]) for user in range(30) for item in "abc"]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "clicked", "bought"], orient="row")
    data = Dataset.from_frames(events, labels={"clicked": "binary", "bought": "binary"})
    model = find("shared_bottom")(factors=4, hidden=8, layers=1, epochs=40, learning_rate=0.03, score="clicked")
    stage = retrieve(model.fit(data, Run(threads=1)).lower(), name="shared_bottom")
    recipe = {"model": {"name": "shared_bottom", "score": "clicked"}}
    return Bundle.build(data, stage, recipe=recipe, evaluation={"auc": 0.9}).save(
        tmp_path_factory.mktemp("tasks") / "bundle"
    )


def best(run: Any, bundle: object) -> str:
    """What somebody new, who knows c, is named first."""
    (one,) = json.loads(run("recommend", "--bundle", bundle, "--history", "c", "-k", 1, "--json").stdout)
    return str(one["item_id"])


def test_it_is_written_beside_the_bundle_which_stays(run: Any, tasks: Path) -> None:
    before = Bundle.load(tasks).manifest
    told = run("rescore", "--bundle", tasks, "--score", "bought - clicked", "--out", "sales")
    assert "sales: the score is bought - clicked, version" in told.stdout
    assert (best(run, tasks), best(run, "sales")) == ("a", "b")
    assert Bundle.load(tasks).manifest == before
    after = Bundle.load("sales").manifest
    assert after.version != before.version and after.recipe["model"]["score"] == "bought - clicked"
    assert before.evaluation == {"auc": 0.9} and after.evaluation == {}, "figures were of another score"


def test_left_out_it_takes_the_place_of_the_bundle(run: Any, tasks: Path, here: Path) -> None:
    """That of the verbs is found without its name, and what it foretells stays as it was."""
    made = Bundle.load(tasks)
    made.save(here / "out" / "bundle")
    said = json.loads(run("rescore", "-s", "10 * bought + clicked", "--json").stdout)
    assert said["bundle"] == "out/bundle" and said["score"] == "10 * bought + clicked"
    assert best(run, "out/bundle") == "b"
    again = Bundle.load(here / "out" / "bundle")
    columns = ["item_id", "task", "foretold"]
    asked: Any = {"users": None, "items": ["a", "b"], "history": ["c"]}
    assert again.foretold(**asked).select(columns).equals(made.foretold(**asked).select(columns))
    score, clicked, bought = again.foretold(**asked)["score"][0], *again.foretold(**asked)["foretold"][:2]
    assert score == pytest.approx(10 * bought + clicked, rel=1e-5)
    run("rescore", "--name", "shared_bottom", "-s", "clicked")
    assert best(run, "out/bundle") == "a"


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("clicked * hide", "character 11: there is no task 'hide'"),
        ("clickd", "there is no task 'clickd'. Did you mean 'clicked'? Known: clicked, bought"),
        ("clicked / 0", "the divisor must not be 0"),
        ("clicked / (3 - 3)", "the divisor must not be 0"),
        ("3", "must read at least one task"),
        ("clicked +", "character"),
        ("", "Got an empty text"),
    ],
)
def test_what_is_no_formula_over_the_tasks_is_refused_and_nothing_is_written(
    run: Any, tasks: Path, here: Path, formula: str, said: str
) -> None:
    result = run("rescore", "--bundle", tasks, "--score", formula, "--out", "other", code=4)
    assert said in " ".join(result.stderr.split())
    assert list(here.iterdir()) == []


def test_a_bundle_without_tasks_or_that_is_not_there(run: Any, tasks: Path, bundle: Path, here: Path) -> None:
    told = " ".join(run("rescore", "--bundle", bundle, "--score", "clicked", "--out", "other", code=5).stderr.split())
    assert "A formula must be for a scorer of several tasks" in told and "Try a bundle of mmoe, esmm or joint" in told
    told = run("rescore", "--bundle", tasks, "--score", "clicked", "--name", "popular", "--out", "other", code=5).stderr
    assert "those of several tasks are: shared_bottom" in " ".join(told.split())
    assert "There is no bundle in" in run("rescore", "--score", "clicked", code=5).stderr
    (here / "file").write_text("")
    run("rescore", "--bundle", tasks, "--score", "clicked", "--out", "file/other", code=6)
