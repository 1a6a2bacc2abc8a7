"""Several tasks together: by hand, by where learned weights come to rest, and conversions over all impressions."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from serendip.nn.losses import (
    UncertaintyWeights,
    binary_cross_entropy,
    entire_space,
    fixed_weights,
    product_logit,
)
from serendip.types import SerendipError

DOUBLE = torch.float64


def minimise(parameters: list[Tensor], loss: Callable[[], Tensor]) -> None:
    descent = torch.optim.LBFGS(parameters, max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        descent.zero_grad()
        value = loss()
        torch.autograd.backward(value)
        return value

    descent.step(closure)


def test_fixed_weights_by_hand() -> None:
    losses = {"click": torch.tensor(0.5), "rating": torch.tensor(3.0), "hide": torch.tensor(2.0)}
    found = fixed_weights(losses, {"rating": 0.1, "hide": 0})
    assert {task: float(part) for task, part in found.items()} == pytest.approx(
        {"click": 0.5, "rating": 0.3, "hide": 0}
    )


def test_fixed_weights_that_make_no_sense_are_refused() -> None:
    losses = {"click": torch.tensor(0.5), "rating": torch.tensor(3.0)}
    with pytest.raises(SerendipError, match=r"weights must be of the tasks click, rating. Got clicks instead"):
        fixed_weights(losses, {"clicks": 1})
    for weight in (-1, math.nan):
        with pytest.raises(SerendipError, match=rf"the weight of task 'click' must be 0 or more. Got {weight} instead"):
            fixed_weights(losses, {"click": weight})


def test_uncertainty_weights_by_hand() -> None:
    weights = UncertaintyWeights(["click", "rating"], squared=["rating"])
    losses = {"click": torch.tensor(0.5), "rating": torch.tensor(3.0)}
    start = {task: part.item() for task, part in weights(losses).items()}
    assert start == pytest.approx({"click": 0.5, "rating": 1.5}, abs=1e-5)
    # s = ln 2: ½·0.5 + ½ ln 2 = 0.596574 and ½·½·3 + ½ ln 2 = 1.096574
    torch.nn.init.constant_(weights.log_variances, math.log(2))
    found = {task: part.item() for task, part in weights(losses).items()}
    assert found == pytest.approx({"click": 0.596574, "rating": 1.096574}, abs=1e-5)


def test_gradients_of_uncertainty_weights() -> None:
    weights = UncertaintyWeights(["click", "rating"], squared=["rating"]).double()

    def total(click: Tensor, rating: Tensor, s: Tensor) -> Tensor:
        parts = torch.func.functional_call(weights, {"log_variances": s}, ({"click": click, "rating": rating},))
        return torch.stack(list(parts.values())).sum()

    given = [torch.tensor(value, dtype=DOUBLE, requires_grad=True) for value in (0.4, 3.0, [0.3, -1.2])]
    assert torch.autograd.gradcheck(total, given)


def test_learned_weights_come_to_rest_at_half_the_inverse_of_losses() -> None:
    weights = UncertaintyWeights(["click", "rating"], squared=["rating"])
    click, rating = (torch.tensor(value, requires_grad=True) for value in (0.2, 40.0))
    minimise(
        [weights.log_variances], lambda: torch.stack(list(weights({"click": click, "rating": rating}).values())).sum()
    )
    assert weights.log_variances.tolist() == pytest.approx([math.log(0.4), math.log(40)], abs=0.01)
    parts = weights({"click": click, "rating": rating})
    pulls = [float(torch.autograd.grad(parts[task], loss)[0]) for task, loss in (("click", click), ("rating", rating))]
    assert pulls == pytest.approx([1 / 0.4, 1 / 80], rel=0.01)


def test_learned_weights_can_begin_at_rest() -> None:
    losses = {"click": 0.2, "rating": 40.0}
    weights = UncertaintyWeights(["click", "rating"], squared=["rating"], begin=losses)
    parts = weights({task: torch.tensor(loss) for task, loss in losses.items()})
    (gradient,) = torch.autograd.grad(torch.stack(list(parts.values())).sum(), weights.log_variances)
    assert gradient.tolist() == pytest.approx([0, 0], abs=1e-6)
    assert weights.log_variances.tolist() == pytest.approx([math.log(0.4), math.log(40)], abs=1e-4)


def test_the_unit_of_a_task_does_not_matter_where_weights_are_learned() -> None:
    """Two tasks want one parameter at 0 and at 1; a loss is in a unit that makes it 10,000 times as large."""

    def shared(scale: float, learned: bool) -> float:
        x = torch.tensor(0.5, requires_grad=True)
        weights = UncertaintyWeights(["a", "b"], squared=["a", "b"])

        def loss() -> Tensor:
            losses = {"a": x.square() + 1, "b": scale * ((x - 1).square() + 1)}
            parts = weights(losses) if learned else fixed_weights(losses, {})
            return parts["a"] + parts["b"]

        minimise([x, weights.log_variances], loss)
        return float(x.detach())

    assert shared(1e4, learned=True) == pytest.approx(0.5, abs=0.01)
    assert shared(1e4, learned=False) == pytest.approx(1, abs=0.01)


def test_a_loss_of_0_does_not_run_away() -> None:
    weights = UncertaintyWeights(["click"])
    minimise([weights.log_variances], lambda: weights({"click": torch.tensor(0.0)})["click"])
    assert weights.log_variances.item() == pytest.approx(math.log(2e-6), abs=0.05)


def test_a_task_that_is_not_in_a_batch_keeps_its_weight() -> None:
    weights = UncertaintyWeights(["click", "rating"])
    parts = weights({"rating": torch.tensor(2.0)})
    (gradient,) = torch.autograd.grad(parts["rating"], weights.log_variances)
    assert list(parts) == ["rating"] and gradient[0] == 0 and gradient[1] != 0
    assert list(weights.state_dict()) == ["log_variances"]


def test_tasks_that_there_are_not_are_refused() -> None:
    with pytest.raises(SerendipError, match=r"tasks must be one or more different names. Got \[\] instead"):
        UncertaintyWeights([])
    with pytest.raises(SerendipError, match=r"tasks must be one or more different names. Got \['a', 'a'\] instead"):
        UncertaintyWeights(["a", "a"])
    with pytest.raises(SerendipError, match=r"squared must be of the tasks a, b. Got c instead"):
        UncertaintyWeights(["a", "b"], squared=["c"])
    with pytest.raises(SerendipError, match=r"losses must be of the tasks a, b. Got c, d instead"):
        UncertaintyWeights(["a", "b"])({"d": torch.tensor(1.0), "c": torch.tensor(1.0), "a": torch.tensor(1.0)})


def test_product_logit_by_hand() -> None:
    # ½ · ½ = ¼, whose odds are 1 : 3; ¾ · ⅔ = ½
    logits = product_logit(torch.tensor([0.0, math.log(3)]), torch.tensor([0.0, math.log(2)]))
    assert logits.tolist() == pytest.approx([-math.log(3), 0], abs=1e-6)


def test_product_logit_where_probabilities_are_rounded() -> None:
    # σ(−60)²: below what float32 holds; σ(40)²: 1 − 2e⁻⁴⁰, which is 1 even in double precision
    logits = product_logit(torch.tensor([-60.0, 40.0, 1e4, -1e4, 1e4]), torch.tensor([-60.0, 40.0, 1e4, -1e4, -1e4]))
    expected = [-120, 40 - math.log(2), 1e4 - math.log(2), -2e4, -1e4]
    assert logits.tolist() == pytest.approx(expected, rel=1e-6)


def clicks_and_more(m: int = 8) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(0)
    a, b, weights = (torch.randn(m, generator=source, dtype=DOUBLE) for _ in range(3))
    return a, b, (torch.arange(m) % 3 == 0).double(), weights.exp()


def test_entire_space_by_hand_and_by_a_loop() -> None:
    # pCTCVR ¼: −ln ¼ = 1.386294 where there was a conversion, −ln ¾ = 0.287682 where there was none
    zeros = torch.zeros(2)
    assert float(entire_space(zeros, zeros, torch.tensor([1, 0]))) == pytest.approx((1.386294 + 0.287682) / 2, abs=1e-6)
    a, b, conversions, weights = clicks_and_more()
    total = 0.0
    for first, second, y, w in zip(*(each.tolist() for each in (a, b, conversions, weights)), strict=True):
        p = 1 / (1 + math.exp(-first)) / (1 + math.exp(-second))
        total -= w * math.log(p if y else 1 - p)
    assert float(entire_space(a, b, conversions, weights)) == pytest.approx(total / 8)


def test_gradients_of_entire_space() -> None:
    a, b, conversions, weights = clicks_and_more()
    mask = torch.arange(8) != 2
    both = [a.requires_grad_(), b.requires_grad_()]
    assert torch.autograd.gradcheck(lambda x, y: entire_space(x, y, conversions, weights, mask), both)


def test_impressions_of_which_nothing_is_known_change_nothing() -> None:
    a, b, conversions, weights = clicks_and_more()
    alone = entire_space(a, b, conversions, weights)
    for odd in (math.nan, math.inf, -math.inf):
        more = torch.tensor([odd], dtype=DOUBLE)
        first, second = (torch.cat([each, more]).requires_grad_() for each in (a, b))
        mask = torch.arange(9) < 8
        labels = torch.cat([conversions, torch.tensor([math.nan], dtype=DOUBLE)])
        found = entire_space(first, second, labels, torch.cat([weights, more]), mask)
        torch.testing.assert_close(found, alone)
        gradients = torch.autograd.grad(found, [first, second])
        assert all(each[8] == 0 and torch.isfinite(each).all() for each in gradients)


def test_extreme_logits_of_entire_space() -> None:
    signs = torch.tensor([[1.0, 1, 1], [1, -1, 1], [-1, 1, 1], [-1, -1, 1], [1, 1, 0], [1, -1, 0], [-1, -1, 0]])
    first, second = (1e4 * signs[:, at].clone().requires_grad_() for at in (0, 1))
    first.retain_grad(), second.retain_grad()
    loss = entire_space(first, second, signs[:, 2])
    torch.autograd.backward(loss)
    assert torch.isfinite(loss) and first.grad is not None and second.grad is not None
    assert torch.isfinite(first.grad).all() and torch.isfinite(second.grad).all()
    assert second.grad[1] < 0 and first.grad[1] == 0  # what is wrong is the conversion alone


def test_conversion_rates_are_learned_without_being_taught_on_clicks() -> None:
    # 1,000 impressions, 200 clicks, 50 conversions: a click has 1/5, a conversion after it 1/4
    clicks = (torch.arange(1000) < 200).float()
    conversions = (torch.arange(1000) < 50).float()
    logits = torch.zeros(2, requires_grad=True)

    def loss() -> Tensor:
        click, conversion = logits[0].expand(1000), logits[1].expand(1000)
        return binary_cross_entropy(click, clicks) + entire_space(click, conversion, conversions)

    minimise([logits], loss)
    assert logits.detach().sigmoid().tolist() == pytest.approx([0.2, 0.25], abs=2e-3)


def test_logits_of_different_shapes_are_refused() -> None:
    with pytest.raises(SerendipError, match=r"labels must be of shape \[3, 1\], as what is predicted. Got \[3\] inst"):
        entire_space(torch.zeros(3), torch.zeros(3, 1), torch.zeros(3))
