"""Training stopped where a part held out says so, on a log in which more epochs are known to be worse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serendip.bundle import Bundle
from serendip.checkpoint import read as read_checkpoint
from serendip.data.dataset import Dataset
from serendip.data.synthetic import World
from serendip.evaluate import evaluate
from serendip.model import Pace, Run, Start
from serendip.models.lightgcn import LightGCN
from serendip.recipe import Recipe, RecipeError, evaluate_recipe, read, run_recipe
from serendip.recipe.fitting import run_of
from serendip.recipe.learning import check_learning, narrowed, told, validation_file, worded
from serendip.recipe.splitting import splits_of
from serendip.types import SerendipError

LIGHT = ("model.name=lightgcn", "model.factors=8", "model.epochs=6", "model.schedule=constant", "run.threads=1")


def recipe(*overrides: str) -> Recipe:
    return read(None, [*LIGHT, *overrides])


class Heard:
    """A `Watch` that keeps what it is told."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.texts: list[str] = []

    @contextmanager
    def __call__(self, what: str) -> Iterator[Any]:
        self.names.append(what)
        yield lambda done, total, text=None: self.texts.append(text or "")


@pytest.fixture(scope="module")
def data(world: World) -> Dataset:
    return world.dataset()


def test_the_epoch_that_is_best_on_the_held_out_part_is_taken(data: Dataset) -> None:
    heard = Heard()
    said = recipe("fit.validate=ndcg@10", "fit.patience=2", "model.learning_rate=0.1", "pipeline.fallback=[]")
    bundle = run_recipe(said, data=data, watch=heard)
    split = splits_of(said.evaluate, data, 0)[0]
    options = {key: value for key, value in said.model.options.items() if key != "epochs"}
    figures = [
        evaluate(LightGCN(**options, epochs=epochs).fit(split.train, Run(threads=1)), split, ("ndcg@10",)).mean(
            "ndcg@10"
        )
        for epochs in range(1, 7)
    ]
    best = 0
    for epoch, figure in enumerate(figures, 1):
        best = epoch if best == 0 or figure > figures[best - 1] else best
        if epoch - best >= 2:
            break
    assert any(f"Fitting lightgcn for {best} of" in name for name in heard.names)
    whole = LightGCN(**options, epochs=best).fit(data, Run(threads=1))
    asked = data.queries()
    found = bundle.pipeline(asked)
    expected = whole.score(asked)
    rows, places = np.nonzero(found.items >= 0)
    np.testing.assert_allclose(
        found.scores[rows, places], expected[rows, found.items[rows, places]], rtol=1e-5, atol=1e-6
    )


def test_the_test_part_is_never_looked_at(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    known = evaluate

    def noted(what: Any, split: Any, metrics: Any, **how: Any) -> Any:
        seen.append(split)
        return known(what, split, metrics, **how)

    monkeypatch.setattr("serendip.recipe.learning.evaluate", noted)
    said = recipe("fit.validate=ndcg@10", "model.epochs=2", "evaluate.compare=[]")
    evaluate_recipe(said, data=data)
    test = splits_of(said.evaluate, data, 0)[0]
    assert len(seen) == 2
    for split in seen:
        assert len(split.train.events) + len(split.test) <= len(test.train.events)


@pytest.mark.parametrize("metric", ["gini@10", "auc", "coverage@5"])
def test_any_figure_will_do(data: Dataset, metric: str, tmp_path: Path) -> None:
    said = recipe(f"fit.validate={metric}", "model.epochs=2")
    path = tmp_path / "c"
    run_recipe(said, data=data, run=replace(run_of(said), checkpoint=path))
    best = read_checkpoint(validation_file(path)).best
    assert best is not None and np.isfinite(best)


def test_less_is_better_where_it_is(data: Dataset, tmp_path: Path) -> None:
    said = recipe("fit.validate=gini@10", "model.epochs=3", "model.learning_rate=0.1")
    path = tmp_path / "c"
    run_recipe(said, data=data, run=replace(run_of(said), checkpoint=path))
    best = read_checkpoint(validation_file(path)).best
    assert best is not None and best < 0


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["fit.patience=3"], r"fit\.patience must come with fit\.validate"),
        (["fit.validate=ndcg@10", 'model="ease"'], r"must go with a model that learns in epochs.* ease does not"),
        (["fit.validate=ndgc@10"], "Did you mean 'ndcg'"),
        (
            ["model.schedule=plateau"],
            r"lightgcn: schedule = plateau must come with fit\.validate, .* --set fit\.validate=",
        ),
        (
            ['evaluate.compare=[{name="fm", schedule="plateau"}]'],
            r"fm: schedule = plateau must come with fit\.validate",
        ),
        (['model="ials"', 'pipeline.rank={name="fm", schedule="plateau"}'], "fm: schedule = plateau must come with"),
        (["fit.validate=logloss"], "fit.validate = logloss judges what a model foretells of labels, and lightgcn"),
        (["fit.patience=0"], "fit.patience must be a whole number ≥ 1"),
        (["run.device=3"], "run.device must be text"),
    ],
)
def test_what_does_not_go_together_is_refused(data: Dataset, overrides: list[str], text: str) -> None:
    with pytest.raises(RecipeError, match=text):
        run_recipe(read(None, [*(LIGHT if "ease" not in str(overrides) else ()), *overrides]), data=data)


def test_a_device_that_is_not_there(data: Dataset) -> None:
    with pytest.raises(SerendipError, match=r"device must be one that PyTorch has here\. Got 'nowhere' instead"):
        run_recipe(recipe("run.device=nowhere"), data=data)


def test_a_search_goes_on_where_it_was(data: Dataset, tmp_path: Path) -> None:
    said = recipe("fit.validate=ndcg@10", "fit.patience=2")
    path = tmp_path / "c"
    run = replace(run_of(said), checkpoint=path, resume=True)
    first = run_recipe(said, data=data, run=run)
    assert path.exists() and validation_file(path).exists()
    heard = Heard()
    again = run_recipe(said, data=data, run=run, watch=heard)
    assert not any(heard.texts)  # no step was made
    assert again.manifest.version == first.manifest.version
    assert isinstance(first, Bundle)


def test_more_epochs_that_bring_nothing_better_do_not_ask_for_another_fit(data: Dataset, tmp_path: Path) -> None:
    def gone_on(epochs: int) -> Bundle:
        said = recipe(
            "fit.validate=ndcg@10", "model.schedule=plateau", "model.learning_rate=0.1", f"model.epochs={epochs}"
        )
        return run_recipe(said, data=data, run=replace(run_of(said), checkpoint=path, resume=True))

    path = tmp_path / "c"
    first = gone_on(6)
    search = read_checkpoint(validation_file(path))
    assert search.best_epoch < 6 and search.falls[-1] == 6  # epochs came after the best
    again = gone_on(8)
    assert read_checkpoint(validation_file(path)).best_epoch == search.best_epoch
    asked = data.queries()
    np.testing.assert_array_equal(again.pipeline(asked).scores, first.pipeline(asked).scores)


def test_a_start_is_narrowed_to_a_part(data: Dataset) -> None:
    part = data.where(data.events.users % 3 > 0)
    users, items = np.arange(data.n_users, dtype=np.int32) + 7, np.arange(data.n_items, dtype=np.int32) + 9
    found = narrowed(Start("m", {}, users, items), data, part)
    assert (found.users == data.user_ids.encode(part.user_ids.ids) + 7).all()
    assert (found.items == data.item_ids.encode(part.item_ids.ids) + 9).all()


def test_how_it_is_said() -> None:
    assert worded(Pace(3, 20, 0.1, 0.43216, 123456.7, 42.4)) == (
        "epoch 3 of 20, loss 0.4322, 123,457 examples/s, 0:42 left at most"
    )
    assert worded(Pace(1, 2, 0, 1, 10, None)) == "epoch 1 of 2, loss 1.0000, 10 examples/s"
    assert worded(Pace(1, 2, 0, 1, 10, 4000)).endswith("1:06:40 left at most")
    seen: list[tuple[int, int, str | None]] = []
    over: list[int] = []
    run = told(
        Run(), lambda done, total, text=None: seen.append((done, total, text)), "Fitting it", lambda: over.append(1)
    )
    assert run.pace is not None
    run.pace(Pace(1, 2, 0.25, 1, 10, None))
    run.report(1, 2)
    run.pace(Pace(2, 2, 1, 1, 10, 0))
    assert not over, "the epoch is not reported yet: it may be judged first"
    run.report(2, 2)
    run.pace(Pace(2, 2, 1, 1, 10, 0))
    assert over == [1]
    assert seen == [
        (250, 1000, "Fitting it: epoch 1 of 2, loss 1.0000, 10 examples/s"),
        (1, 2, None),
        (1000, 1000, "Fitting it: epoch 2 of 2, loss 1.0000, 10 examples/s"),
        (2, 2, None),
        (1000, 1000, "Fitting it: epoch 2 of 2, loss 1.0000, 10 examples/s; exporting"),
    ]


def test_exporting_is_a_step_of_its_own(data: Dataset) -> None:
    """Each step ends before the next one begins: a terminal shows one at a time."""
    told_of: list[str] = []

    @contextmanager
    def watch(what: str) -> Iterator[Any]:
        told_of.append(what)
        yield lambda done, total, text=None: None
        told_of.append("end")

    run_recipe(recipe("model.epochs=2", "fit.validate=ndcg@10", "pipeline.fallback=[]"), data=data, watch=watch)
    looked, fitted = "Looking for the best epoch of lightgcn by ndcg@10", "Fitting lightgcn for "
    assert [name if "Fitting" not in name else name[: len(fitted)] for name in told_of] == [
        *(looked, "end", "Exporting lightgcn", "end"),
        *(fitted, "end", "Exporting lightgcn", "end"),
        *("Building the bundle", "end"),
    ]


@pytest.mark.parametrize(("model", "learns"), [("ials", False), ("deepfm", False), ("mmoe", True)])
def test_rows_without_users_need_a_model_of_labels(model: str, learns: bool) -> None:
    said = read(overrides=["data.examples=census.parquet", "data.labels={rich='binary'}"], model=model)
    if learns:
        check_learning(said)
    else:
        with pytest.raises(RecipeError, match=rf"must learn its labels: .* {model} learns none as it is"):
            check_learning(said)
    if model == "deepfm":
        check_learning(read(overrides=["data.examples=census.parquet", "model.label=rich"], model=model))
