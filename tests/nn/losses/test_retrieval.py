"""The softmax of a batch: by hand, step by step, by its effects, and both ways of computing it against each other."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from serendip.nn.losses import full_softmax, mixed_log_q, retrieval_softmax
from serendip.nn.losses.retrieval import Hidden, softmax_elsewhere
from serendip.types import SerendipError


def vectors(b: int = 9, c: int = 14, d: int = 5, heads: int = 1) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(0)
    queries = torch.randn(b, heads, d, generator=source) if heads > 1 else torch.randn(b, d, generator=source)
    return queries.requires_grad_(), torch.randn(c, d, generator=source).requires_grad_()


def shares(logits: Tensor, **how: Any) -> Tensor:
    """Which share of a row's softmax each candidate has, from what the loss pulls and pushes.

    Candidates are unit vectors and queries are logits, so that the gradient of a row is its shares less the positive.
    """
    b, c = logits.shape
    queries = logits.clone().requires_grad_()
    (retrieval_softmax(queries, torch.eye(c), **how) * b).backward()
    assert queries.grad is not None
    positives = how.get("positives", torch.arange(b))
    return queries.grad.clone().scatter_add(1, positives[:, None], torch.ones(b, 1))


def test_in_batch_softmax_by_hand() -> None:
    # logits at τ = ½: [2, 0] and [0, 4]: the mean of ln(1 + e⁻²) = 0.126928 and ln(1 + e⁻⁴) = 0.018150
    found = retrieval_softmax(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.eye(2), temperature=0.5)
    assert float(found) == pytest.approx((0.126928 + 0.018150) / 2, abs=1e-6)


def test_full_softmax_by_hand() -> None:
    # logits 0, ln 2, ln 3 of a query: the second has 2/6 of them: ln 3
    items = torch.tensor([[0.0], [math.log(2)], [math.log(3)]])
    found = full_softmax(torch.ones(1, 1), items, torch.tensor([1]))
    assert float(found) == pytest.approx(1.098612, abs=1e-6)


def test_log_q_by_hand() -> None:
    # logits 0 and 0; Q = ½ and 1/8, so the shares are 2 : 8 and the first costs ln 5
    log_q = torch.tensor([0.5, 0.125]).log()
    found = retrieval_softmax(torch.zeros(1, 1), torch.zeros(2, 1), log_q=log_q)
    assert float(found) == pytest.approx(1.609438, abs=1e-6)


def test_log_q_is_cut_off() -> None:
    # Q = 1e-9 counts as 1e-6, and 7 as 1: the shares are 1 : 10⁶
    log_q = torch.tensor([7.0, 1e-9]).log()
    found = retrieval_softmax(torch.zeros(1, 1), torch.zeros(2, 1), log_q=log_q)
    assert float(found) == pytest.approx(math.log(1 + 1e6), abs=1e-4)


def test_mixed_log_q_by_hand() -> None:
    # (30·0.1 + 10/100) / 40 = 0.0775
    found = mixed_log_q(torch.tensor([0.1]).log(), batch=30, uniform=10, n_items=100)
    assert float(found.exp()) == pytest.approx(0.0775)
    alone = mixed_log_q(torch.tensor([0.1]).log(), batch=30, uniform=0, n_items=100)
    assert float(alone.exp()) == pytest.approx(0.1)


def test_an_accidental_hit_has_no_share() -> None:
    ids = torch.tensor([7, 8, 7, 9])
    found = shares(torch.zeros(3, 4), candidate_ids=ids)
    # rows 0 and 2 have the same item as their positive: each other's candidate does not count
    third, fourth = 1 / 3, 1 / 4
    expected = torch.tensor([[third, third, 0, third], [fourth] * 4, [0, third, third, third]])
    torch.testing.assert_close(found, expected)
    assert found[0, 2] == 0 and found[2, 0] == 0


def test_a_strong_accidental_hit_has_no_share_either() -> None:
    logits = torch.tensor([[0.0, 90.0, -90.0]])
    found = shares(logits, candidate_ids=torch.tensor([3, 3, 4]))
    assert found[0, 1] == 0
    torch.testing.assert_close(found, torch.tensor([[1.0, 0.0, 0.0]]))


def test_the_ids_of_positives_may_be_given() -> None:
    found = shares(torch.zeros(1, 3), candidate_ids=torch.tensor([3, 4, 5]), positive_ids=torch.tensor([5]))
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.5, 0.0]]))


def test_what_is_masked_has_no_share_but_the_positive_has() -> None:
    found = shares(torch.zeros(2, 3), mask=torch.tensor([[True, False, True], [False, False, False]]))
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]))


def test_hard_negatives_keep_the_positive_and_the_highest() -> None:
    logits = torch.tensor([[-5.0, 1.0, 3.0, 2.0], [4.0, 9.0, 1.0, 2.0]])
    found = shares(logits, hard_negatives=2)
    kept = torch.tensor([[True, False, True, True], [True, True, False, True]])
    torch.testing.assert_close(found, torch.softmax(logits.masked_fill(~kept, -math.inf), dim=1))
    everything = shares(logits, hard_negatives=50)
    torch.testing.assert_close(everything, torch.softmax(logits, dim=1))


def test_hard_negatives_are_chosen_after_corrections_and_masks() -> None:
    logits = torch.tensor([[0.0, 5.0, 4.0, 3.0]])
    log_q = torch.tensor([0.0, 0.0, 0.0, -2.0])  # the last becomes 5, but the second is the positive's item
    found = shares(logits, hard_negatives=1, log_q=log_q, candidate_ids=torch.tensor([1, 1, 2, 3]))
    torch.testing.assert_close(found, torch.softmax(torch.tensor([[0.0, -math.inf, -math.inf, 5.0]]), dim=1))


def test_further_candidates_are_negatives_of_every_row() -> None:
    queries, candidates = vectors(3, 5)
    found = retrieval_softmax(queries, candidates)
    expected = functional.cross_entropy(queries @ candidates.T, torch.arange(3))
    torch.testing.assert_close(found, expected)


def test_a_query_of_several_heads_scores_by_its_best() -> None:
    queries = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]], requires_grad=True)
    candidates = torch.eye(2)
    # logits 1 by head 0 and 2 by head 1: ln(1 + e) = 1.313262 for the first
    loss = retrieval_softmax(queries, candidates, positives=torch.tensor([0]))
    assert float(loss.detach()) == pytest.approx(1.313262, abs=1e-6)
    loss.backward()
    # each candidate pulls or pushes the head that scored it, by 1/(1 + e⁻¹) = 0.731059
    torch.testing.assert_close(queries.grad, torch.tensor([[[-0.731059, 0.0], [0.0, 0.731059]]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_go_to_queries_and_candidates_alone(dtype: torch.dtype) -> None:
    queries, candidates = (side.detach().to(dtype).requires_grad_() for side in vectors(3, 3))
    log_q, weights = torch.full((3,), -2.0, requires_grad=True), torch.ones(3, requires_grad=True)
    retrieval_softmax(queries, candidates, log_q=log_q, weights=weights).backward()
    assert log_q.grad is None and weights.grad is None
    assert queries.grad is not None and candidates.grad is not None


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "positives": {"positives": torch.tensor([3, 3, 0, 13, 5, 6, 7, 2, 1])},
    "log_q": {"log_q": torch.linspace(-9, -0.1, 14)},
    "ids": {"candidate_ids": torch.arange(14) % 4},
    "given ids": {"candidate_ids": torch.arange(14) % 4, "positive_ids": torch.arange(9) % 3},
    "mask": {"mask": torch.arange(126).reshape(9, 14) % 3 > 0},
    "hard": {"hard_negatives": 3},
    "weights": {"weights": torch.linspace(0, 2, 9)},
}
OPTIONS["all"] = {**OPTIONS["positives"], **OPTIONS["log_q"], **OPTIONS["ids"], **OPTIONS["mask"], "hard_negatives": 4}


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("name", OPTIONS)
def test_tiles_give_what_all_logits_in_double_precision_give(name: str, heads: int) -> None:
    results = []
    for dtype in (torch.float32, torch.float64):
        sides = [side.detach().to(dtype).requires_grad_() for side in vectors(heads=heads)]
        loss = retrieval_softmax(sides[0], sides[1], temperature=0.3, **OPTIONS[name])
        (loss * 3).backward()
        results.append([loss.detach().double(), *(side.grad.double() for side in sides)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_double_precision_is_the_cross_entropy_of_pytorch() -> None:
    queries, candidates = (side.detach().double() for side in vectors())
    rows = OPTIONS["positives"]["positives"]
    found = retrieval_softmax(queries, candidates, positives=rows, temperature=0.3)
    torch.testing.assert_close(found, functional.cross_entropy(queries @ candidates.T / 0.3, rows))


def test_full_softmax_is_a_mean_over_rows_however_they_are_dealt_out() -> None:
    queries, items = vectors(8)
    rows, weights = torch.arange(8) % 5, torch.linspace(0, 2, 8)
    whole = full_softmax(queries, items, rows, weights=weights)
    whole.backward()
    gradient = items.grad.clone()
    items.grad = None
    parts = [full_softmax(queries[at::2], items, rows[at::2], weights=weights[at::2]) / 2 for at in range(2)]
    for part in parts:
        part.backward()
    torch.testing.assert_close(torch.stack(parts).sum(), whole)
    torch.testing.assert_close(items.grad, gradient)


def test_rows_that_share_their_candidates_are_a_mean_too() -> None:
    queries, candidates = vectors(8, 8)
    rows = torch.arange(8)
    parts = [retrieval_softmax(queries[at::2], candidates, positives=rows[at::2]) for at in range(2)]
    torch.testing.assert_close(retrieval_softmax(queries, candidates), torch.stack(parts).mean())


def test_half_precision_gets_gradients_of_its_own_kind() -> None:
    queries, candidates = (side.detach().bfloat16().requires_grad_() for side in vectors())
    loss = retrieval_softmax(queries, candidates)
    loss.backward()
    assert loss.dtype == torch.float32
    assert queries.grad.dtype == candidates.grad.dtype == torch.bfloat16


def test_mixed_precision_leaves_the_logits_alone() -> None:
    queries, candidates = (side.detach() for side in vectors())
    how = torch.arange(9), 0.05, None, Hidden(), None
    expected = softmax_elsewhere(queries[:, None], candidates, *how)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = softmax_elsewhere(queries[:, None], candidates, *how)
        tiled = retrieval_softmax(queries, candidates, temperature=0.05)
    assert found == expected
    torch.testing.assert_close(tiled, expected)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"temperature": 0.0}, "temperature must be above 0. Got 0.0 instead"),
    ({"hard_negatives": -1}, "hard_negatives must be 0 or more. Got -1 instead"),
    ({"log_q": torch.zeros(3)}, r"log_q must be of shape \[14\]. Got \[3\] instead"),
    ({"mask": torch.ones(14, 9, dtype=torch.bool)}, r"mask must be of shape \[9, 14\]. Got \[14, 9\] instead"),
    ({"weights": torch.zeros(14)}, r"weights must be of shape \[9\]"),
    ({"positives": torch.arange(9) + 6}, "positives must be places among the 14 candidates. Got 6 to 14 instead"),
]


@pytest.mark.parametrize(("how", "message"), BAD)
def test_what_does_not_fit_is_refused(how: dict[str, Any], message: str) -> None:
    with pytest.raises(SerendipError, match=message):
        retrieval_softmax(*vectors(), **how)


def test_vectors_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SerendipError, match=r"queries must be \[b, d\] or \[b, heads, d\].*Got \[9, 5\] and \[14, 4\]"):
        retrieval_softmax(vectors()[0], vectors(d=4)[1])
    with pytest.raises(SerendipError, match="positives must be places among the 3 candidates"):
        retrieval_softmax(*vectors(9, 3))
