"""Whether one evaluated model is better than another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from serendip.evaluate.evaluation import Evaluation
from serendip.evaluate.metrics import define
from serendip.evaluate.significance import Paired, paired
from serendip.types import SerendipError


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether one model is better than another on the same queries.

    Attributes:
        metric: the figure compared.
        a, b: the names of the two; the difference is a − b.
        a_mean, b_mean: their means over the queries where both have a value.
        paired: the difference, its interval, p-value and verdict.
    """

    metric: str
    a: str
    b: str
    a_mean: float
    b_mean: float
    paired: Paired

    def __str__(self) -> str:
        found = self.paired
        verdict = f"{self.a} is {found.verdict} than {self.b}"
        if found.verdict == "no difference shown":
            verdict = f"no difference shown between {self.a} and {self.b}"
        return (
            f"{self.metric}: {verdict} ({self.a_mean:.4f} and {self.b_mean:.4f}, difference {found.difference:+.4f} "
            f"[{found.low:+.4f}, {found.high:+.4f}], p = {found.p_value:.4f}, n = {found.n:,})"
        )


def compare(a: Evaluation, b: Evaluation, metric: str) -> Comparison:
    """Whether ``a`` is better than ``b``: paired over the queries, see `serendip.evaluate.significance.paired`.

    Raises:
        SerendipError: evaluations of different queries, a figure that is not per query, or one that says nothing about
            being right (``novelty`` …), or values that were not stored.
    """
    kind = define(metric)[0].kind
    if kind not in ("rank", "scores"):
        raise SerendipError(
            f"compare needs a metric per query that is better when higher, such as ndcg@10. Got {metric!r} instead."
        )
    if a.questions != b.questions:
        raise SerendipError(
            f"compare needs evaluations of the same split. Got {a.name} on {a.split} and {b.name} on {b.split}, whose "
            "queries or held-out items differ. Try evaluating both on one Split."
        )
    first, second = a.of(metric), b.of(metric)
    both = ~np.isnan(first - second)
    return Comparison(
        metric,
        a.name,
        b.name,
        float(first[both].mean()) if both.any() else float("nan"),
        float(second[both].mean()) if both.any() else float("nan"),
        paired(first, second, seed=a.seed),
    )
