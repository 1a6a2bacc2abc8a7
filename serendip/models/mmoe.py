"""Several tasks over a mixture of experts: ``s_k = w_k · Σ_i softmax(W_k x)_i f_i(x) + b_k``, ``x = [ v_1 … v_f ]``.

Every task decides for each query and item how much each expert counts, so that tasks that agree share more.

Source: J. Ma, Z. Zhao, X. Yi, J. Chen, L. Hong and E. Chi, "Modeling task relationships in multi-task learning with
multi-gate mixture-of-experts", KDD 2018.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from serendip.models._tasks import TaskConfig, TaskModel

if TYPE_CHECKING:
    from serendip.nn.experts import MMoE as Experts


class Options(TaskConfig, frozen=True):
    """Options of `MMoE`."""

    experts: Annotated[int, msgspec.Meta(ge=1, le=16, description="Networks that the tasks mix.")] = 4


class MMoE(TaskModel):
    """Each task mixes the same experts in a way of its own."""

    Config = Options
    config: Options
    summary = "A ranker of several tasks, each a mixture of shared experts of its own. Needs PyTorch."
    source = "Ma et al., KDD 2018"

    def experts(self, dim: int, tasks: tuple[str, ...]) -> Experts:
        """And a gate for each task."""
        from serendip.nn.experts import MMoE as Experts

        return Experts(dim, tasks, self.config.widths, self.config.experts, dropout=self.config.dropout)
