"""Losses of rows: by hand, against loops, by what they learn, and with what must not count."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from serendip.nn.losses import (
    binary_cross_entropy,
    duration_of_log,
    duration_of_odds,
    known,
    log_duration_error,
    poisson,
    squared_error,
    weighted_logistic,
)
from serendip.types import SerendipError

NAN = math.nan


def both_negative(logits: Tensor, durations: Tensor, *rest: Tensor | None) -> Tensor:
    return weighted_logistic(logits, durations, *rest, all_negative=True)


def of_binary(s: float, y: float) -> float:
    p = 1 / (1 + math.exp(-s))
    return -y * math.log(p) - (1 - y) * math.log(1 - p)


def of_count(eta: float, y: float) -> float:
    rate = math.exp(eta)
    return -math.log(rate ** int(y) * math.exp(-rate) / math.factorial(int(y)))


def of_watch(s: float, t: float) -> float:
    p = 1 / (1 + math.exp(-s))
    return -t * math.log(p) if t > 0 else -math.log(1 - p)


LOSSES: dict[str, tuple[Callable[..., Tensor], Callable[[float, float], float], Sequence[float]]] = {
    "binary": (binary_cross_entropy, of_binary, [1, 0, 0, 1, 1, 0]),
    "count": (poisson, of_count, [3, 0, 1, 7, 2, 0]),
    "rating": (squared_error, lambda x, y: (x - y) ** 2, [4.5, 1, 3, 5, 2, 2]),
    "weighted_logistic": (weighted_logistic, of_watch, [12.5, 0, 0, 3, 0.25, 0]),
    "all_negative": (
        both_negative,
        lambda s, t: of_watch(s, t) + (t > 0) * of_watch(s, 0),
        [12.5, 0, 0, 3, 0.25, 0],
    ),
    "log_duration": (log_duration_error, lambda z, t: (z - math.log(1 + t)) ** 2, [12.5, 0, 0, 3, 0.25, 0]),
}
each = pytest.mark.parametrize("name", LOSSES)


def rows(name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Predictions, labels and weights, in double precision."""
    source = torch.Generator().manual_seed(0)
    labels = torch.tensor(LOSSES[name][2], dtype=torch.float64)
    predictions = torch.randn(len(labels), generator=source, dtype=torch.float64)
    return predictions, labels, torch.rand(len(labels), generator=source, dtype=torch.float64)


def minimised(loss: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """Where gradient descent of second order comes to rest."""
    x = start.double().requires_grad_()
    descent = torch.optim.LBFGS([x], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        descent.zero_grad()
        value = loss(x)
        value.backward()
        return value

    descent.step(closure)
    return x.detach()


def test_binary_cross_entropy_by_hand() -> None:
    # σ(0) = 1/2, so ln 2 either way; −ln(1 − σ(ln 3)) = −ln(1/4) = 1.386294
    found = binary_cross_entropy(torch.tensor([0.0, math.log(3)]), torch.tensor([1.0, 0.0]))
    assert float(found) == pytest.approx((0.693147 + 1.386294) / 2, abs=1e-6)
    weighted = binary_cross_entropy(torch.zeros(2), torch.tensor([1.0, 0.0]), torch.tensor([3.0, 1.0]))
    assert float(weighted) == pytest.approx(2 * math.log(2))


def test_poisson_by_hand() -> None:
    # a rate of 2 and a count of 3: 2 − 3 ln 2 + ln 6 = 1.712318, and −ln(e⁻² 2³ / 3!) is the same
    assert float(poisson(torch.tensor([math.log(2)]), torch.tensor([3.0]))) == pytest.approx(1.712318, abs=1e-6)


def test_squared_error_by_hand() -> None:
    found = squared_error(torch.tensor([3.5, 1.0]), torch.tensor([5.0, 1.0]), torch.tensor([2.0, 1.0]))
    assert float(found) == pytest.approx((2 * 2.25 + 0) / 2)


def test_weighted_logistic_by_hand() -> None:
    # σ(ln 3) = 3/4, played for 4: −4 ln(3/4) = 1.150728; not played: −ln(1 − σ(0)) = 0.693147
    logits, durations = torch.tensor([math.log(3), 0.0]), torch.tensor([4.0, 0.0])
    assert float(weighted_logistic(logits, durations)) == pytest.approx((1.150728 + 0.693147) / 2, abs=1e-6)
    # the first as a negative, too: −ln(1/4) = 1.386294
    found = weighted_logistic(logits, durations, all_negative=True)
    assert float(found) == pytest.approx((1.150728 + 1.386294 + 0.693147) / 2, abs=1e-6)
    assert float(duration_of_odds(torch.tensor(math.log(3)))) == pytest.approx(3)


def test_log_duration_error_by_hand() -> None:
    # log(1 + (e² − 1)) = 2, from 0.5: 2.25
    assert float(log_duration_error(torch.tensor([0.5]), torch.tensor([math.e**2 - 1]))) == pytest.approx(2.25)
    assert float(duration_of_log(torch.tensor(1.0))) == pytest.approx(1.718282, abs=1e-6)


def test_durations_that_are_served_are_some() -> None:
    outputs = torch.tensor([-1e4, -1.0, 0.0, 1e4])
    for served in (duration_of_odds(outputs), duration_of_log(outputs)):
        assert torch.isfinite(served).all() and (served >= 0).all() and (served.diff() >= 0).all()
    times = torch.tensor([0.0, 0.5, 3600.0], dtype=torch.float64)
    torch.testing.assert_close(duration_of_log(times.log1p()), times)


@each
def test_a_loop_finds_the_same(name: str) -> None:
    loss, term, _ = LOSSES[name]
    predictions, labels, weights = rows(name)
    terms = [term(x, y) for x, y in zip(predictions.tolist(), labels.tolist(), strict=True)]
    assert float(loss(predictions, labels)) == pytest.approx(sum(terms) / len(terms))
    weighted = [w * each for w, each in zip(weights.tolist(), terms, strict=True)]
    assert float(loss(predictions, labels, weights)) == pytest.approx(sum(weighted) / len(terms))
    mask = torch.tensor([True, False, True, True, True, False])
    kept = [each for each, counts in zip(weighted, mask.tolist(), strict=True) if counts]
    assert float(loss(predictions, labels, weights, mask)) == pytest.approx(sum(kept) / 4)


@each
def test_gradients(name: str) -> None:
    loss = LOSSES[name][0]
    predictions, labels, weights = rows(name)
    mask = torch.tensor([True, False, True, True, True, False])
    assert torch.autograd.gradcheck(lambda x: loss(x, labels, weights, mask), predictions.requires_grad_())


@each
def test_what_is_not_known_changes_nothing(name: str) -> None:
    loss = LOSSES[name][0]
    predictions, labels, weights = (tensor.float() for tensor in rows(name))
    predictions.requires_grad_()
    alone = loss(predictions, labels, weights)
    (expected,) = torch.autograd.grad(alone, predictions)
    for odd in (NAN, math.inf, -math.inf, 1e30):
        more = torch.cat([predictions.detach(), torch.tensor([odd, 0.5])]).requires_grad_()
        safe, mask = known(torch.cat([labels, torch.tensor([NAN, NAN])]))
        for given in (safe, torch.cat([labels, torch.tensor([NAN, NAN])])):
            found = loss(more, given, torch.cat([weights, torch.tensor([NAN, 1.0])]), mask)
            torch.testing.assert_close(found, alone)
            (gradient,) = torch.autograd.grad(found, more)
            torch.testing.assert_close(gradient[:6], expected)
            assert gradient[6:].tolist() == [0, 0]


@each
def test_without_a_known_label_there_is_nothing_to_learn(name: str) -> None:
    predictions = torch.tensor([0.3, NAN], requires_grad=True)
    loss = LOSSES[name][0](predictions, *known_none())
    loss.backward()
    assert float(loss.detach()) == 0 and predictions.grad is not None and predictions.grad.tolist() == [0, 0]


def known_none() -> tuple[Tensor, None, Tensor]:
    labels, mask = known(torch.tensor([NAN, NAN]))
    return labels, None, mask


def test_known() -> None:
    labels, mask = known(torch.tensor([1.0, NAN, 0.0, -2.0]))
    assert labels.tolist() == [1, 0, 0, -2] and mask.tolist() == [True, False, True, True]


@each
def test_the_order_of_rows_does_not_matter(name: str) -> None:
    loss = LOSSES[name][0]
    predictions, labels, weights = rows(name)
    turned = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(
        loss(predictions, labels, weights), loss(predictions[turned], labels[turned], weights[turned])
    )


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extreme_predictions(name: str, dtype: torch.dtype) -> None:
    loss, _, labels = LOSSES[name]
    extremes = torch.tensor([1e4, -1e4, 1e4, -1e4, 88.8, -104.0], dtype=dtype, requires_grad=True)
    value = loss(extremes, torch.tensor(labels, dtype=torch.float32))
    value.backward()
    assert value.dtype == torch.float32 and torch.isfinite(value) and float(value.detach()) > 0
    assert extremes.grad is not None and torch.isfinite(extremes.grad).all()


def test_a_rate_that_is_far_too_high_comes_down() -> None:
    rates = torch.tensor([19.999, 20.0, 20.001, 1e4], requires_grad=True)
    poisson(rates, torch.zeros(4)).backward()
    assert rates.grad is not None
    np.testing.assert_allclose(rates.grad * 4, np.exp([19.999, 20, 20, 20]), rtol=1e-5)


def test_binary_learns_the_share_and_counts_their_rate() -> None:
    clicks = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0])
    found = minimised(lambda x: binary_cross_entropy(x.expand(5), clicks), torch.zeros(1))
    assert float(found.sigmoid()) == pytest.approx(0.4, rel=1e-4)
    counts = torch.tensor([0.0, 1.0, 4.0, 2.0, 1.0])
    found = minimised(lambda x: poisson(x.expand(5), counts), torch.zeros(1))
    assert float(found.exp()) == pytest.approx(1.6, rel=1e-4)


def impressions(share: float) -> tuple[Tensor, Tensor, list[float]]:
    """Which of two videos was shown, how long it was played, and the mean of either over its impressions."""
    rng = np.random.default_rng(0)
    video = np.arange(20_000) % 2
    times = np.where(rng.random(20_000) < share, rng.lognormal(np.where(video, 5.0, 3.0), 1.0), 0.0)
    return torch.from_numpy(video), torch.from_numpy(times), [float(times[video == which].mean()) for which in (0, 1)]


def test_odds_are_the_mean_watch_time_of_an_impression() -> None:
    video, times, expected = impressions(share=0.03)
    found = duration_of_odds(minimised(lambda x: weighted_logistic(x[video], times), torch.zeros(2)))
    assert found.tolist() == pytest.approx(expected, rel=0.05)
    share = np.array([float((times[video == which] > 0).double().mean()) for which in (0, 1)])
    np.testing.assert_allclose(found, expected / (1 - share), rtol=1e-4)


def test_odds_where_most_impressions_are_played() -> None:
    video, times, expected = impressions(share=0.6)
    published = duration_of_odds(minimised(lambda x: weighted_logistic(x[video], times), torch.zeros(2)))
    assert (published > 2.3 * torch.tensor(expected)).all()
    found = duration_of_odds(minimised(lambda x: both_negative(x[video], times), torch.zeros(2)))
    assert found.tolist() == pytest.approx(expected, rel=1e-3)


def test_a_regression_on_logarithms_foretells_less_than_the_mean() -> None:
    video, times, expected = impressions(share=1.0)
    found = duration_of_log(minimised(lambda x: log_duration_error(x[video], times), torch.zeros(2)))
    geometric = [math.expm1(float(times[video == which].log1p().mean())) for which in (0, 1)]
    assert found.tolist() == pytest.approx(geometric, rel=1e-4)
    assert (found < 0.75 * torch.tensor(expected)).all()


def test_ratings_are_learned_as_their_mean() -> None:
    found = minimised(lambda x: squared_error(x.expand(3), torch.tensor([1.0, 4.0, 5.0])), torch.zeros(1))
    assert float(found) == pytest.approx(10 / 3)


@each
def test_shapes_that_do_not_fit_are_refused(name: str) -> None:
    loss = LOSSES[name][0]
    with pytest.raises(SerendipError, match=r"labels must be of shape \[3, 1\], as what is predicted. Got \[3\] inst"):
        loss(torch.zeros(3, 1), torch.zeros(3))
    with pytest.raises(SerendipError, match=r"mask must be of shape \[3\], as what is predicted. Got \[1\] instead"):
        loss(torch.zeros(3), torch.zeros(3), None, torch.ones(1, dtype=torch.bool))
    with pytest.raises(SerendipError, match=r"weights must be of shape \[3\], as the losses. Got \[3, 1\] instead"):
        loss(torch.zeros(3), torch.zeros(3), torch.ones(3, 1))
