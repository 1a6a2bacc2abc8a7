"""Losses of lists: by hand, against loops, by the orders they learn, and with what must not count."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from serendip.nn.losses import lambda_rank, list_mle, listwise_softmax, pairwise_hinge, pairwise_logistic
from serendip.types import SerendipError

Numbers = list[float]


def pairs(labels: Numbers) -> list[tuple[int, int]]:
    return [(i, j) for i in range(len(labels)) for j in range(len(labels)) if labels[i] > labels[j]]


def of_hinge(scores: Numbers, labels: Numbers, weights: Numbers) -> float:
    found = [weights[i] * max(0.0, 1 - (scores[i] - scores[j])) for i, j in pairs(labels)]
    return sum(found) / len(found) if found else 0.0


def of_logistic(scores: Numbers, labels: Numbers, weights: Numbers) -> float:
    found = [weights[i] * -math.log(1 / (1 + math.exp(scores[j] - scores[i]))) for i, j in pairs(labels)]
    return sum(found) / len(found) if found else 0.0


def of_softmax(scores: Numbers, labels: Numbers, weights: Numbers) -> float:
    whole = sum(math.exp(s) for s in scores)
    shares = [math.exp(s) / whole for s in scores]
    terms = (w * y / (sum(labels) or 1) * -math.log(p) for w, y, p in zip(weights, labels, shares, strict=True))
    return sum(terms)


def of_list_mle(scores: Numbers, labels: Numbers, weights: Numbers) -> float:
    left, total = sorted(range(len(scores)), key=lambda i: (-labels[i], i)), 0.0
    if len(set(labels)) < 2:
        return 0.0
    while left:
        chance = math.exp(scores[left[0]]) / sum(math.exp(scores[i]) for i in left)
        total -= weights[left[0]] * math.log(chance)
        left = left[1:]
    return total


def dcg(ranks: list[int], labels: Numbers) -> float:
    return sum((2**y - 1) / math.log2(rank + 1) for rank, y in zip(ranks, labels, strict=True))


def of_lambda_rank(scores: Numbers, labels: Numbers, weights: Numbers) -> float:
    ranks = [1 + sum((-other, j) < (-s, i) for j, other in enumerate(scores)) for i, s in enumerate(scores)]
    ideal = dcg(
        [1 + sum((-other, j) < (-y, i) for j, other in enumerate(labels)) for i, y in enumerate(labels)], labels
    )
    total = 0.0
    for i, j in pairs(labels):
        swapped = ranks.copy()
        swapped[i], swapped[j] = ranks[j], ranks[i]
        change = abs(dcg(swapped, labels) - dcg(ranks, labels)) / ideal
        total += weights[i] * change * math.log(1 + math.exp(scores[j] - scores[i]))
    return total


LOSSES: dict[str, tuple[Callable[..., Tensor], Callable[[Numbers, Numbers, Numbers], float]]] = {
    "hinge": (pairwise_hinge, of_hinge),
    "logistic": (pairwise_logistic, of_logistic),
    "softmax": (listwise_softmax, of_softmax),
    "list_mle": (list_mle, of_list_mle),
    "lambda_rank": (lambda_rank, of_lambda_rank),
}
each = pytest.mark.parametrize("name", LOSSES)


def lists(q: int = 4, c: int = 6) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Scores, labels, weights and a mask, in double precision; the first list has no ties among labels."""
    source = torch.Generator().manual_seed(1)
    scores = torch.randn(q, c, generator=source, dtype=torch.float64)
    labels = torch.randint(0, 4, (q, c), generator=source).double()
    labels[0] = torch.arange(c).double()[torch.randperm(c, generator=source)]
    labels[1, 2] = -1
    labels[2, 0] = math.nan
    weights = torch.rand(q, c, generator=source, dtype=torch.float64)
    return scores, labels, weights, torch.rand(q, c, generator=source) < 0.8


def looped(name: str, scores: Tensor, labels: Tensor, weights: Tensor, mask: Tensor) -> float:
    """What the oracle finds in each list with what counts there, as a mean over those with anything."""
    found = []
    for s, y, w, shown in zip(*(tensor.tolist() for tensor in (scores, labels, weights, mask)), strict=True):
        kept = [at for at in range(len(s)) if shown[at] and y[at] >= 0]
        if kept:
            found.append(LOSSES[name][1](*([row[at] for at in kept] for row in (s, y, w))))
    return sum(found) / len(found)


def by_hand(loss: Callable[..., Tensor], scores: Numbers, labels: Numbers) -> float:
    return float(loss(torch.tensor([scores]), torch.tensor([labels])))


def test_pairwise_hinge_by_hand() -> None:
    # 2 before 1.5 by 0.5: 0.5; 0 should be before 2 and 1.5: 3 and 2.5
    assert by_hand(pairwise_hinge, [2.0, 1.5, 0.0], [1, 0, 2]) == pytest.approx((0.5 + 3 + 2.5) / 3)
    wide = pairwise_hinge(torch.tensor([[2.0, 1.5]]), torch.tensor([[1, 0]]), margin=2.0)
    assert float(wide) == pytest.approx(1.5)


def test_pairwise_logistic_by_hand() -> None:
    # ln(1 + 1/e) = 0.313262; the other way round ln(1 + e) = 1.313262
    assert by_hand(pairwise_logistic, [1.0, 0.0], [1, 0]) == pytest.approx(0.313262, abs=1e-6)
    assert by_hand(pairwise_logistic, [1.0, 0.0], [0, 1]) == pytest.approx(1.313262, abs=1e-6)


def test_listwise_softmax_by_hand() -> None:
    # shares 1/6, 2/6, 3/6 against 3/4, 0, 1/4: ¾ ln 6 + ¼ ln 2 = 1.517106
    scores = [0.0, math.log(2), math.log(3)]
    assert by_hand(listwise_softmax, scores, [3, 0, 1]) == pytest.approx(1.517106, abs=1e-6)


def test_list_mle_by_hand() -> None:
    # 1 of 1 + 2 + 3, then 2 of 2 + 3, then 3 of 3: ln 6 + ln(5/2) = 2.708050
    scores = [0.0, math.log(2), math.log(3)]
    assert by_hand(list_mle, scores, [2, 1, 0]) == pytest.approx(2.708050, abs=1e-6)


def test_lambda_rank_by_hand() -> None:
    # the better, of gain 3, is second: |ΔNDCG| = 3 (1 − 1/log₂ 3) / 3 = 0.369070, times ln(1 + e) = 1.313262
    assert by_hand(lambda_rank, [1.0, 0.0], [0, 2]) == pytest.approx(0.369070 * 1.313262, abs=1e-6)


@each
def test_a_loop_finds_the_same(name: str) -> None:
    loss = LOSSES[name][0]
    scores, labels, weights, mask = lists()
    everything, ones = torch.ones_like(mask), torch.ones_like(weights)
    assert float(loss(scores, labels)) == pytest.approx(looped(name, scores, labels, ones, everything))
    found = float(loss(scores, labels, weights, mask))
    assert found == pytest.approx(looped(name, scores, labels, weights, mask)) and found > 0.05
    of_list = weights[:, 0]
    expected = looped(name, scores, labels, of_list[:, None].expand_as(scores), mask)
    assert float(loss(scores, labels, of_list, mask)) == pytest.approx(expected)


@each
def test_gradients(name: str) -> None:
    loss = LOSSES[name][0]
    scores, labels, weights, mask = lists()
    assert torch.autograd.gradcheck(lambda x: loss(x, labels, weights, mask), scores.requires_grad_())


@each
@pytest.mark.parametrize("how", ["mask", "negative", "nan"])
def test_what_does_not_count_changes_nothing(name: str, how: str) -> None:
    loss = LOSSES[name][0]
    scores, labels, weights, mask = (tensor.float() if tensor.dtype != torch.bool else tensor for tensor in lists())
    scores.requires_grad_()
    alone = loss(scores, labels, weights, mask)
    (expected,) = torch.autograd.grad(alone, scores)
    for odd in (math.nan, math.inf, -math.inf, 1e30):
        extra = torch.full((4, 1), odd)
        more = torch.cat([extra, scores.detach(), extra], dim=1).requires_grad_()
        given = torch.full((4, 1), {"mask": 9.0, "negative": -1.0, "nan": math.nan}[how])
        counts = torch.full((4, 1), how != "mask")
        found = loss(
            more,
            torch.cat([given, labels, given], dim=1),
            torch.cat([extra, weights, extra], dim=1),
            torch.cat([counts, mask, counts], dim=1),
        )
        torch.testing.assert_close(found, alone)
        (gradient,) = torch.autograd.grad(found, more)
        torch.testing.assert_close(gradient[:, 1:-1], expected)
        assert not gradient[:, 0].any() and not gradient[:, -1].any()


@each
def test_a_list_in_which_nothing_counts_changes_nothing(name: str) -> None:
    loss = LOSSES[name][0]
    scores, labels, weights, mask = lists()
    more = torch.cat([scores, torch.full((1, 6), math.nan)]).requires_grad_()
    nothing = torch.cat([mask, torch.zeros(1, 6, dtype=torch.bool)])
    found = loss(more, torch.cat([labels, torch.ones(1, 6)]), torch.cat([weights, torch.ones(1, 6)]), nothing)
    torch.testing.assert_close(found, loss(scores, labels, weights, mask))
    (gradient,) = torch.autograd.grad(found, more)
    assert torch.isfinite(gradient).all() and not gradient[-1].any()
    assert float(loss(scores, labels, weights, torch.zeros_like(mask))) == 0


@each
def test_the_order_within_a_list_does_not_matter(name: str) -> None:
    loss = LOSSES[name][0]
    scores, labels, weights, mask = (tensor[:1] for tensor in lists())
    expected = loss(scores, labels, weights, mask)
    for order in ([5, 4, 3, 2, 1, 0], [2, 0, 5, 1, 4, 3]):
        torch.testing.assert_close(loss(*(tensor[:, order] for tensor in (scores, labels, weights, mask))), expected)


@each
def test_the_mean_does_not_depend_on_how_lists_are_dealt_out(name: str) -> None:
    loss = LOSSES[name][0]
    scores, labels, weights, _ = lists()
    parts = [loss(scores[at::2], labels[at::2], weights[at::2]) for at in range(2)]
    torch.testing.assert_close(loss(scores, labels, weights), torch.stack(parts).mean())


@each
@pytest.mark.parametrize("labels", [[0.0, 0.0, 0.0], [0.0, -1.0, -1.0], [-1.0, -1.0, -1.0]])
def test_a_list_without_an_order_is_not_learned_from(name: str, labels: Numbers) -> None:
    scores = torch.tensor([[1.0, -2.0, 0.5], [1.0, 2.0, 3.0]], requires_grad=True)
    alone = LOSSES[name][0](scores[1:], torch.tensor([[1.0, 0.0, 0.0]]))
    found = LOSSES[name][0](scores, torch.tensor([labels, [1.0, 0.0, 0.0]]))
    torch.testing.assert_close(found, alone / (2 if max(labels) >= 0 else 1))
    (gradient,) = torch.autograd.grad(found, scores)
    assert gradient[0].tolist() == [0, 0, 0] and gradient[1].any()
    nothing = LOSSES[name][0](scores[:1], torch.tensor([labels]))
    (gradient,) = torch.autograd.grad(nothing, scores)
    assert float(nothing.detach()) == 0 and not gradient.any()


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "softmax"])
def test_labels_that_are_all_alike_are_no_order(name: str) -> None:
    scores = torch.tensor([[1.0, -2.0, 0.5]], requires_grad=True)
    loss = LOSSES[name][0](scores, torch.full((1, 3), 2.0))
    (gradient,) = torch.autograd.grad(loss, scores)
    assert float(loss.detach()) == 0 and not gradient.any()


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extreme_scores(name: str, dtype: torch.dtype) -> None:
    scores = torch.tensor([[1e4, -1e4, 0, 1e4], [-1e4, -1e4, 1e4, -1e4]], dtype=dtype, requires_grad=True)
    labels = torch.tensor([[0.0, 2.0, 1.0, 3.0], [3.0, 1.0, 0.0, -1.0]])
    value = LOSSES[name][0](scores, labels)
    (gradient,) = torch.autograd.grad(value, scores)
    assert value.dtype == torch.float32 and torch.isfinite(value) and float(value.detach()) > 1000
    assert torch.isfinite(gradient).all() and gradient[1, 0] < 0 < gradient[1, 2] and gradient[1, 3] == 0


@each
def test_an_order_is_learned_that_holds_for_other_lists(name: str) -> None:
    source = torch.Generator().manual_seed(2)
    features = torch.randn(40, 8, 3, generator=source)
    planted = features @ torch.tensor([1.0, -2.0, 0.5])
    labels = planted.argsort(dim=1).argsort(dim=1).clamp(min=3) - 3  # 0 to 4, the lower half alike
    direction = torch.tensor([-1.0, 2.0, -0.5], requires_grad=True)  # the wrong way round
    descent = torch.optim.Adam([direction], lr=0.1)
    for _ in range(100):
        descent.zero_grad()
        torch.autograd.backward(LOSSES[name][0](features[:20] @ direction, labels[:20]))
        descent.step()
    found, held = (features[20:] @ direction).detach(), labels[20:]
    better = held[:, :, None] > held[:, None, :]
    right = (found[:, :, None] > found[:, None, :])[better].double().mean()
    assert float(right) > 0.95


def test_softmax_learns_the_distribution_of_labels() -> None:
    scores = torch.zeros(1, 3, requires_grad=True)
    descent = torch.optim.Adam([scores], lr=0.1)
    for _ in range(200):
        descent.zero_grad()
        torch.autograd.backward(listwise_softmax(scores, torch.tensor([[5.0, 3.0, 2.0]])))
        descent.step()
    torch.testing.assert_close(scores.detach().softmax(dim=1), torch.tensor([[0.5, 0.3, 0.2]]), atol=1e-3, rtol=0)


def test_list_mle_is_a_probability_of_orders() -> None:
    scores = torch.tensor([0.3, -1.0, 2.0, 0.1], dtype=torch.float64)
    orders = torch.tensor(list(itertools.permutations(range(4))))
    chances = [float(torch.exp(-list_mle(scores[None], order[None]))) for order in orders]
    assert sum(chances) == pytest.approx(1) and len(set(chances)) == 24


def test_ties_of_list_mle() -> None:
    scores, labels = torch.tensor([[0.0, math.log(3), 0.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    first, second = math.log(5) + math.log(4 / 3), math.log(5 / 3) + math.log(2)  # 1 of 5, 3 of 4; 3 of 5, 1 of 2
    assert float(list_mle(scores, labels)) == pytest.approx(first, abs=1e-6)
    turned = list_mle(scores[:, [1, 0, 2]], labels)
    assert float(turned) == pytest.approx(second, abs=1e-6)
    many = [
        round(float(list_mle(scores, labels, generator=torch.Generator().manual_seed(seed))), 5) for seed in range(40)
    ]
    assert set(many) == {round(first, 5), round(second, 5)} and 8 < many.count(round(first, 5)) < 32
    source = torch.Generator().manual_seed(3)
    ordered = torch.tensor([[2.0, 1.0, 0.0]])
    drawn = [float(list_mle(scores, ordered, generator=source)) for _ in range(5)]
    assert drawn == [float(list_mle(scores, ordered))] * 5  # where labels differ chance has no say


def test_lambda_rank_cares_for_the_top() -> None:
    scores = torch.tensor([[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]], requires_grad=True)
    pulls = []
    for place in (1, 5):  # the only relevant item is just below the top, or last
        labels = torch.zeros(1, 6)
        labels[0, place] = 1
        (gradient,) = torch.autograd.grad(lambda_rank(scores, labels), scores)
        above = gradient[0, place - 1]  # what the item right above is pushed by, at one and the same distance
        pulls.append(float(above))
    change = [(1 / math.log2(r + 1) - 1 / math.log2(r + 2)) for r in (1, 5)]
    assert pulls == pytest.approx([each / (1 + math.exp(-1)) for each in change], rel=1e-4)
    assert pulls[0] > 8 * pulls[1]


def test_lambda_rank_with_labels_beyond_any_power() -> None:
    scores = torch.tensor([[0.0, 1.0, 2.0]], requires_grad=True)
    loss = lambda_rank(scores, torch.tensor([[3600.0, 30.0, 0.0]]))
    (gradient,) = torch.autograd.grad(loss, scores)
    # the first item's gain is all: it is third, |ΔNDCG| = 1 − ½ with the top one, and 1/log₂ 3 − ½ with the second
    expected = 0.5 * math.log(1 + math.e**2) + (1 / math.log2(3) - 0.5) * math.log(1 + math.e)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5) and torch.isfinite(gradient).all()


@each
def test_shapes_that_do_not_fit_are_refused(name: str) -> None:
    loss = LOSSES[name][0]
    with pytest.raises(SerendipError, match=r"scores must be of shape \[lists, places\] with at .* Got \[3\] instead"):
        loss(torch.zeros(3), torch.zeros(3))
    with pytest.raises(SerendipError, match=r"at least one place. Got \[2, 0\] instead"):
        loss(torch.zeros(2, 0), torch.zeros(2, 0))
    with pytest.raises(SerendipError, match=r"labels must be of shape \[2, 3\], as the scores. Got \[2\] instead"):
        loss(torch.zeros(2, 3), torch.zeros(2))
    with pytest.raises(SerendipError, match=r"weights must be of shape \[2, 3\] or \[2\]. Got \[3\] instead"):
        loss(torch.zeros(2, 3), torch.zeros(2, 3), torch.ones(3))
