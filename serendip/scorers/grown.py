"""A scorer of a larger catalogue, for which what is new is as unknown as what never occurred."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.scorers.blend import Blend
from serendip.scorers.calibrated import Calibrated
from serendip.scorers.factors import Factors
from serendip.scorers.filters import SparsePlusLowRank
from serendip.scorers.grouped import GroupedScores
from serendip.scorers.items import DenseItemToItem, ItemToItem
from serendip.scorers.labelled import LabelScorer, LabelWeights
from serendip.scorers.neighbourhood import GraphLayers, NeighbourSums
from serendip.scorers.neighbours import RatingNeighbours
from serendip.scorers.posterior import PosteriorFactors
from serendip.scorers.profiles import Profiles
from serendip.scorers.ranked import RankScorer
from serendip.scorers.ratings import Biases, RatingFactors
from serendip.scorers.slopes import Slopes
from serendip.scorers.static import StaticScores
from serendip.scorers.summed import Summed
from serendip.scorers.tasks import JointScorer, TaskScorer
from serendip.scorers.towers import MaxSimScorer, TowerScorer
from serendip.scorers.users import UserNeighbours
from serendip.scorers.weights import WeightScorer
from serendip.types import Scorer, SerendipError

Side = Literal["users", "items"]


@dataclass(frozen=True)
class Axes:
    """How an array of a scorer grows.

    Attributes:
        sides: what each axis stands for; None: it stays as it is.
        fill: of what is new.
        before_last: whether the last place of the axis stands for the unknown: it stays last, and what is new is like
            it.
    """

    sides: tuple[Side | None, ...]
    fill: float = 0.0
    before_last: bool = False


TOWERS = {"items": Axes(("items", None), np.nan), "told": Axes(("items", None), np.nan)}
BIASES = {"user_bias": Axes(("users",), np.nan), "item_bias": Axes(("items",), np.nan)}
GROWTH: dict[type[Any], dict[str, Axes]] = {
    StaticScores: {"scores": Axes(("items",), -np.inf)},
    GroupedScores: {"scores": Axes(("items",)), "counts": Axes((None, "items"))},
    ItemToItem: {"weights": Axes(("items", "items"))},
    DenseItemToItem: {"weights": Axes(("items", "items")), "known": Axes(("items",))},
    Factors: {"items": Axes(("items", None), np.nan)},
    Profiles: {"features": Axes(("items", None))},
    Summed: {
        "items": Axes(("items", None), np.nan),
        "history": Axes(("items", None), np.nan),
        "own": Axes(("items",)),
    },
    NeighbourSums: {
        "own": Axes(("users", None)),
        "left": Axes(("items", None), np.nan),
        "right": Axes(("items", None), np.nan),
        "bias": Axes(("items",)),
    },
    GraphLayers: {
        "own": Axes(("users", None)),
        "left": Axes((None, "items", None), np.nan),
        "right": Axes(("items", None), np.nan),
        "bias": Axes(("items",)),
    },
    SparsePlusLowRank: {
        "weights": Axes(("items", "items")),
        "left": Axes(("items", None)),
        "right": Axes(("items", None)),
        "known": Axes(("items",)),
    },
    TowerScorer: TOWERS,
    RankScorer: TOWERS,
    TaskScorer: TOWERS,
    JointScorer: TOWERS,
    WeightScorer: TOWERS,
    LabelScorer: TOWERS,
    LabelWeights: TOWERS,
    MaxSimScorer: TOWERS,
    UserNeighbours: {"rows": Axes(("users", "items")), "emphasis": Axes(("items",))},
    Biases: BIASES,
    RatingFactors: {**BIASES, "users": Axes(("users", None)), "items": Axes(("items", None))},
    PosteriorFactors: {
        **BIASES,
        "users": Axes((None, "users", None), before_last=True),
        "items": Axes((None, "items", None), before_last=True),
    },
    Slopes: {
        **BIASES,
        "weights": Axes(("items", "items")),
        "differences": Axes(("items", "items")),
        "rated": Axes(("users", "items")),
    },
}
"""The arrays of each kind of scorer that have a place for every user or item."""


def grown(scorer: Scorer, n_users: int, n_items: int) -> Scorer:
    """The scorer with places for so many users and items; it scores as before, and new items ``-inf``.

    Raises:
        SerendipError: a scorer of a kind that cannot grow.
    """
    if isinstance(scorer, Blend):
        return replace(scorer, parts=tuple(grown(part, n_users, n_items) for part in scorer.parts))
    if isinstance(scorer, Calibrated):
        return replace(scorer, part=grown(scorer.part, n_users, n_items))
    axes = _by_side(scorer) if isinstance(scorer, RatingNeighbours) else GROWTH.get(type(scorer))
    if axes is None:
        kind = getattr(scorer, "kind", type(scorer).__name__)
        raise SerendipError(f"the scorer {kind!r} cannot take in new users or items. Try: fit again.")
    sizes = {"users": n_users, "items": n_items}
    value: Any = scorer
    changes = {name: _grown(getattr(value, name), how, sizes) for name, how in axes.items()}
    made: Scorer = replace(value, **changes)
    return made


def _by_side(scorer: RatingNeighbours) -> dict[str, Axes]:
    targets: Side = "items" if scorer.by == "item" else "users"
    others: Side = "users" if scorer.by == "item" else "items"
    return {
        **BIASES,
        "similar": Axes((targets, targets)),
        "rated": Axes((others, targets)),
        "centre": Axes((targets,)),
        "scale": Axes((targets,), 1.0),
    }


def _grown(array: Any, how: Axes, sizes: dict[str, int]) -> Any:
    spare = int(how.before_last)
    shape = tuple(
        size if side is None else sizes[side] + spare for side, size in zip(how.sides, array.shape, strict=True)
    )
    if isinstance(array, csr_array):
        ends = np.full(shape[0] + 1 - len(array.indptr), array.indptr[-1], array.indptr.dtype)
        return csr_array((array.data, array.indices, np.concatenate([array.indptr, ends])), shape=shape)
    out: NDArray[Any] = np.full(shape, how.fill, array.dtype)
    if how.before_last:
        axis = next(place for place, side in enumerate(how.sides) if side is not None)
        last = [slice(None)] * array.ndim
        last[axis] = slice(-1, None)
        out[:] = array[tuple(last)]
    out[tuple(slice(size) for size in array.shape)] = array
    return out


__all__ = ["GROWTH", "grown"]
