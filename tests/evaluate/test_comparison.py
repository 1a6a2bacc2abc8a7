from __future__ import annotations

from dataclasses import replace

import pytest

from serendip.evaluate import Evaluation, compare, evaluate, last_out
from serendip.types import SerendipError
from tests.evaluate.logs import Fixed, log


def test_comparison(found: tuple[Evaluation, Evaluation]) -> None:
    knows, guesses = found
    result = compare(knows, guesses, "ndcg@5")
    assert result.paired.verdict == "better"
    assert result.paired.difference == pytest.approx(result.a_mean - result.b_mean)
    assert str(result).startswith("ndcg@5: knows is better than guesses (")
    assert str(compare(guesses, knows, "auc")).startswith("auc: guesses is worse than knows (")
    assert str(compare(knows, knows, "auc")).startswith("auc: no difference shown between knows and knows (")


def test_what_cannot_be_compared(found: tuple[Evaluation, Evaluation]) -> None:
    elsewhere = last_out(log([(u, (u + t) % 5, t, 1.0) for u in range(9) for t in range(3)]))
    other = evaluate(Fixed([0]), elsewhere, ("ndcg@5", "recall@5"))
    with pytest.raises(SerendipError, match=r"evaluations of the same split\. Got knows on last_out and Fixed on"):
        compare(found[0], other, "ndcg@5")
    with pytest.raises(SerendipError, match="evaluations of the same split"):
        compare(found[0], replace(found[1], questions="others"), "ndcg@5")
    with pytest.raises(SerendipError, match=r"better when higher, such as ndcg@10\. Got 'gini@5'"):
        compare(found[0], found[1], "gini@5")
    with pytest.raises(SerendipError, match=r"metric must be one of ndcg@5, recall@5, gini@5, auc\. Got 'map@5'"):
        compare(found[0], found[1], "map@5")
