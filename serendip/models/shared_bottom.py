"""One network for several tasks: ``h = layers( [ v_1 … v_f ] )``,  ``s_k = w_k · h + b_k``.

A task with few labels so learns from fields that tasks with many have formed; tasks that have little to do with each
other disturb each other, for which there are `mmoe` and `ple`.

Source: R. Caruana, "Multitask learning", Machine Learning 28, 1997.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from serendip.models._tasks import TaskConfig, TaskModel

if TYPE_CHECKING:
    from serendip.nn.experts import SharedBottom as Experts


class Options(TaskConfig, frozen=True):
    """Options of `SharedBottom`."""


class SharedBottom(TaskModel):
    """All tasks over the same layers."""

    Config = Options
    config: Options
    summary = "A ranker of several tasks over shared layers; the score is a formula over them. Needs PyTorch."
    source = "Caruana, Machine Learning 1997"

    def experts(self, dim: int, tasks: tuple[str, ...]) -> Experts:
        """One for all."""
        from serendip.nn.experts import SharedBottom as Experts

        return Experts(dim, tasks, self.config.widths, dropout=self.config.dropout)
