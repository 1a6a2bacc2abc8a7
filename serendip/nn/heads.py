"""Several scores from the same fields: what each task makes of them, and what its score foretells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from serendip.nn.experts import PLE, MMoE, SharedBottom
from serendip.nn.losses.pointwise import LARGEST_LOG_RATE, duration_of_log, duration_of_odds
from serendip.nn.sides import Sided, Sides
from serendip.nn.tower import Tower
from serendip.scorers.ranked import ITEM, QUERY, ROW, SCORE


class Heads(nn.Module):
    """``s_k = w_k · h_k + b_k`` with ``h_k`` what the experts make of the fields side by side for task k."""

    sided = True

    def __init__(self, experts: SharedBottom | MMoE | PLE) -> None:
        """Over the experts."""
        super().__init__()
        self.experts = experts
        self.heads = nn.ModuleList(nn.Linear(experts.out, 1) for _ in experts.tasks)

    def forward(self, fields: Sided) -> Tensor:
        """``[b, f, d]`` → ``[b, tasks]``."""
        found = self.experts(fields.flatten(1))
        return torch.cat([head(found[task]) for task, head in zip(self.experts.tasks, self.heads, strict=True)], dim=1)


class Apart(nn.Module):
    """``s_k = tower_k( [ v_1 … v_f ] )``: tasks that share the fields' vectors and nothing else."""

    sided = True

    def __init__(self, fields: int, dim: int, tasks: int, widths: Sequence[int], dropout: float = 0.0) -> None:
        """Over so many fields of that dimension; ``widths`` and ``dropout`` as for `Tower`."""
        super().__init__()
        self.towers = nn.ModuleList(Tower(fields * dim, widths, 1, dropout) for _ in range(tasks))

    def forward(self, fields: Sided) -> Tensor:
        """``[b, f, d]`` → ``[b, tasks]``."""
        x = fields.flatten(1)
        return torch.cat([tower(x) for tower in self.towers], dim=1)


class Foretold(nn.Module):
    """What scores foretell, by the kind of each task's label: a probability, a rating, a mean count, a duration."""

    def __init__(self, kinds: Sequence[str]) -> None:
        """For tasks with labels of these kinds: ``binary``, ``rating``, ``count`` or ``duration``."""
        super().__init__()
        self.kinds = tuple(kinds)

    def forward(self, scores: Tensor) -> Tensor:
        """``[b, tasks]`` → ``[b, tasks]``."""
        return torch.stack([_foretold(kind, scores[:, at]) for at, kind in enumerate(self.kinds)], dim=1)


class Chained(nn.Module):
    """``σ(a)``, ``σ(a) σ(b)``, ``σ(b)``: a click, a conversion of whatever was shown, and one of what was clicked."""

    def forward(self, scores: Tensor) -> Tensor:
        """``[b, 2]`` → ``[b, 3]``."""
        click, after = scores.sigmoid().unbind(1)
        return torch.stack([click, click * after, after], dim=1)


class Odds(nn.Module):
    """``e^s``: the duration that the odds of a weighted logistic regression are."""

    def forward(self, scores: Tensor) -> Tensor:
        """``[b, 1]`` → ``[b, 1]``."""
        return duration_of_odds(scores)


class Beside(nn.Module):
    """What heads make of a query's vector, an item's, and their product number by number: ``[b, 3, d]`` are fields."""

    def __init__(self, heads: Heads) -> None:
        """Over the heads."""
        super().__init__()
        self.heads = heads

    def forward(self, query: Tensor, item: Tensor) -> Tensor:
        """``[b, d]`` twice → ``[b, tasks]``."""
        found: Tensor = self.heads(torch.stack([query, item, query * item], dim=1))
        return found

    def of(self, query: Tensor, row: Tensor, item: Tensor, product: Tensor) -> Tensor:
        """``[b, tasks]`` from queries ``[q, d]``, which of them asks ``[b]``, and items and products ``[b, d]``."""
        found: Tensor = self.heads(Sides(query.unsqueeze(1), torch.stack([item, product], dim=1), row))
        return found


class JointScores(nn.Module):
    """The product of a query's vector and an item's, and beside it what is foretold of the tasks."""

    def __init__(self, heads: Beside, foretells: nn.Module) -> None:
        """Of heads, and what makes ``[b, t]`` of their scores."""
        super().__init__()
        self.heads, self.foretells = heads, foretells

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``score`` ``[b, 1 + t]`` from ``query`` ``[q, d]``, ``item`` ``[b, d]`` and ``row`` ``[b]`` whose each is."""
        query, item, row = inputs[QUERY], inputs[ITEM], inputs[ROW]
        product = query.index_select(0, row) * item
        found = self.foretells(self.heads.of(query, row, item, product))
        return {SCORE: torch.cat([product.sum(dim=1, keepdim=True), found], dim=1)}


def _foretold(kind: str, score: Tensor) -> Tensor:
    if kind == "binary":
        return score.sigmoid()
    if kind == "count":
        return score.clamp(max=LARGEST_LOG_RATE).exp()
    return duration_of_log(score) if kind == "duration" else score


__all__ = ["Apart", "Beside", "Chained", "Foretold", "Heads", "JointScores", "Odds"]
