"""Several tasks over experts of their own and shared ones, in levels (progressive layered extraction).

With one level (CGC): ``s_k = w_k · Σ_i g_k(x)_i f_i(x) + b_k`` over the experts of task k and the shared ones; further
levels read what the experts below give to each task, and to all.

Source: H. Tang, J. Liu, M. Zhao and X. Gong, "Progressive layered extraction (PLE): A novel multi-task learning (MTL)
model for personalized recommendations", RecSys 2020.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from serendip.models._tasks import TaskConfig, TaskModel

if TYPE_CHECKING:
    from serendip.nn.experts import PLE as Experts


class Options(TaskConfig, frozen=True):
    """Options of `PLE`."""

    own: Annotated[int, msgspec.Meta(ge=1, le=16, description="Networks that each task has for itself, a level.")] = 1
    shared: Annotated[int, msgspec.Meta(ge=1, le=16, description="Networks that all tasks share, a level.")] = 2
    levels: Annotated[int, msgspec.Meta(ge=1, le=3, description="Levels of them.")] = 1


class PLE(TaskModel):
    """Experts of each task beside those of all."""

    Config = Options
    config: Options
    summary = "A ranker of several tasks with experts of their own beside shared ones. Needs PyTorch."
    source = "Tang et al., RecSys 2020"

    def experts(self, dim: int, tasks: tuple[str, ...]) -> Experts:
        """With gates, level by level."""
        from serendip.nn.experts import PLE as Experts

        o = self.config
        return Experts(dim, tasks, o.widths, o.own, o.shared, o.levels, dropout=o.dropout)
