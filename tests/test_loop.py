"""The training loop on a problem whose answer is known: a vector that is drawn to a target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from serendip.checkpoint import read
from serendip.loop import Task, settings, train
from serendip.model import Pace, Run
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
        name="sample",
        epochs=epochs,
        net=net,
        optimiser=torch.optim.Adam(net.parameters(), lr=rate),
        batches=batches,
        loss=loss,
        lower=lower,
        identity={"model": fingerprint},
    )


def place(scorer: Scorer) -> np.ndarray:
    assert isinstance(scorer, StaticScores)
    return scorer.scores


def run(what: Task, how: Run) -> np.ndarray:
    with settings(how):
        return place(train(what, how).scorer)


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
    said = r'of the same model, options, data and seed\. It differs in model \("one" there, "two" here\)'
    with pytest.raises(SerendipError, match=said):
        run(task(2, "two"), Run(checkpoint=path, resume=True))
    other = replace(task(2), net=nn.Linear(2, 2))
    with pytest.raises(SerendipError, match=r"must be a checkpoint of this version of sample\. It holds other param"):
        run(other, Run(checkpoint=path, resume=True))


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
    broken = replace(task(), loss=lambda net, batch: {"x": net.place.sum() / 0 * 0})
    with pytest.raises(SerendipError, match=r"sample: the loss must be a number\. Got nan in epoch 1\. Try a smaller"):
        run(broken, Run())


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(SerendipError, match=r"device must be one that PyTorch has here\. Got 'nowhere' instead"):
        run(task(), Run(device="nowhere"))


@pytest.mark.parametrize("at", [1, 6, 8, 9, 31])
def test_it_goes_on_from_the_middle_of_an_epoch(tmp_path: Path, at: int) -> None:
    whole: list[Mapping[str, float]] = []
    expected = run(task(8), Run(log=whole.append))
    path, steps = tmp_path / "run.checkpoint", iter(range(at))

    def stopping(net: nn.Module, batch: Any) -> Mapping[str, Tensor]:
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return loss(net, batch)

    with pytest.raises(KeyboardInterrupt):
        run(replace(task(8), loss=stopping), Run(checkpoint=path, checkpoint_every=1e-9))
    assert (read(path).epoch, read(path).step) == divmod(at, 4)
    rest: list[Mapping[str, float]] = []
    found = run(task(8), Run(checkpoint=path, resume=True, log=rest.append))
    assert (found == expected).all()
    assert [one["loss"] for one in rest] == [one["loss"] for one in whole[at // 4 :]]


def test_the_number_of_epochs_can_be_cut_without_changing_the_steps() -> None:
    shrinking = replace(task(8), rate=lambda epoch, step, falls: 1 - epoch / 8)
    seen: list[np.ndarray] = []
    run(shrinking, Run(look=lambda done, total, make: seen.append(place(make()))))
    again = replace(task(8), rate=lambda epoch, step, falls: 1 - epoch / 8)
    assert (run(again, Run(epochs=3)) == seen[2]).all()
    assert (run(task(2), Run(epochs=5)) == run(task(2), Run())).all()


def test_steps_are_as_large_as_the_rate_says() -> None:
    sizes: list[float] = []

    def noted(net: nn.Module, batch: Any) -> Mapping[str, Tensor]:
        sizes.append(what.optimiser.param_groups[0]["lr"])
        return loss(net, batch)

    what = replace(task(2, rate=0.5), loss=noted, rate=lambda epoch, step, falls: 0.1 * (step + 1) / (epoch + 1))
    run(what, Run())
    np.testing.assert_allclose(sizes, [0.05, 0.1, 0.15, 0.2, 0.125, 0.15, 0.175, 0.2])


def test_steps_fall_after_each_validation_that_brought_nothing_better(tmp_path: Path) -> None:
    figures, sizes = [0.2, 0.3, 0.3, 0.1, 0.4, 0.2], []
    path = tmp_path / "run.checkpoint"

    def noted(net: nn.Module, batch: Any) -> Mapping[str, Tensor]:
        sizes.append(what.optimiser.param_groups[0]["lr"])
        return loss(net, batch)

    def falling(epoch: int, step: int, falls: int) -> float:
        return 0.5**falls

    what = replace(task(3), loss=noted, rate=falling)
    left = iter(figures)
    run(what, Run(validation=lambda scorer: next(left), checkpoint=path))
    what = replace(task(6), loss=noted, rate=falling)
    with settings(Run()):
        found = train(what, Run(validation=lambda scorer: next(left), checkpoint=path, resume=True)).training
    assert found.falls == (3, 4, 6)
    assert found.best_epoch == 5
    np.testing.assert_allclose(sizes[::4], [0.05, 0.05, 0.05, 0.025, 0.0125, 0.0125])

    told = list(sizes)
    sizes.clear()
    what = replace(task(6), loss=noted, rate=falling)
    run(what, Run(epochs=found.best_epoch, falls=found.falls))
    assert sizes == told[:20]


def test_gradients_are_done_to_what_is_asked_before_a_step() -> None:
    what = task(1)
    seen: list[float] = []

    def clip() -> None:
        assert isinstance(what.net, Net)
        assert what.net.place.grad is not None
        seen.append(float(what.net.place.grad.norm()))
        what.net.place.grad.zero_()

    assert (run(replace(what, clip=clip), Run()) == 0).all()  # Adam's steps along a gradient of 0
    assert len(seen) == 4 and min(seen) > 0


def test_half_precision_multiplies_roughly_and_keeps_whole_numbers() -> None:
    seen: list[torch.dtype] = []

    def product(net: nn.Module, batch: Any) -> Mapping[str, Tensor]:
        assert isinstance(net, Net)
        found = net.place[None] @ (TARGET + batch)[:, None]
        seen.append(found.dtype)
        return {"product": found.sum(), "square": net.place.square().sum()}

    rough = run(replace(task(3), loss=product, precision="bfloat16"), Run())
    exact = run(replace(task(3), loss=product), Run())
    assert set(seen[:12]) == {torch.bfloat16}
    assert set(seen[12:]) == {torch.float32}
    assert rough.dtype == np.float32
    assert (rough != exact).any()
    np.testing.assert_allclose(rough, exact, atol=0.02)


def test_how_training_is_getting_on_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serendip.loop.BETWEEN_PACES", 0.0)
    clock = iter(range(10_000))
    monkeypatch.setattr("serendip.loop.time.perf_counter", lambda: float(next(clock)))
    paces: list[Pace] = []
    log: list[Mapping[str, float]] = []
    run(task(3), Run(pace=paces.append, log=log.append))
    last = paces.pop()
    assert (last.epoch, last.epochs, last.done, last.left, last.loss) == (3, 3, 1, 0, log[-1]["loss"])
    assert [(pace.epoch, pace.epochs) for pace in paces] == [(epoch, 3) for epoch in (1, 2, 3) for _ in range(4)]
    assert [pace.done for pace in paces[:4]] == [0, 0, 0, 0]  # how long an epoch is shows after the first
    assert [pace.done for pace in paces[4:]] == pytest.approx([step / 12 for step in range(5, 13)])
    assert all(pace.left is None for pace in paces[:4])
    assert paces[-1].left == 0
    assert all(pace.left is not None and pace.left > 0 for pace in paces[4:-1])
    assert paces[3].loss == pytest.approx(log[0]["loss"])
    assert all(0 < pace.rate <= 3 for pace in paces)  # three examples a step, a second or more each
    assert all(one["examples_per_second"] > 0 for one in log)


def test_how_it_went_and_what_was_learned() -> None:
    figures = iter([0.1, 0.3, 0.2])
    what = task(3)
    with settings(Run()):
        found = train(what, Run(validation=lambda scorer: next(figures)))
    assert (found.training.epochs, found.training.best_epoch, found.training.best) == (3, 2, 0.3)
    assert found.training.examples == 3 * 4 * 3
    assert (found.tensors["place"] == place(found.scorer)).all()
    with settings(Run()):
        plain = train(task(3), Run()).training
    assert (plain.epochs, plain.best_epoch, plain.best) == (3, 3, None)
