"""The training loop on a problem whose answer is known: a vector that is drawn to a target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from serendip.loop import Task, settings, train
from serendip.model import Run
from serendip.scorers import StaticScores
from serendip.types import Scorer, SerendipError

TARGET = torch.tensor([1.0, -2.0, 3.0])


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(3))
        self.dropout = nn.Dropout(0.5)


def batches(rng: np.random.Generator) -> Iterator[Tensor]:
    for _ in range(4):
        yield torch.from_numpy(rng.normal(0, 0.1, 3).astype(np.float32))


def loss(net: nn.Module, batch: Any) -> Mapping[str, Tensor]:
    assert isinstance(net, Net)
    gap = net.dropout(net.place - TARGET + batch)
    return {"square": gap.square().sum(), "size": 0.01 * net.place.square().sum()}


def lower(net: nn.Module) -> Scorer:
    assert isinstance(net, Net)
    assert not net.training
    return StaticScores(net.place.detach().numpy().copy())


def task(epochs: int = 6, fingerprint: str = "one", rate: float = 0.05) -> Task:
    net = Net()
    return Task(
        "sample",
        epochs,
        net,
        torch.optim.Adam(net.parameters(), lr=rate),
        batches,
        loss,
        lower,
        fingerprint,
        lambda epoch: rate,
    )


def place(scorer: Scorer) -> np.ndarray:
    assert isinstance(scorer, StaticScores)
    return scorer.scores


def run(what: Task, how: Run) -> np.ndarray:
    with settings(how):
        return place(train(what, how))


def test_it_comes_to_the_target() -> None:
    seen: list[Mapping[str, float]] = []
    found = run(task(100), Run(log=seen.append))
    np.testing.assert_allclose(found, TARGET.numpy(), atol=0.3)
    assert [one["epoch"] for one in seen] == list(range(1, 101))
    assert seen[-1]["loss"] == pytest.approx(seen[-1]["square"] + seen[-1]["size"], rel=1e-5)
    assert seen[-1]["loss"] < seen[0]["loss"] / 5
    assert all(one["seconds"] <= other["seconds"] for one, other in pairwise(seen))


def test_the_same_seed_gives_the_same_and_leaves_the_rest_alone() -> None:
    torch.manual_seed(11)
    expected, threads = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(11)
    once, again = (run(task(), Run(seed=4, threads=1)) for _ in range(2))
    assert (once == again).all()
    assert (run(task(), Run(seed=5, threads=1)) != once).any()
    assert (torch.rand(3) == expected).all()
    assert torch.get_num_threads() == threads


def test_a_resumed_run_equals_one_that_was_never_interrupted(tmp_path: Path) -> None:
    def figure(scorer: Scorer) -> float:
        return -float(np.abs(place(scorer) - np.array([0.3, -0.3, 0.3])).sum())  # best on the way, not at the end

    whole: list[Mapping[str, float]] = []
    expected = run(task(8), Run(validation=figure, log=whole.append))
    path = tmp_path / "run.checkpoint"
    run(task(5), Run(validation=figure, checkpoint=path))
    rest: list[Mapping[str, float]] = []
    found = run(task(8), Run(validation=figure, checkpoint=path, resume=True, log=rest.append))
    assert (found == expected).all()
    assert [one["epoch"] for one in rest] == [6, 7, 8]
    for one, other in zip(rest, whole[5:], strict=True):
        assert one["loss"] == other["loss"]
        assert one["validation"] == other["validation"]
    done: list[Mapping[str, float]] = []
    assert (run(task(8), Run(validation=figure, checkpoint=path, resume=True, log=done.append)) == expected).all()
    assert done == []


def test_without_resume_it_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    first = run(task(2), Run(checkpoint=path))
    assert (run(task(2), Run(checkpoint=path)) == first).all()


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    run(task(1), Run(checkpoint=path))
    with pytest.raises(SerendipError, match="must be a checkpoint of the same model, options, data and seed"):
        run(task(2, "two"), Run(checkpoint=path, resume=True))


def test_patience_ends_training_and_the_best_is_kept() -> None:
    figures = iter([0.1, 0.3, 0.2, 0.25, 0.5])
    seen: list[np.ndarray] = []

    def figure(scorer: Scorer) -> float:
        seen.append(place(scorer))
        return next(figures)

    found = run(task(20), Run(validation=figure, patience=2))
    assert len(seen) == 4
    assert (found == seen[1]).all()


def test_validation_comes_every_so_many_epochs_and_at_the_end() -> None:
    at: list[float] = []
    log: list[Mapping[str, float]] = []
    run(task(7), Run(validation=lambda scorer: float(at.append(1) or len(at)), validate_every=3, log=log.append))
    assert [one["epoch"] for one in log if "validation" in one] == [3, 6, 7]


def test_the_time_budget_ends_training(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr("serendip.loop.time.monotonic", lambda: float(next(clock)))
    seen: list[Mapping[str, float]] = []
    run(task(50), Run(time_budget=10, log=seen.append))
    assert [one["epoch"] for one in seen] == [1, 2]  # four steps an epoch, one look at the clock a step


def test_progress_and_what_would_answer_are_reported() -> None:
    seen: list[tuple[int, int]] = []
    looks: list[np.ndarray] = []
    last = run(
        task(3),
        Run(
            progress=lambda done, total: seen.append((done, total)),
            look=lambda done, total, make: looks.append(place(make())),
        ),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert (looks[-1] == last).all()
    assert (looks[0] != last).any()


def test_a_loss_that_is_not_a_number_is_refused() -> None:
    what = task()
    broken = Task(
        what.name,
        2,
        what.net,
        what.optimiser,
        batches,
        lambda net, batch: {"x": net.place.sum() / 0 * 0},
        lower,
        "",
        what.rate,
    )
    with pytest.raises(SerendipError, match=r"sample: the loss must be a number\. Got nan in epoch 1\. Try a smaller"):
        run(broken, Run())


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(SerendipError, match=r"device must be one that PyTorch has here\. Got 'nowhere' instead"):
        run(task(), Run(device="nowhere"))


@pytest.mark.parametrize("wrong", [{"validate_every": 0}, {"patience": 0}, {"time_budget": 0.0}, {"patience": 2}])
def test_a_run_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SerendipError, match=next(iter(wrong))):
        Run(**wrong)
