"""Models that the loop trains: found without PyTorch, and clear about needing it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adagrad

from serendip.checks.cases import odd_log
from serendip.data.dataset import Dataset
from serendip.data.features.declared import Bucket
from serendip.data.synthetic import checkerboard
from serendip.evaluate import evaluate, last_out
from serendip.model import Run, Start
from serendip.models.lightgcn import LightGCN
from serendip.models.ngcf import NGCF
from serendip.models.two_tower import TwoTower
from serendip.neural import NeuralConfig, NeuralModel
from serendip.nn.embed import Table
from serendip.nn.rows import RowAdagrad, RowAdam
from serendip.nn.several import Several
from serendip.scorers import StaticScores
from serendip.types import ABSENT, Scorer, SerendipError
from serendip.warm import begin

WITHOUT = """
import os
import sys

asked = []  # whether threads are to sleep, each time that PyTorch is looked for

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            asked.append(os.environ.get("OMP_WAIT_POLICY"))
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Blocker())
from serendip.checks.cases import odd_log
from serendip.model import describe, find, names
from serendip.types import SerendipError

assert {"lightgcn", "ngcf"} <= set(names())
for name in ("lightgcn", "ngcf"):
    model = find(name)
    assert describe(model)
    try:
        model().fit(odd_log())
    except SerendipError as error:
        print(error)
    assert asked[-1] == "passive"
"""


def test_without_pytorch_models_are_found_and_fitting_says_what_is_missing() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{name} learns with PyTorch, which is not installed. Try pip install 'serendip[train]'."
        for name in ("lightgcn", "ngcf")
    ]


@pytest.mark.parametrize("name", ["lightgcn", "ngcf"])
def test_finding_a_model_does_not_import_pytorch(name: str) -> None:
    code = f"import sys; from serendip.model import find; find({name!r})(); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


DATA = odd_log()


class PairConfig(NeuralConfig, frozen=True):
    """Options of `Pairs`."""

    batch_size: int = 16
    sparse: bool = True


class Places(nn.Module):
    per_item = ("table.weight",)

    def __init__(self, items: int, sparse: bool) -> None:
        super().__init__()
        self.table = Table(items, 4, sparse=sparse)
        self.head = nn.Linear(4, 1)


class Pairs(NeuralModel):
    """Says of every item how often it occurs."""

    Config = PairConfig
    config: PairConfig
    summary = "a sample"
    source = "none"

    def build(self, data: Dataset) -> nn.Module:
        return Places(data.n_items, self.config.sparse)

    def batches(self, data: Dataset, rng: np.random.Generator) -> Iterator[dict[str, Tensor]]:
        for rows in np.array_split(rng.permutation(len(data.events)), 5):
            yield {"items": torch.from_numpy(data.events.items[rows].astype(np.int64))}

    def loss(self, net: Any, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {"loss": nn.functional.softplus(-net.head(net.table(batch["items"]))).mean()}

    def lowered(self, net: Any, data: Dataset) -> Scorer:
        scores = net.head(net.table.all()).squeeze(1)
        return StaticScores(scores.numpy().copy())


def scores(scorer: Scorer) -> np.ndarray:
    assert isinstance(scorer, StaticScores)
    return scorer.scores


@pytest.mark.parametrize("sparse", [True, False])
def test_tables_that_are_sparse_get_an_optimiser_of_rows(sparse: bool) -> None:
    model = Pairs(sparse=sparse, learning_rate=0.02)
    optimiser = model.optimiser(model.build(DATA))
    assert isinstance(optimiser, Several) == sparse
    if isinstance(optimiser, Several):
        assert isinstance(optimiser.parts[1], RowAdam)
    assert [group["lr"] for group in optimiser.param_groups] == [0.02] * (2 if sparse else 1)


def test_adagrad_of_rows_is_adagrad() -> None:
    options: dict[str, Any] = {"optimiser": "adagrad", "epochs": 3, "learning_rate": 0.1}
    model = Pairs(sparse=True, **options)
    assert [type(one) for one in model.optimiser(model.build(DATA)).parts] == [Adagrad, RowAdagrad]  # type: ignore[attr-defined]
    few = scores(model.fit(DATA, Run(threads=1)).lower())
    every = scores(Pairs(sparse=False, **options).fit(DATA, Run(threads=1)).lower())
    adam = scores(Pairs(sparse=False, **{**options, "optimiser": "adam"}).fit(DATA, Run(threads=1)).lower())
    np.testing.assert_allclose(few, every, rtol=1e-4, atol=1e-6)
    assert np.abs(few - adam).max() > 0.01


def test_a_table_of_rows_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    whole = Pairs(epochs=6, schedule="constant", clip_norm=0.1).fit(DATA, Run(threads=1))
    path = tmp_path / "c"
    Pairs(epochs=4, schedule="constant", clip_norm=0.1).fit(DATA, Run(threads=1, checkpoint=path))
    rest = Pairs(epochs=6, schedule="constant", clip_norm=0.1).fit(DATA, Run(threads=1, checkpoint=path, resume=True))
    assert (scores(rest.lower()) == scores(whole.lower())).all()
    assert rest.training is not None and whole.training is not None
    assert rest.training.examples == whole.training.examples == 6 * len(DATA.events)


@pytest.mark.parametrize(
    "options", [{"clip_norm": 0.01}, {"warmup_steps": 20}, {"schedule": "linear"}, {"schedule": "constant"}]
)
def test_options_of_training_have_an_effect(options: dict[str, Any]) -> None:
    plain = Pairs(epochs=3).fit(DATA, Run(threads=1)).lower()
    assert (scores(Pairs(epochs=3, **options).fit(DATA, Run(threads=1)).lower()) != scores(plain)).any()


@pytest.mark.parametrize("model", [LightGCN, NGCF])
@pytest.mark.parametrize("loss", ["sampled_softmax", "bpr"])
def test_graphs_learn_with_rougher_numbers(model: type[NeuralModel], loss: str) -> None:
    options: dict[str, Any] = {"factors": 8, "epochs": 15, "loss": loss, "learning_rate": 0.03}
    split = last_out(checkerboard())
    rough, exact = (
        evaluate(model(**options, precision=precision).fit(split.train, Run(threads=1)), split, ("ndcg@10",)).mean(
            "ndcg@10"
        )
        for precision in ("bfloat16", "float32")
    )
    assert rough > 0.9 * exact > 0.1


def test_a_plateau_needs_a_validation_and_shortens_the_steps() -> None:
    options: dict[str, Any] = {"epochs": 3, "learning_rate": 0.1, "schedule": "plateau"}
    with pytest.raises(SerendipError, match=r"schedule = plateau needs a validation that .*--validate ndcg@10"):
        Pairs(**options).fit(DATA)
    worse = Run(validation=lambda scorer: -float(np.abs(scores(scorer)).sum()), log=lambda one: None)
    model = Pairs(**options).fit(DATA, worse)
    assert model.training is not None
    assert model.training.falls == (2, 3)
    never, once = (scores(Pairs(**options).fit(DATA, Run(falls=falls)).lower()) for falls in ((), (1, 2)))
    steady = scores(Pairs(**{**options, "schedule": "constant"}).fit(DATA).lower())
    assert (never == steady).all()
    start = scores(Pairs(**{**options, "schedule": "constant", "epochs": 1}).fit(DATA).lower())
    assert np.abs(once - start).max() < 0.2 * np.abs(steady - start).max()


def test_the_checkpoint_of_another_fit_says_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "c"
    Pairs(epochs=2).fit(DATA, Run(checkpoint=path))
    said = [
        (Pairs(epochs=2, learning_rate=0.5), DATA, Run(), r"learning_rate \(0\.001 there, 0\.5 here\)\."),
        (Pairs(epochs=3), DATA, Run(), r"epochs \(2 there, 3 here\)\."),
        (Pairs(epochs=2), DATA, Run(seed=4), r"seed \(0 there, 4 here\)\."),
        (Pairs(epochs=2), DATA, Run(freeze=("head",)), r'freeze \(\[\] there, \["head"\] here\)\.'),
        (Pairs(epochs=2), DATA.where(DATA.events.users > 0), Run(), r"data\.events \("),
    ]
    for model, data, run, text in said:
        with pytest.raises(SerendipError, match=text):
            model.fit(data, replace(run, checkpoint=path, resume=True))


def test_a_checkpoint_knows_its_data_however_their_texts_lie_in_memory(tmp_path: Path) -> None:
    """Where long texts lie is another place in every process."""
    titles = [f"a title that is longer than twelve letters {i}" for i in range(DATA.n_items)]
    run = Run(checkpoint=tmp_path / "c", resume=True)
    told = DATA.items.with_columns(title=pl.Series(titles))
    turned = DATA.items.with_columns(title=pl.Series(titles[::-1]).reverse())
    assert told.equals(turned)
    first, again = Pairs(epochs=2), Pairs(epochs=2)
    first.fit(replace(DATA, items=told), run)
    again.fit(replace(DATA, items=turned), run)
    assert first.training == again.training
    other = told.with_columns(title=pl.col("title").str.to_uppercase())
    with pytest.raises(SerendipError, match=r"It differs in data \("):
        Pairs(epochs=2).fit(replace(DATA, items=other), run)


def test_the_checkpoint_of_other_features_says_so(tmp_path: Path) -> None:
    """Of the same shape, and made otherwise: what was learned of their codes would be of no use."""
    events = pl.DataFrame({"user_id": [1, 1, 2, 2], "item_id": ["a", "b", "a", "c"]})
    items = pl.DataFrame({"item_id": ["a", "b", "c"], "price": [1.0, 2.0, 3.0]})
    run = Run(checkpoint=tmp_path / "c", resume=True)
    for edge in (1.5, 1.5, 2.5):
        steps = Bucket(side="item", column="price", boundaries=(edge,))
        data = Dataset.from_frames(events, items=items, features={"steps": steps})
        if edge == 2.5:
            with pytest.raises(
                SerendipError, match=r"c must be a checkpoint of the same model, .* It differs in features \("
            ):
                TwoTower(epochs=1, items_by="both").fit(data, run)
        else:
            TwoTower(epochs=1, items_by="both").fit(data, run)


def test_what_another_fit_learned_is_a_better_start() -> None:
    split = last_out(checkerboard())
    users = np.arange(split.train.n_users, dtype=np.int32)
    first = LightGCN(init="normal", factors=8, epochs=20).fit(split.train, Run(threads=1))
    learned = first.learned()
    assert learned is not None and set(learned) == {"users", "items"}
    start = Start("lightgcn", learned, users, np.arange(split.train.n_items, dtype=np.int32))
    warm, cold = (
        evaluate(
            LightGCN(init="normal", factors=8, epochs=1).fit(split.train, Run(threads=1, start=begun)),
            split,
            ("ndcg@10",),
        ).mean("ndcg@10")
        for begun in (start, None)
    )
    assert warm > 1.5 * cold


def test_a_new_item_of_a_graph_begins_among_those_of_its_users() -> None:
    data = checkerboard()
    learned = LightGCN(init="normal", factors=8, epochs=20).fit(data, Run(threads=1)).learned()
    assert learned is not None
    codes = np.arange(data.n_items, dtype=np.int32)
    codes[[0, 1]] = ABSENT  # an even and an odd one, as if they were new
    model = LightGCN(init="normal", factors=8)
    torch.manual_seed(0)
    net: Any = model.build(data)
    model.welcome(net, *begin(net, Start("lightgcn", learned, np.arange(data.n_users, dtype=np.int32), codes)))
    items = net.items.detach().numpy()
    unit = items / np.linalg.norm(items, axis=1, keepdims=True)
    near = unit[:2] @ unit[2:].T
    even = np.arange(2, data.n_items) % 2 == 0
    assert near[0, even].mean() > near[0, ~even].mean() + 0.5
    assert near[1, ~even].mean() > near[1, even].mean() + 0.5
