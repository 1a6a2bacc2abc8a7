"""Losses of several tasks put together, and of a task that happens only where another one did."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from serendip.nn.losses.pointwise import binary_cross_entropy, known_rows
from serendip.types import SerendipError

LEAST_LOSS = 1e-6
"""What is added to a loss where its weight is learned, which so comes to rest, at half the inverse of this or less."""


def fixed_weights(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
    """``w_k L_k`` for each task; their sum is to be made small.

    Args:
        losses: L, each a number, by task.
        weights: w, at least 0; a task without one has 1.

    Raises:
        SerendipError: a weight of a task that there is not, or that is not 0 or more.
    """
    _refuse_unknown("weights", weights, losses)
    for task, weight in weights.items():
        if not weight >= 0:
            raise SerendipError(f"the weight of task {task!r} must be 0 or more. Got {weight} instead. Try 1.")
    return {task: weights.get(task, 1.0) * loss for task, loss in losses.items()}


class UncertaintyWeights(nn.Module):
    """Weights of tasks that are learned with them, so that losses of any scale go together.

    ``½ e^−s_k (L_k + ε) + ½ s_k`` if L is a mean of squared errors, and ``e^−s_k (L_k + ε) + ½ s_k`` otherwise; their
    sum over the tasks is to be made small. The learned s is ``log σ²``: the first form is what a normal distribution of
    variance σ² says, less a constant; the second what a softmax of logits divided by σ² says, about. Where s does not
    change any more, it is log L or log 2L, and either way a task has the weight 1 / 2L. ε is `LEAST_LOSS`: without it
    s would fall for ever once a task's loss is 0.

    Attributes:
        log_variances: s, ``[tasks]``.

    Source: A. Kendall, Y. Gal and R. Cipolla, "Multi-task learning using uncertainty to weigh losses for scene geometry
    and semantics", CVPR 2018; ε is ours, and so is the beginning: from 0, steps that suit a network need longer than an
    epoch or two to where s is of use.
    """

    def __init__(
        self, tasks: Sequence[str], squared: Collection[str] = (), begin: Mapping[str, float] | None = None
    ) -> None:
        """Weights for the tasks.

        Args:
            tasks: their names.
            squared: of these, the ones whose loss is a mean of squared errors.
            begin: losses L by task, at which s is at rest to begin with; None: s is 0.

        Raises:
            SerendipError: no task, one that is named twice, or a squared one that is none of the tasks.
        """
        super().__init__()
        if not tasks or len(set(tasks)) != len(tasks):
            raise SerendipError(f"tasks must be one or more different names. Got {list(tasks)} instead.")
        _refuse_unknown("squared", squared, tasks)
        self.tasks = tuple(tasks)
        self.squared = frozenset(squared)
        rest = torch.zeros(len(tasks)) if begin is None else torch.tensor([self._rest(task, begin) for task in tasks])
        self.log_variances = nn.Parameter(rest)

    def forward(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parts of the loss, by task.

        Args:
            losses: L ≥ 0, each a number, by task. A task that is not among them, because no label of it is known in a
                batch, keeps its weight as it is.

        Raises:
            SerendipError: a loss of a task that there is not.
        """
        _refuse_unknown("losses", losses, self.tasks)
        return {task: self._part(task, loss) for task, loss in losses.items()}

    def _rest(self, task: str, losses: Mapping[str, float]) -> float:
        """s where it does not change at that loss."""
        share = 1.0 if task in self.squared else 2.0
        return math.log(share * (max(losses[task], 0.0) + LEAST_LOSS))

    def _part(self, task: str, loss: Tensor) -> Tensor:
        s = self.log_variances[self.tasks.index(task)]
        share = 0.5 if task in self.squared else 1.0
        return share * torch.exp(-s) * (loss + LEAST_LOSS) + 0.5 * s


def product_logit(first: Tensor, second: Tensor) -> Tensor:
    """The logit of ``σ(a) σ(b)``, which is ``−log( e^−a + e^−b + e^−(a + b) )``; no probability is rounded on the way.

    Args:
        first: a, of any shape.
        second: b, of that shape.
    """
    if first.dtype != torch.float64:
        first, second = first.float(), second.float()
    return -torch.logsumexp(torch.stack([-first, -second, -first - second]), dim=0)


def entire_space(
    click_logits: Tensor,
    conversion_logits: Tensor,
    conversions: Tensor,
    weights: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """``−y log pCTCVR − (1 − y) log(1 − pCTCVR)`` with ``pCTCVR = pCTR · pCVR``, over all impressions, clicked or not.

    With it a conversion rate is learned without being taught on clicked impressions alone, which are not those it is
    asked about. The loss of clicks is a `binary_cross_entropy` beside it.

    Args:
        click_logits: ``[m]``; their σ is pCTR.
        conversion_logits: ``[m]``; their σ is pCVR, how probable a conversion is after a click.
        conversions: y, ``[m]``, 1 where there was a click and then a conversion.
        weights: ``[m]``; None: 1.
        mask: ``[m]`` bool, False where it is not known; None: all are.

    Raises:
        SerendipError: shapes that differ.

    Source: X. Ma et al., "Entire space multi-task model: an effective approach for estimating post-click conversion
    rate", SIGIR 2018.
    """
    click_logits, _ = known_rows(click_logits, conversions, mask)
    conversion_logits, conversions = known_rows(conversion_logits, conversions, mask)
    return binary_cross_entropy(product_logit(click_logits, conversion_logits), conversions, weights, mask)


def _refuse_unknown(name: str, given: Collection[str], tasks: Collection[str]) -> None:
    unknown = sorted(set(given) - set(tasks))
    if unknown:
        raise SerendipError(f"{name} must be of the tasks {', '.join(tasks)}. Got {', '.join(unknown)} instead.")
