"""Networks that several tasks share: what each task is given to foretell from.

Each maps ``x`` ``[b, d]`` to a vector ``[b, h]`` a task, and tells what share of it is whose of its e experts.
An expert f is a `Tower` without a projection: layers that end with an activation, h wide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from serendip.nn.sides import Linear, Sided
from serendip.nn.tower import Activation, Tower
from serendip.types import SerendipError


class SharedBottom(nn.Module):
    """``h_k = f(x)``: one expert, and all tasks get the same.

    Source: R. Caruana, "Multitask learning", Machine Learning 28, 1997.
    """

    def __init__(
        self,
        inputs_dim: int,
        tasks: Sequence[str],
        widths: Sequence[int],
        *,
        dropout: float = 0.0,
        activation: Activation = "relu",
    ) -> None:
        """One network for all tasks.

        Args:
            inputs_dim: of what comes in, d.
            tasks: their names.
            widths: of the layers, from below; the last is h.
            dropout: the share of numbers left out in training, after each layer.
            activation: of each layer.

        Raises:
            SerendipError: there are no tasks, two of one name, or no layers.
        """
        super().__init__()
        self.tasks, self.out = _names(tasks), _last(widths)
        self.expert = _expert(inputs_dim, widths, dropout, activation)

    @property
    def expert_names(self) -> tuple[str, ...]:
        """The columns of `shares`."""
        return ("shared",)

    def forward(self, x: Sided) -> dict[str, Tensor]:
        """``[b, d]`` → ``[b, h]`` by task."""
        return _by_task(self.tasks, self._to_each(self.expert(x)))

    def shares(self, x: Tensor) -> dict[str, Tensor]:
        """``[b, 1]`` by task, all 1."""
        return _by_task(self.tasks, self._to_each(torch.ones_like(x[:, :1])))

    def _to_each(self, value: Tensor) -> Tensor:
        """``[b, k, h]``. A tensor for each task, since in ONNX one cannot be given out under two names."""
        return value.unsqueeze(1).expand(-1, len(self.tasks), -1)


class MMoE(nn.Module):
    """``h_k = Σ_i softmax(W_k x)_i f_i(x)``: experts for all tasks, of which each task takes a mixture of its own.

    Source: J. Ma, Z. Zhao, X. Yi, J. Chen, L. Hong and E. Chi, "Modeling task relationships in multi-task learning with
    multi-gate mixture-of-experts", KDD 2018.
    """

    def __init__(
        self,
        inputs_dim: int,
        tasks: Sequence[str],
        widths: Sequence[int],
        experts: int,
        *,
        dropout: float = 0.0,
        activation: Activation = "relu",
    ) -> None:
        """Experts and a gate a task.

        Args:
            inputs_dim: of what comes in, d.
            tasks: their names.
            widths: of each expert's layers, from below; the last is h.
            experts: how many there are, e.
            dropout: the share of numbers left out in training, after each layer.
            activation: of each layer.

        Raises:
            SerendipError: there are no tasks, two of one name, no layers, or no experts.
        """
        super().__init__()
        self.tasks, self.out = _names(tasks), _last(widths)
        count = _count("experts", experts)
        self.experts = nn.ModuleList(_expert(inputs_dim, widths, dropout, activation) for _ in range(count))
        self.gates = nn.ModuleList(Linear(inputs_dim, count, bias=False) for _ in self.tasks)

    @property
    def expert_names(self) -> tuple[str, ...]:
        """The columns of `shares`."""
        return tuple(f"shared {at + 1}" for at in range(len(self.experts)))

    def forward(self, x: Sided) -> dict[str, Tensor]:
        """``[b, d]`` → ``[b, h]`` by task."""
        found = torch.stack([expert(x) for expert in self.experts], dim=1)  # [b, e, h]
        return _by_task(self.tasks, _shares(self.gates, [x] * len(self.tasks)) @ found)

    def shares(self, x: Tensor) -> dict[str, Tensor]:
        """``[b, e]`` by task: what part of it each expert is; they sum to 1."""
        return _by_task(self.tasks, _shares(self.gates, [x] * len(self.tasks)))


class PLE(nn.Module):
    """Levels of experts, some of one task and some of all, so that what helps one task need not hurt another.

    From ``x_k = x_s = x``, at each level, with experts f of its own:

    ``x_k ← softmax(W_k x_k) · [f_k1(x_k), …, f_km(x_k), f_s1(x_s), …, f_sn(x_s)]`` for each task k, and

    ``x_s ← softmax(W_s x_s) · [f_11(x_1), …, f_1m(x_1), …, f_s1(x_s), …, f_sn(x_s)]``, over the experts of all tasks;

    ``h_k`` is ``x_k`` after the last level, which has no W_s. With one level this is the paper's CGC.

    Source: H. Tang, J. Liu, M. Zhao and X. Gong, "Progressive layered extraction (PLE): A novel multi-task learning
    (MTL) model for personalized recommendations", RecSys 2020.
    """

    def __init__(
        self,
        inputs_dim: int,
        tasks: Sequence[str],
        widths: Sequence[int],
        own: int,
        shared: int,
        levels: int = 1,
        *,
        dropout: float = 0.0,
        activation: Activation = "relu",
    ) -> None:
        """Experts and gates, level by level.

        Args:
            inputs_dim: of what comes in, d.
            tasks: their names.
            widths: of each expert's layers, from below; the last is h.
            own: how many experts each task has for itself at each level, m.
            shared: how many all tasks have together at each level, n.
            levels: how many there are.
            dropout: the share of numbers left out in training, after each layer.
            activation: of each layer.

        Raises:
            SerendipError: there are no tasks, two of one name, no layers, or no experts or levels.
        """
        super().__init__()
        self.tasks, self.out = _names(tasks), _last(widths)
        self.own, self.shared = _count("own experts of a task", own), _count("shared experts", shared)
        dims = [inputs_dim] + [self.out] * (_count("levels", levels) - 1)
        made = [
            _Level(
                [[_expert(dim, widths, dropout, activation) for _ in range(count)] for count in self._counts],
                [Linear(dim, own + shared, bias=False) for _ in self.tasks],
                Linear(dim, sum(self._counts), bias=False) if at < levels - 1 else None,
            )
            for at, dim in enumerate(dims)
        ]
        self.lower, self.top = nn.ModuleList(made[:-1]), made[-1]

    @property
    def expert_names(self) -> tuple[str, ...]:
        """The columns of `shares`: the tasks' own, task by task, and then the shared ones."""
        owned = [f"{task} {at + 1}" for task in self.tasks for at in range(self.own)]
        return (*owned, *(f"shared {at + 1}" for at in range(self.shared)))

    def forward(self, x: Sided) -> dict[str, Tensor]:
        """``[b, d]`` → ``[b, h]`` by task."""
        return _by_task(self.tasks, self.top(self._below(x)))

    def shares(self, x: Tensor) -> dict[str, Tensor]:
        """``[b, e]`` by task: what part each expert of the last level is; they sum to 1, and are 0 for other tasks'."""
        return _by_task(self.tasks, self.top.shares(self._below(x)))

    @property
    def _counts(self) -> list[int]:
        """Of the experts of each task, and last of the shared ones."""
        return [self.own] * len(self.tasks) + [self.shared]

    def _below(self, x: Sided) -> Sequence[Sided]:
        """What the last level is given for each task, and last for all."""
        given: Sequence[Sided] = [x] * (len(self.tasks) + 1)
        for level in self.lower:
            given = level(given).unbind(1)
        return given


class _Level(nn.Module):
    """The experts of one level and what mixes them.

    Other tasks' experts get shares of 0 instead of being left out, so that one product of matrices makes all mixtures:
    a product for each, of a single row, takes over twice as long to learn from.
    """

    def __init__(
        self, experts: Sequence[Sequence[nn.Module]], gates: Sequence[nn.Module], gate: nn.Module | None
    ) -> None:
        """A level.

        Args:
            experts: of each task, as many for each, and last those of all.
            gates: of each task, over its own experts and those of all.
            gate: over all experts; None at the last level.
        """
        super().__init__()
        self.counts = [len(some) for some in experts]
        self.experts = nn.ModuleList(expert for some in experts for expert in some)
        self.gates, self.gate = nn.ModuleList(gates), gate

    def forward(self, xs: Sequence[Sided]) -> Tensor:
        """``[b, k + 1, h]``, or ``[b, k, h]`` from the last level, of ``[b, d]`` for each task and last for all."""
        given = [x for x, count in zip(xs, self.counts, strict=True) for _ in range(count)]
        found = torch.stack([expert(x) for expert, x in zip(self.experts, given, strict=True)], dim=1)  # [b, e, h]
        mixed: Tensor = self.shares(xs) @ found
        return mixed

    def shares(self, xs: Sequence[Sided]) -> Tensor:
        """``[b, k + 1, e]``, or ``[b, k, e]`` from the last level."""
        share = _shares(self.gates, xs[:-1])
        own, rest = share[..., : self.counts[0]], share[..., self.counts[0] :]
        tasks = torch.eye(len(self.gates), dtype=share.dtype, device=share.device)
        rows = torch.cat([(own.unsqueeze(2) * tasks.unsqueeze(-1)).flatten(2), rest], dim=2)
        return rows if self.gate is None else torch.cat([rows, _shares([self.gate], xs[-1:])], dim=1)


def _expert(inputs_dim: int, widths: Sequence[int], dropout: float, activation: Activation) -> Tower:
    return Tower(inputs_dim, widths, widths[-1], dropout, activation, projected=False)


def _shares(gates: Iterable[nn.Module], xs: Sequence[Sided]) -> Tensor:
    """``[b, k, e]`` from k gates and the ``[b, d]`` that each reads."""
    return torch.stack([gate(x) for gate, x in zip(gates, xs, strict=True)], dim=1).softmax(dim=-1)


def _by_task(tasks: Sequence[str], values: Tensor) -> dict[str, Tensor]:
    return dict(zip(tasks, values.unbind(1), strict=True))


def _names(tasks: Sequence[str]) -> tuple[str, ...]:
    if not tasks or len(set(tasks)) < len(tasks):
        got = ", ".join(map(repr, tasks)) or "none"
        raise SerendipError(
            f"tasks must be one or more, each of a name of its own. Got {got} instead. Try other names."
        )
    return tuple(tasks)


def _last(widths: Sequence[int]) -> int:
    if not widths or min(widths) < 1:
        raise SerendipError(
            f"an expert must have one layer or more, each of a width of 1 or more. Got {list(widths)} instead. "
            "Try widths of 128 and 64."
        )
    return widths[-1]


def _count(what: str, count: int) -> int:
    if count < 1:
        raise SerendipError(f"the number of {what} must be 1 or more. Got {count} instead. Try 1.")
    return count


__all__ = ["PLE", "MMoE", "SharedBottom"]
