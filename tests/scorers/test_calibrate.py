from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import optimize

from serendip.evaluate import expected_calibration_error, logloss
from serendip.scorers.calibrate import CLIP, Calibration, Kind
from serendip.types import SerendipError

NAN, INF = np.nan, np.inf
KINDS: tuple[Kind, ...] = ("isotonic", "platt")


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def pooled(labels: list[float]) -> list[float]:
    """Pool adjacent violators, one after another."""
    blocks: list[list[float]] = []
    for label in labels:
        blocks.append([label])
        while len(blocks) > 1 and np.mean(blocks[-2]) >= np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    return [float(np.mean(block)) for block in blocks for _ in block]


def test_isotonic_by_hand() -> None:
    # 1 before 0 is pooled: blocks {1}: 0, {2, 4}: ½, {6}: 1, with the centres 1, 3 and 6.
    found = Calibration.fit([6, 2, 4, 1, 9], [1, 1, 0, 0, NAN])
    assert found.centres.tolist() == [1, 3, 6]
    assert found.levels.tolist() == [0, 0.5, 1]
    np.testing.assert_allclose(found([0, 1, 2, 3, 4.5, 6, 99]), [0, 0, 0.25, 0.5, 0.75, 1, 1])


def test_weights_are_copies_for_both() -> None:
    rng = np.random.default_rng(0)
    scores, labels, weights = rng.integers(0, 9, 60) / 3, rng.integers(0, 2, 60), rng.integers(0, 4, 60)
    for kind in KINDS:
        weighted = Calibration.fit(scores, labels, weights, kind)
        copied = Calibration.fit(np.repeat(scores, weights), np.repeat(labels, weights), kind=kind)
        at = np.linspace(-1, 4, 50)
        np.testing.assert_allclose(weighted(at), copied(at), rtol=1e-5)


def test_isotonic_against_pooling_one_after_another() -> None:
    rng = np.random.default_rng(1)
    scores = rng.permutation(80).astype(np.float64)
    labels = (rng.random(80) < scores / 80) * 1.0
    found = Calibration.fit(scores, labels)
    expected = np.array(pooled(labels[np.argsort(scores)].tolist()))
    levels = np.unique(expected)
    np.testing.assert_allclose(found.levels, levels)
    np.testing.assert_allclose(found.centres, [np.flatnonzero(expected == level).mean() for level in levels])


def test_tied_scores_are_one_score() -> None:
    found = Calibration.fit([1, 1, 1, 1, 2], [1, 0, 0, 0, 1])
    np.testing.assert_allclose(found([1, 2]), [0.25, 1])


def test_platt_by_hand() -> None:
    # Two scores, ±1, with the targets 3/4 (two positives) and 1/4: the sigmoid goes through both, at ± log 3.
    found = Calibration.fit([1, 1, -1, -1], [1, 1, 0, 0], kind="platt")
    assert (found.slope, found.intercept) == pytest.approx((math.log(3), 0))
    assert found([1.0, 0, -1]) == pytest.approx([0.75, 0.5, 0.25])


def test_platt_against_a_general_minimiser() -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(40, 7, 300)
    labels, weights = rng.random(300) < sigmoid((scores - 45) / 4), rng.random(300)
    ones, zeros = weights[labels].sum(), weights[~labels].sum()
    target = np.where(labels, (ones + 1) / (ones + 2), 1 / (zeros + 2))

    def loss(at: Any) -> float:
        z = at[0] * (scores - 40) / 7 + at[1]
        return float(weights @ (np.logaddexp(0, z) - target * z))

    best = optimize.minimize(loss, [0, 0], method="BFGS", tol=1e-10).x
    found = Calibration.fit(scores, labels, weights, "platt")
    assert (found.slope * 7, found.intercept + 40 * found.slope) == pytest.approx(tuple(best), abs=1e-4)


def test_platt_takes_the_logit_of_probabilities() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(size=4000) * 3
    labels = rng.random(4000) < sigmoid(0.5 * logits - 1)
    found = Calibration.fit(sigmoid(logits), labels, kind="platt", probabilities=True)
    same = Calibration.fit(logits, labels, kind="platt")
    assert (found.slope, found.intercept) == pytest.approx((same.slope, same.intercept))
    assert (same.slope, same.intercept) == pytest.approx((0.5, -1), abs=0.1)
    edge = math.log(CLIP) - math.log1p(-CLIP)
    assert found([-5, 0, 1, 7]) == pytest.approx(
        sigmoid(found.slope * np.array([edge, edge, -edge, -edge]) - -found.intercept)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_distorted_comes_true_on_rows_it_has_not_seen(kind: Kind) -> None:
    rng = np.random.default_rng(4)
    logits = rng.normal(-1, 1.5, 20_000)
    labels = rng.random(20_000) < sigmoid(logits)
    distorted = sigmoid(2.5 * logits + 1)  # too sure, and too high
    learned, held = slice(0, 10_000), slice(10_000, None)
    found = Calibration.fit(distorted[learned], labels[learned], kind=kind, probabilities=True)(distorted[held])
    before = expected_calibration_error(labels[held], distorted[held], 20)
    assert before > 0.1
    assert expected_calibration_error(labels[held], found, 20) < 0.2 * before
    assert logloss(labels[held], found) < logloss(labels[held], distorted[held]) - 0.05
    assert logloss(labels[held], found) == pytest.approx(logloss(labels[held], sigmoid(logits[held])), abs=0.005)


HUGE = np.finfo(np.float64).max


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6, HUGE])
@pytest.mark.parametrize("probabilities", [False, True])
def test_it_never_falls_and_is_finite(kind: Kind, scale: float, probabilities: bool) -> None:
    rng = np.random.default_rng(5)
    scores = rng.uniform(-1, 1, 200) * scale
    found = Calibration.fit(scores, rng.random(200) < sigmoid(3 * (scores / scale)), None, kind, probabilities)
    near = np.nextafter(np.repeat(found.centres, 3), np.tile([-INF, 0, INF], len(found.centres)))
    at = np.concatenate([rng.uniform(-1, 1, 2000) * scale, rng.normal(size=500), near, scores, [-HUGE, HUGE, 0, -0.0]])
    chances = found(np.sort(at))
    assert chances.dtype == np.float32
    assert np.isfinite(chances).all()
    assert (chances >= 0).all()
    assert (chances <= 1).all()
    assert (np.diff(chances) >= 0).all()
    np.testing.assert_array_equal(found([[-INF, NAN, INF]]), [[chances[0], NAN, chances[-1]]])
    assert found(np.empty((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_that_say_nothing_give_the_average(kind: Kind) -> None:
    rng = np.random.default_rng(6)
    same = Calibration.fit(np.full(1000, 3.0), np.arange(1000) < 300, kind=kind)
    wrong = Calibration.fit(np.arange(1000.0), np.arange(1000) < 300, kind=kind)
    for found in (same, wrong):
        assert found(rng.normal(size=5) * 1e4) == pytest.approx(0.3, abs=0.001)
    alone = Calibration.fit([1, 2, 3], [1, 1, 1], kind=kind)
    assert alone([0.0, 9]) == pytest.approx(1.0 if kind == "isotonic" else 0.8)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_stored_as_arrays(kind: Kind) -> None:
    rng = np.random.default_rng(7)
    found = Calibration.fit(rng.random(90), rng.integers(0, 2, 90), kind=kind, probabilities=True)
    tensors, header = found.arrays()
    assert set(tensors) == {"centres", "levels"}
    again = Calibration.from_arrays(tensors, json.loads(json.dumps(header)))
    assert again.probabilities
    at = np.linspace(-1, 2, 100)
    np.testing.assert_array_equal(again(at), found(at))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"kind": "beta"}, "the field kind of the header is wrong"),
        ({"centres": np.array([1.0, 1])}, "centres must rise"),
        ({"centres": np.array([1.0, NAN])}, "centres must be finite"),
        ({"levels": np.array([0.5, 0.25])}, "levels must not fall"),
        ({"levels": np.array([0.5, 1.5])}, "levels must lie in 0 … 1"),
        ({"levels": np.array([0.5])}, "centres and levels must fit"),
        ({"levels": np.array([0.5, 1], np.float32)}, "the tensor levels must be float64"),
        ({"centres": np.empty(0), "levels": np.empty(0)}, "isotonic, and no other, has centres"),
        ({"kind": "platt"}, "isotonic, and no other, has centres"),
        ({"slope": -1.0}, "slope must be finite and at least 0"),
        ({"slope": NAN}, "slope must be finite and at least 0"),
        ({"intercept": INF}, "intercept must be finite"),
        ({"more": 1}, "it has more besides"),
    ],
)
def test_what_is_not_sound_is_not_read(change: dict[str, Any], text: str) -> None:
    tensors, header = Calibration.fit([1, 2], [0, 1]).arrays()
    tensors |= {name: value for name, value in change.items() if isinstance(value, np.ndarray)}
    header |= {name: value for name, value in change.items() if not isinstance(value, np.ndarray)}
    with pytest.raises(SerendipError, match=text):
        Calibration.from_arrays(tensors, header)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Calibration.fit([1, 2], [0, 1], kind="beta"), r"kind must be one of isotonic, platt\. Got 'beta'"),  # type: ignore[arg-type]
        (lambda: Calibration.fit([1, 2], [0]), r"must be vectors of one length\. Got the shapes \(2,\), \(1,\)"),
        (lambda: Calibration.fit([1, 2], [0, 2]), r"labels to calibrate by must be 0 or 1"),
        (lambda: Calibration.fit([1, -INF], [0, 1]), r"scores to calibrate must be finite"),
        (lambda: Calibration.fit([1, 2], [0, 1], [1, -1]), r"weights must be finite and at least 0"),
        (lambda: Calibration.fit([1, 2], [NAN, 1], [1, 0]), r"a calibration needs rows to learn from"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(call: Callable[[], Any], text: str) -> None:
    with pytest.raises(SerendipError, match=text):
        call()
