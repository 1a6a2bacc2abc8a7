"""Clicks and what follows them, over everything that was shown: ``P(conversion) = P(click) · P(conversion | click)``.

Two towers read the same fields, one for each factor. Clicks are learned from all that was shown, and so is their
product, from who converted; thus the second factor is never taught on clicked impressions alone, which are not those it
is asked about. Three numbers are foretold: the click, the conversion, and ``after``, the conversion of what is clicked.

Without labels a click is any event, against items drawn for the same query, and a conversion one with interest.

Source: X. Ma et al., "Entire space multi-task model: an effective approach for estimating post-click conversion rate",
SIGIR 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

from serendip.data.dataset import Dataset
from serendip.models._fields import INTEREST, Layout, Taught, label_of, some
from serendip.models._tasks import LayersConfig, LayersModel
from serendip.types import SerendipError

if TYPE_CHECKING:
    from typing import Any

    from torch import Tensor, nn

    from serendip.data.schema import LabelKind

AFTER = "after"
CLICK = "click"


class Options(LayersConfig, frozen=True):
    """Options of `ESMM`."""

    click: Annotated[
        str | None, msgspec.Meta(description="The binary label of what comes first; none: that there is an event.")
    ] = None
    conversion: Annotated[
        str | None, msgspec.Meta(description="The binary label of what may follow; none: that it shows interest.")
    ] = None


class ESMM(LayersModel):
    """A click, and a conversion after it."""

    Config = Options
    config: Options
    summary = "A ranker of clicks and of what follows them, learned over all that was shown. Needs PyTorch."
    source = "Ma et al., SIGIR 2018"

    def network(self, fields: Layout, taught: Taught) -> tuple[nn.Module, ...]:
        """A tower for the click and one for what follows it."""
        from serendip.nn.heads import Apart

        o = self.config
        return (Apart(len(fields), o.factors, 2, o.widths, o.dropout),)

    def foretold(self, tasks: Mapping[str, LabelKind]) -> tuple[nn.Module, tuple[str, ...]]:
        """Click, conversion, and conversion after a click."""
        from serendip.nn.heads import Chained

        return Chained(), (*tasks, AFTER)

    def errors(
        self, net: Any, scores: Tensor, labels: Tensor, tasks: Mapping[str, LabelKind], weights: Tensor | None
    ) -> dict[str, Tensor]:
        """Of clicks, and of conversions by the product; each over the rows where it is known."""
        from serendip.nn.losses.pointwise import binary_cross_entropy, known
        from serendip.nn.losses.tasks import entire_space

        click, conversion = tasks
        clicked, has_click = known(labels[:, 0])
        converted, has_conversion = known(labels[:, 1])
        return {
            click: binary_cross_entropy(scores[:, 0], clicked, weights, has_click),
            conversion: entire_space(scores[:, 0], scores[:, 1], converted, weights, has_conversion),
        }

    def taught(self, data: Dataset) -> Taught:
        """By the options.

        Raises:
            SerendipError: one of them without the other, labels that are not binary, or no event.
        """
        click, conversion = self.config.click, self.config.conversion
        if (click is None) != (conversion is None) or (click is not None and click == conversion):
            raise SerendipError(
                f"{self.name}: click and conversion must be two labels, or neither given. Got {click!r} and "
                f"{conversion!r} instead. Name both."
            )
        if click is None or conversion is None:
            rows = some(self.name, np.arange(len(data.events)), "an event")
            both = np.column_stack([np.ones(len(data.events)), data.events.weight > 0]).astype(np.float32)
            return Taught(rows, both, {CLICK: "binary", INTEREST: "binary"}, drawn=(0.0, 0.0))
        named = {click: "click", conversion: "conversion"}
        found = {name: label_of(self.name, data, name, option) for name, option in named.items()}
        for name, (_, kind) in found.items():
            if kind != "binary":
                raise SerendipError(
                    f"{self.name}: {named[name]} must be a binary label. Got {name!r}, a {kind}, instead. Name another "
                    "label, or declare it in the recipe's data.labels."
                )
        labels = np.column_stack([values for values, _ in found.values()]).astype(np.float32)
        rows = some(self.name, np.flatnonzero(~np.isnan(labels).all(axis=1)), f"an event with the label {click!r}")
        return Taught(rows, labels, dict.fromkeys(found, "binary"))

    def begin(self, taught: Taught) -> Any:
        """Of a click, and of a conversion after it."""
        click, conversion = taught.means(self.config.negatives)
        shares = np.clip([click, conversion / max(click, 1e-6)], 1e-6, 1 - 1e-6)
        return np.log(shares / (1 - shares)).astype(np.float32)
