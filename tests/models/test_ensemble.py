from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serendip.data.synthetic import planted_factors
from serendip.evaluate import evaluate, last_out
from serendip.model import Run, find
from serendip.models.ensemble import Ensemble
from serendip.types import SerendipError


def test_scores_are_the_weighted_sum_of_what_the_models_say() -> None:
    data = planted_factors(users=120, items=50, events=12).data
    options = {"item_knn": {"neighbours": 50}, "ease": {"reg": 20.0}}
    model = Ensemble(models=("item_knn", "ease"), weights=(1.0, 3.0), options=options)
    scores = model.fit(data, Run(threads=1)).score(data.queries())
    expected = np.zeros(scores.shape)
    for weight, (name, own) in zip((1, 3), options.items(), strict=True):
        part = find(name)(**own).fit(data).score(data.queries()).astype(np.float64)
        part[np.isinf(part)] = np.nan
        standard = (part - np.nanmean(part, axis=1, keepdims=True)) / np.nanstd(part, axis=1, keepdims=True)
        expected += weight * np.where(np.isnan(standard), np.nanmin(standard, axis=1, keepdims=True), standard)
    np.testing.assert_allclose(scores, expected, atol=1e-3)


def test_it_is_no_worse_than_its_worst_model() -> None:
    split = last_out(planted_factors(users=400, items=80, events=15).data)
    means = [
        float(np.mean(evaluate(model.fit(split.train), split, ("ndcg@10",)).values["ndcg@10"]))
        for model in (Ensemble(models=("ease", "item_knn")), find("ease")(), find("item_knn")())
    ]
    assert means[0] >= min(means[1:])


def test_models_are_fitted_one_after_the_other() -> None:
    data = planted_factors(users=60, items=30, events=10).data
    steps: list[tuple[int, int]] = []
    Ensemble(models=("item_knn", "popular")).fit(data, Run(progress=lambda done, total: steps.append((done, total))))
    assert steps == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"models": ("ease",)}, "models must be two or more different ones.* Got ease instead. Try spectral and ials"),
        ({"models": ()}, "Got none instead"),
        ({"models": ("ease", "ease")}, "Got ease, ease instead"),
        ({"models": ("ease", "ensemble")}, "none of them an ensemble"),
        ({"weights": (1.0,)}, "weights must be 2 numbers above 0, one per model. Got 1 instead"),
        ({"weights": (1.0, 0.0)}, "Got 1, 0 instead"),
        ({"weights": (1.0, float("nan"))}, "Got 1, nan instead"),
        ({"options": {"popular": {}}}, "options must be of one of the models spectral, ials. Got 'popular' instead"),
        ({"options": {"ials": {"factor": 3}}}, "ials has no option 'factor'. Did you mean 'factors'"),
        ({"models": ("ease", "iasl")}, "Did you mean 'ials'"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(SerendipError, match=text):
        Ensemble(**options).fit(planted_factors(users=20, items=10, events=4).data)
