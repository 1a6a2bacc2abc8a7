"""What rankers of one label share: options, what they learn from, and their loss.

They learn from what the events say, by the option ``label``: each event is a row, with the label it has; or, without a
label, each event with interest is a positive, and items drawn for the same query are negatives. By the option ``loss``
it is the order of lists that counts, and not the label of each.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.models._fields import (
    DEEP,
    INTEREST,
    WIDE,
    Codes,
    Dropout,
    Factors,
    FieldsConfig,
    FieldsModel,
    Hidden,
    Layers,
    Layout,
    Taught,
    error_of,
    label_of,
    some,
    start_of,
)
from serendip.models._lists import POINTWISE, Lists, ListSize, Loss, in_lists
from serendip.types import Floats, SerendipError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from serendip.data.schema import LabelKind
    from serendip.scorers.ranked import RankScorer


class RankingConfig(FieldsConfig, frozen=True):
    """Options that rankers share."""

    label: Annotated[
        str | None,
        msgspec.Meta(
            description="The label of the events that is learned; none: interest, against items drawn as negatives."
        ),
    ] = None
    loss: Loss = "pointwise"
    list_size: ListSize = 10


class VectorConfig(RankingConfig, frozen=True):
    """Options of rankers whose fields have vectors."""

    factors: Factors = 16


class DeepConfig(VectorConfig, frozen=True):
    """Options of rankers that have layers over all fields."""

    hidden: Hidden = 128
    layers: Layers = 2
    dropout: Dropout = 0.0

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the hidden layers."""
        return (self.hidden,) * self.layers


class RankingModel(FieldsModel):
    """One number for a query and an item."""

    config: RankingConfig

    @abstractmethod
    def parts(self, fields: Layout) -> tuple[nn.Module, ...]:
        """What scores the fields: each from ``[b, f, width]`` to ``[b]``; the score is their sum."""

    def network(self, fields: Layout, taught: Taught) -> tuple[nn.Module, ...]:
        """The same whatever the label is."""
        return self.parts(fields)

    def taught(self, data: Dataset) -> Taught:
        """By the option ``label``.

        Raises:
            SerendipError: no event says anything; or a label is below 0 where lists are learned.
        """
        label = self.config.label
        if label is None:
            rows = some(self.name, np.flatnonzero(data.events.weight > 0), "an event with interest")
            return Taught(rows, np.ones((len(data.events), 1), np.float32), {INTEREST: "binary"}, drawn=(0.0,))
        labels, kind = label_of(self.name, data, label)
        rows = some(self.name, np.flatnonzero(~np.isnan(labels)), f"an event with the label {label!r}")
        if self.config.loss != POINTWISE and labels[rows].min() < 0:
            raise SerendipError(
                f"{self.name}: the label {label!r} must be 0 or more for loss = {self.config.loss}. Got "
                f"{labels[rows].min():g}. Try loss = pointwise."
            )
        return Taught(rows, labels.astype(np.float32)[:, None], {label: kind})

    @property
    def labels(self) -> tuple[str, ...]:
        """The one that is foretold; none where its order alone is learned."""
        return super().labels if self.config.loss == POINTWISE else ()

    def dealt(
        self, rows: Codes, users: NDArray[np.integer[Any]], rng: np.random.Generator
    ) -> Iterator[tuple[Codes, Lists | None]]:
        """By the option ``loss``: one by one; each with what is drawn against it; or in lists of a user's."""
        o = self.config
        if o.loss == POINTWISE:
            yield from super().dealt(rows, users, rng)
        elif o.label is None:
            for some_rows, _ in super().dealt(rows, users, rng):
                yield some_rows, Lists(o.loss, np.arange(len(some_rows)).repeat(1 + o.negatives))
        else:
            for some_rows, of in in_lists(rows, users, o.list_size, o.batch_size, rng):
                yield some_rows, Lists(o.loss, of)

    def errors(
        self, net: Any, scores: Tensor, labels: Tensor, tasks: Mapping[str, LabelKind], weights: Tensor | None
    ) -> dict[str, Tensor]:
        """That of the label's kind, over the rows where it is known."""
        from serendip.nn.losses.pointwise import known

        values, mask = known(labels[:, 0])
        return {name: error_of(kind)(scores, values, weights, mask) for name, kind in tasks.items()}

    def begin(self, taught: Taught) -> Floats:
        """That of the mean label."""
        (kind,), (mean,) = taught.tasks.values(), taught.means(self.config.negatives)
        return np.array(start_of(kind, mean), np.float32)

    def scorer(self, net: Any, data: Dataset, **parts: Any) -> RankScorer:
        """The score is what the networks say; with a label, it foretells that."""
        from serendip.nn.lower import lower_ranker
        from serendip.scorers import LabelScorer

        found = lower_ranker(net, **parts)
        if not self.labels:
            return found
        ((label, kind),) = self.taught(data).tasks.items()
        return LabelScorer.of(found, label, kind)


__all__ = ["DEEP", "WIDE", "DeepConfig", "Layout", "RankingConfig", "RankingModel", "VectorConfig"]
