"""Expected watch time: a logistic regression whose positives weigh as long as they were watched; its odds are served.

``L = Σ −T log σ(s) − log(1 − σ(s))`` over all that was shown, T = 0 where it was not watched; the odds ``e^s`` are then
the mean of T, which is what is served. As published (``positives = "instead"``) a watched impression is no negative, so
that the odds are E[T] / (1 − P) with P the share that is watched: near E[T] while few are.

``form = "log"`` is a direct regression to compare with: the squared error of ``log(1 + T)``, served as ``e^s − 1``.

Source: P. Covington, J. Adams and E. Sargin, "Deep neural networks for YouTube recommendations", RecSys 2016.

Deviation: by default each impression is a negative too, so that the odds are E[T] whatever P is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import numpy as np

from serendip.data.dataset import Dataset
from serendip.models._fields import SURE, Layout, Taught, label_of, some, start_of
from serendip.models._tasks import LayersConfig, LayersModel
from serendip.types import Floats, SerendipError

if TYPE_CHECKING:
    from typing import Any

    from torch import Tensor, nn

    from serendip.data.schema import LabelKind

WATCHED = "watched"


class Options(LayersConfig, frozen=True):
    """Options of `WatchTime`."""

    label: Annotated[
        str | None,
        msgspec.Meta(
            description="The label with the duration; none: the weight of events, against items drawn, not watched."
        ),
    ] = None
    form: Annotated[
        Literal["odds", "log"], msgspec.Meta(description="Weighted logistic regression, or regression on log(1 + T).")
    ] = "odds"
    positives: Annotated[
        Literal["besides", "instead"],
        msgspec.Meta(description="Whether what was watched is a negative besides, or instead a positive alone."),
    ] = "besides"


class WatchTime(LayersModel):
    """How long somebody will stay with an item."""

    Config = Options
    config: Options
    summary = "A ranker of expected watch time by weighted logistic regression. Needs PyTorch."
    source = "Covington et al., RecSys 2016"

    def network(self, fields: Layout, taught: Taught) -> tuple[nn.Module, ...]:
        """One tower."""
        from serendip.nn.heads import Apart

        o = self.config
        return (Apart(len(fields), o.factors, 1, o.widths, o.dropout),)

    def foretold(self, tasks: Mapping[str, LabelKind]) -> tuple[nn.Module, tuple[str, ...]]:
        """The duration."""
        from serendip.nn.heads import Foretold, Odds

        return Odds() if self.config.form == "odds" else Foretold(["duration"]), tuple(tasks)

    def errors(
        self, net: Any, scores: Tensor, labels: Tensor, tasks: Mapping[str, LabelKind], weights: Tensor | None
    ) -> dict[str, Tensor]:
        """By the option ``form``."""
        from serendip.nn.losses.pointwise import known, log_duration_error, weighted_logistic

        (name,), scores, (durations, mask) = tasks, scores[:, 0], known(labels[:, 0])
        if self.config.form == "log":
            return {name: log_duration_error(scores, durations, weights, mask)}
        besides = self.config.positives == "besides"
        return {name: weighted_logistic(scores, durations, weights, mask, all_negative=besides)}

    def taught(self, data: Dataset) -> Taught:
        """By the option ``label``.

        Raises:
            SerendipError: the label is no duration, one is negative, or there is none at all.
        """
        label = self.config.label
        if label is None:
            rows = some(self.name, np.flatnonzero(data.events.weight > 0), "an event with interest")
            watched = data.events.weight[:, None].astype(np.float32)
            return Taught(rows, watched, {WATCHED: "duration"}, drawn=(0.0,), weighed=True)
        durations, kind = label_of(self.name, data, label)
        if kind != "duration" or bool((durations < 0).any()):
            got = f"a {kind}" if kind != "duration" else f"one of {np.nanmin(durations):g}"
            raise SerendipError(
                f"{self.name}: label must name durations, 0 or more. Got {got} instead. "
                "Declare it in the recipe's data.labels, and leave out what is below 0."
            )
        rows = some(self.name, np.flatnonzero(~np.isnan(durations)), f"an event with the label {label!r}")
        return Taught(rows, durations.astype(np.float32)[:, None], {label: kind})

    def begin(self, taught: Taught) -> Floats:
        """That of the mean duration."""
        (mean,) = taught.means(self.config.negatives)
        score = np.log(max(mean, SURE)) if self.config.form == "odds" else start_of("duration", mean)
        return np.array([score], np.float32)
