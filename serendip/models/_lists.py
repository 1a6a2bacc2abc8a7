"""Lists: what is learned where the order of items counts, and not what is foretold of each.

A list is an event with the items drawn against it; or, where a label is learned, some events of one user that have it,
which are put together anew in every epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Codes = NDArray[np.int64]
POINTWISE = "pointwise"

Loss = Annotated[
    Literal["pointwise", "hinge", "logistic", "softmax", "list_mle", "lambda_rank"],
    msgspec.Meta(
        description="What is learned: pointwise, of each event by itself; or the order of lists: every two items "
        "(hinge, logistic), the first (softmax), the whole order (list_mle), or what NDCG counts (lambda_rank). "
        "Scores then have no scale."
    ),
]
ListSize = Annotated[
    int, msgspec.Meta(ge=2, le=1000, description="Events of a list, at most, where the order of a label is learned.")
]


@dataclass(frozen=True)
class Lists:
    """Which rows of a step are compared with each other.

    Attributes:
        loss: by which error, one of `Loss` but pointwise.
        of: ``[m]`` the list of each row, rising from 0 without a gap.
    """

    loss: str
    of: Codes

    def error(self, scores: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
        """The mean error of the lists, from scores, labels and weights ``[m]`` of the rows."""
        import torch

        size = np.bincount(self.of)
        place = np.arange(len(self.of)) - (np.cumsum(size) - size)[self.of]
        at = torch.from_numpy(self.of * size.max() + place).to(scores.device)
        shape = (len(size), int(size.max()))

        def laid(values: Tensor, blank: float) -> Tensor:
            return values.new_full((shape[0] * shape[1],), blank).index_copy(0, at, values).view(shape)

        shares = None if weights is None else laid(weights, 0.0)
        found: Tensor = _error_of(self.loss)(laid(scores, 0.0), laid(labels, -1.0), shares)
        return found


def in_lists(
    rows: Codes, users: NDArray[np.integer[Any]], size: int, batch_size: int, rng: np.random.Generator
) -> Iterator[tuple[Codes, Codes]]:
    """All rows once, as lists of one user's in random order, about ``batch_size`` of them at a time.

    Args:
        rows: of events.
        users: ``[m]`` of all events, whose each is.
        size: of a list, at most.
        batch_size: rows of a step; a step ends with a list.
        rng: the source of chance.

    Yields:
        Rows, and the list of each, rising from 0.
    """
    mixed = rng.permutation(rows)
    mixed = mixed[np.argsort(users[mixed], kind="stable")]
    own = users[mixed]
    begins = np.flatnonzero(np.concatenate([[True], own[1:] != own[:-1]]))
    events = np.diff(np.append(begins, len(mixed)))
    rank = np.arange(len(mixed)) - np.repeat(begins, events)
    starts = np.flatnonzero(rank % size == 0)
    sizes = np.diff(np.append(starts, len(mixed)))
    order = rng.permutation(len(starts))
    step = (np.cumsum(sizes[order]) - sizes[order]) // batch_size
    for chosen in np.split(order, np.flatnonzero(np.diff(step)) + 1):
        many = sizes[chosen]
        within = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        yield mixed[np.repeat(starts[chosen], many) + within], np.repeat(np.arange(len(chosen)), many)


def _error_of(loss: str) -> Any:
    from serendip.nn.losses import lambda_rank, list_mle, listwise_softmax, pairwise_hinge, pairwise_logistic

    return {
        "hinge": pairwise_hinge,
        "logistic": pairwise_logistic,
        "softmax": listwise_softmax,
        "list_mle": list_mle,
        "lambda_rank": lambda_rank,
    }[loss]


__all__ = ["POINTWISE", "ListSize", "Lists", "Loss", "in_lists"]
