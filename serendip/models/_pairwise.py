"""What `bpr` and `warp` share: the first vectors, the epochs, and the refusal of steps that run away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_array

from serendip.data.dataset import Dataset
from serendip.model import Run
from serendip.models._history import answering
from serendip.models._room import factors_fit
from serendip.models._sound import sound
from serendip.scorers import Summed
from serendip.types import Floats, SerendipError


@dataclass(frozen=True, slots=True)
class Descent:
    """How a model goes down.

    Attributes:
        model: its name, for errors.
        factors, epochs, learning_rate, stddev: as the options.
        schedule: whether the step falls evenly to 0 over the epochs or stays.
        adaptive: whether Adagrad's sums are kept.
    """

    model: str
    factors: int
    epochs: int
    learning_rate: float
    stddev: float
    schedule: Literal["linear", "constant"]
    adaptive: bool


Step = Callable[[Any, Floats, Floats, list[Floats], np.float32], None]
"""``step(part, users, user_sums, [items, bias, item_sums, bias_sums], learning_rate)``: learn from one part."""


def descend(data: Dataset, run: Run, descent: Descent, step: Step) -> Summed:
    """Learn vectors of users and items by so many epochs, and what answers from them.

    Raises:
        SerendipError: the vectors do not fit into memory, or the numbers grew without bound.
    """
    from serendip.kernels.strata import Strata

    rng = np.random.default_rng(run.seed)
    full = data.matrix()
    known = np.bincount(full.indices, minlength=full.shape[1]) > 0
    matrix = csr_array(full[rng.permutation(np.flatnonzero(np.diff(full.indptr)))][:, known])
    factors_fit(descent.model, sum(matrix.shape), descent.factors, 5 if descent.adaptive else 4)
    deviation = descent.stddev / descent.factors**0.5
    users, items = (rng.normal(0, deviation, (n, descent.factors)).astype(np.float32) for n in matrix.shape)
    bias = np.zeros(len(items), np.float32)
    learned = [items, bias]
    # Adagrad's sums begin at 1, so that the first steps are not larger than the step size.
    sums = [np.ones_like(table) for table in (users, items, bias)] if descent.adaptive else []
    user_sums = sums[0] if sums else np.empty((0, 0), np.float32)
    strata = Strata(matrix, [*learned, *sums[1:]], rng=rng, threads=run.threads)
    for done in range(descent.epochs):
        rate = descent.learning_rate * (1 - done / descent.epochs if descent.schedule == "linear" else 1)
        _epoch(strata, users, user_sums, step, np.float32(rate))
        _finite(descent, users, *strata.items[:2])
        run.report(done + 1, descent.epochs)
    items, bias = (strata.by_item(table) for table in strata.items[:2])
    return answering(matrix, users, items, bias, known, rng, run.threads)


def _epoch(strata: Any, users: Floats, user_sums: Floats, step: Step, rate: np.float32) -> None:
    strata.epoch(lambda part: step(part, users, user_sums, strata.items, rate))


def _finite(descent: Descent, *tables: Floats) -> None:
    if not sound(*tables):
        raise SerendipError(
            f"{descent.model}: learning_rate must be small enough for the descent to converge. Got "
            f"{descent.learning_rate:g}, with which the vectors grew without bound. Try a tenth of it."
        )
