"""From scores to probabilities that come true as often as they say: isotonic regression or Platt's sigmoid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from serendip.scorers.common import require
from serendip.scorers.tensors import Header, Tensors, pack, unpack
from serendip.types import Floats, SerendipError

Kind = Literal["isotonic", "platt"]
Values = NDArray[np.float64]

CLIP = 1e-7
"""How near to 0 and 1 a probability may come before its logit is taken."""

_STEPS = 100
_LARGEST = float(np.finfo(np.float64).max)


def _nothing() -> Values:
    return np.empty(0)


@dataclass(frozen=True, eq=False)
class Calibration:
    """A function from scores to probabilities that never falls.

    ``isotonic`` joins the centres of blocks of scores by straight lines and is level beyond the outermost;
    ``platt`` is ``1 / (1 + exp(−(slope · x + intercept)))``, x being the score, or its logit where scores are
    probabilities.

    Attributes:
        kind: ``isotonic`` or ``platt``.
        probabilities: whether scores are probabilities. Of ``isotonic`` it changes nothing.
        slope, intercept: of ``platt``; the slope is at least 0.
        centres: ``[b]`` rising scores, of ``isotonic``.
        levels: ``[b]`` the probability at each centre.
    """

    kind: Kind
    probabilities: bool = False
    slope: float = 1.0
    intercept: float = 0.0
    centres: Values = field(default_factory=_nothing)
    levels: Values = field(default_factory=_nothing)

    def __post_init__(self) -> None:
        require(self, self.centres.ndim == 1 and self.centres.shape == self.levels.shape, "centres and levels must fit")
        require(self, (len(self.centres) > 0) == (self.kind == "isotonic"), "isotonic, and no other, has centres")
        require(self, bool(np.isfinite(self.centres).all()), "centres must be finite")
        require(self, bool((self.centres[1:] > self.centres[:-1]).all()), "centres must rise")
        require(self, bool(((self.levels >= 0) & (self.levels <= 1)).all()), "levels must lie in 0 … 1")
        require(self, bool((self.levels[1:] >= self.levels[:-1]).all()), "levels must not fall")
        require(self, 0 <= self.slope < np.inf, "slope must be finite and at least 0")
        require(self, -np.inf < self.intercept < np.inf, "intercept must be finite")

    @classmethod
    def fit(
        cls,
        scores: ArrayLike,
        labels: ArrayLike,
        weights: ArrayLike | None = None,
        kind: Kind = "isotonic",
        probabilities: bool = False,
    ) -> Self:
        """Learn from rows that nothing else was learned from. Rows whose label is NaN are left out.

        ``isotonic`` needs some thousands of rows; ``platt`` learns two numbers, from targets held away from 0 and 1,
        ``(N₊ + 1) / (N₊ + 2)`` and ``1 / (N₋ + 2)`` with N the weights of each class. Where higher scores come true
        less often, either is level at what came true on average.
        Source: Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability estimates",
        KDD 2002, for ``isotonic``, where the lines between blocks are ours; Platt, "Probabilistic outputs for support
        vector machines", 1999.

        Args:
            scores: ``[m]`` finite.
            labels: ``[m]`` 0, 1 or NaN.
            weights: ``[m]`` at least 0; None: 1 each.
            kind: ``isotonic`` or ``platt``.
            probabilities: whether scores are probabilities, so that ``platt`` must take their logit.

        Raises:
            SerendipError: another kind or label, lengths that differ, scores or weights that are not finite, negative
                weights, or no row to learn from.
        """
        if kind not in get_args(Kind):
            raise SerendipError(f"kind must be one of {', '.join(get_args(Kind))}. Got {kind!r} instead.")
        s, y, w = _learned_from(scores, labels, weights)
        if kind == "platt":
            slope, intercept = _platt(_logit(s) if probabilities else s, y, w)
            return cls(kind, probabilities, slope=slope, intercept=intercept)
        centres, levels = _isotonic(s, y, w)
        return cls(kind, probabilities, centres=centres, levels=levels)

    @property
    def unchanged(self) -> bool:
        """Whether probabilities stay as they are, and scores are taken for log-odds."""
        return self.kind == "platt" and self.slope == 1 and self.intercept == 0

    def __call__(self, scores: ArrayLike) -> Floats:
        """The probabilities, float32, of any shape; infinite scores count as the largest finite ones, NaN gives NaN."""
        given = np.asarray(scores, np.float64)
        s = np.nan_to_num(given, posinf=_LARGEST, neginf=-_LARGEST)
        chances = self._joined(s) if self.kind == "isotonic" else self._sigmoid(s)
        return np.asarray(np.where(np.isnan(given), np.nan, chances), np.float32)

    def arrays(self) -> tuple[Tensors, Header]:
        """As named tensors and a JSON-able header, from which `from_arrays` makes it again."""
        return pack(self)

    @classmethod
    def from_arrays(cls, tensors: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Self:
        """The inverse of `arrays`, for input that is not trusted. The arrays are not copied.

        Raises:
            SerendipError: something is missing or superfluous, of the wrong type, or outside its bounds.
        """
        found: Self = unpack("the calibration", cls, tensors, header)
        return found

    def _joined(self, s: Values) -> Values:
        """Between two centres the line, never outside the levels at both, whatever rounding does."""
        right = np.clip(np.searchsorted(self.centres, s), 1, max(len(self.centres) - 1, 1))
        left, right = right - 1, np.minimum(right, len(self.centres) - 1)
        begin, low, high = self.centres[left], self.levels[left], self.levels[right]
        inside = np.clip(s, begin, self.centres[right])
        gap = self.centres[right] / 2 - begin / 2  # halves, lest the difference of two large numbers overflow
        part = np.divide(inside / 2 - begin / 2, gap, out=np.zeros(s.shape), where=gap > 0)
        return np.clip(low + part * (high - low), low, high)

    def _sigmoid(self, s: Values) -> Values:
        with np.errstate(over="ignore"):  # a steep slope leads to infinity, whose sigmoid is 0 or 1
            z = self.slope * (_logit(s) if self.probabilities else s) + self.intercept
        return np.asarray(np.exp(-np.logaddexp(0, -z)))


def _learned_from(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None) -> tuple[Values, Values, Values]:
    """Scores, labels and weights of the rows that count, as float64."""
    s, y = np.asarray(scores, np.float64), np.asarray(labels, np.float64)
    w = np.ones(y.shape) if weights is None else np.asarray(weights, np.float64)
    if not (s.ndim == 1 and s.shape == y.shape == w.shape):
        raise SerendipError(
            "scores, labels and weights must be vectors of one length. "
            f"Got the shapes {s.shape}, {y.shape} and {w.shape} instead."
        )
    have = ~np.isnan(y)
    if not bool(np.isin(y[have], (0, 1)).all()):
        raise SerendipError("labels to calibrate by must be 0 or 1, or NaN where none is known. Got others.")
    if not bool(((w >= 0) & (w < np.inf)).all()):
        raise SerendipError("weights must be finite and at least 0. Got others.")
    have &= w > 0
    if not have.any():
        raise SerendipError("a calibration needs rows to learn from. Got none with a label and a weight above 0.")
    if not bool(np.isfinite(s[have]).all()):
        raise SerendipError("scores to calibrate must be finite. Got others. Try without the rows that have no score.")
    return s[have], y[have], w[have]


def _isotonic(s: Values, y: Values, w: Values) -> tuple[Values, Values]:
    """Centres and levels of the blocks that pooling adjacent violators leaves."""
    from scipy.optimize import isotonic_regression

    distinct, place = np.unique(s, return_inverse=True)
    weight = np.bincount(place, w)
    pooled = isotonic_regression(np.bincount(place, w * y) / weight, weights=weight)
    begin, end = pooled.blocks[:-1], pooled.blocks[1:]
    block = np.repeat(np.arange(len(begin)), np.diff(pooled.blocks))
    portion = weight / np.add.reduceat(weight, begin)[block]
    centres = np.clip(np.add.reduceat(portion * distinct, begin), distinct[begin], distinct[end - 1])
    return centres, np.clip(pooled.x[begin], 0, 1)


def _platt(x: Values, y: Values, w: Values) -> tuple[float, float]:
    """Slope and intercept of least cross-entropy to the smoothed targets, by Newton's method with halved steps."""
    ones, zeros = float(w @ y), float(w @ (1 - y))
    target = np.where(y == 1, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    level = float(w @ target / w.sum())
    flat = 0.0, float(np.log(level / (1 - level)))
    scale = float(np.abs(x).max()) or 1.0
    x = x / scale
    centre = float(np.average(x, weights=w))
    spread = float(np.sqrt(np.average((x - centre) ** 2, weights=w)))
    if not spread > 0:
        return flat
    design = np.column_stack([(x - centre) / spread, np.ones(len(x))])
    slope, intercept = _newton(design, target, w / w.sum(), np.array(flat))
    if slope <= 0:
        return flat
    slope = slope / spread
    return slope / scale, intercept - slope * centre


def _newton(design: Values, target: Values, w: Values, start: Values) -> tuple[float, float]:
    def loss(at: Values) -> float:
        z = design @ at
        return float(w @ (np.logaddexp(0, z) - target * z))

    at, now = start, loss(start)
    for _ in range(_STEPS):
        p = np.exp(-np.logaddexp(0, -(design @ at)))
        gradient = design.T @ (w * (p - target))
        curvature = (design * (w * p * (1 - p))[:, None]).T @ design
        step = np.linalg.solve(curvature + 1e-12 * np.eye(2), gradient)
        while (then := loss(at - step)) > now and np.abs(step).max() > 1e-12:
            step = step / 2
        if np.abs(step).max() <= 1e-12:
            break
        at, now = at - step, then
    return float(at[0]), float(at[1])


def _logit(probabilities: Values) -> Values:
    p = np.clip(probabilities, CLIP, 1 - CLIP)
    return np.asarray(np.log(p) - np.log1p(-p))
