"""What rankers of one label share: options, what they learn from, and their loss.

They learn from what the events say, by the option ``label``: each event is a row, with the label it has; or, without a
label, each event with interest is a positive, and items drawn for the same query are negatives.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np

from serendip.data.dataset import Dataset
from serendip.models._fields import (
    DEEP,
    INTEREST,
    WIDE,
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
from serendip.types import Floats

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
            SerendipError: no event says anything.
        """
        label = self.config.label
        if label is None:
            rows = some(self.name, np.flatnonzero(data.events.weight > 0), "an event with interest")
            return Taught(rows, np.ones((len(data.events), 1), np.float32), {INTEREST: "binary"}, drawn=(0.0,))
        labels, kind = label_of(self.name, data, label)
        rows = some(self.name, np.flatnonzero(~np.isnan(labels)), f"an event with the label {label!r}")
        return Taught(rows, labels.astype(np.float32)[:, None], {label: kind})

    def errors(
        self, net: Any, scores: Tensor, labels: Tensor, tasks: Mapping[str, LabelKind], weights: Tensor | None
    ) -> dict[str, Tensor]:
        """That of the label's kind."""
        return {name: error_of(kind)(scores, labels[:, 0], weights) for name, kind in tasks.items()}

    def begin(self, taught: Taught) -> Floats:
        """That of the mean label."""
        (kind,), (mean,) = taught.tasks.values(), taught.means(self.config.negatives)
        return np.array(start_of(kind, mean), np.float32)

    def scorer(self, net: Any, data: Dataset, **parts: Any) -> RankScorer:
        """The score is what the networks say."""
        from serendip.nn.lower import lower_ranker

        return lower_ranker(net, **parts)


__all__ = ["DEEP", "WIDE", "DeepConfig", "Layout", "RankingConfig", "RankingModel", "VectorConfig"]
