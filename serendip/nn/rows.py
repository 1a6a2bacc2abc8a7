"""Tables of which a step touches few rows: their gradients, and optimisers that read and write those rows alone.

`gather` takes rows out of a table so that the gradient stays what it is, a few rows; `note` is how that is said to
`RowAdagrad` and `RowAdam`, which apply them. A step costs the same however large the table is.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from serendip.kernels import rows as kernel
from serendip.types import SerendipError

_NAME = "_touched_rows"


@dataclass(frozen=True, slots=True)
class Touched:
    """Gradients of some rows of a table.

    Attributes:
        rows: ``[m]`` int64, which may repeat.
        gradients: ``[m, d]`` float32.
        padding: a row that is never changed, or None.
        once: the rows ascend, each once, without ``padding``.
    """

    rows: Tensor
    gradients: Tensor
    padding: int | None
    once: bool = False


def gather(weight: nn.Parameter, rows: Tensor, padding: int | None = None) -> Tensor:
    """Rows of a table, ``[..., d]``. Going back, their gradients are noted on the table instead of ``weight.grad``.

    Args:
        weight: ``[n, d]``.
        rows: ``[...]`` int64, from 0 and below n.
        padding: a row that is never changed; None: there is none.
    """
    found: Tensor = _Gather.apply(weight, rows, padding)  # type: ignore[no-untyped-call]
    return found


def places(codes: Tensor, size: int) -> Tensor:
    """Where the codes of a batch are in a table whose row 0 stands for nobody: as `Table.rows`, by fewer calls, which
    are most of what it takes. On the processor only."""
    found = codes.numpy().astype(np.int64)
    return torch.from_numpy((found + 1) * (found.view(np.uint64) < size))


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: nn.Parameter, rows: Tensor, padding: int | None) -> Tensor:
        ctx.weight, ctx.padding = weight, padding
        ctx.save_for_backward(rows)
        return functional.embedding(rows, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, None]:
        (rows,), (gradient,) = ctx.saved_tensors, gradients
        noted = rows.reshape(-1), gradient.reshape(-1, gradient.shape[-1]).float().contiguous()
        note(ctx.weight, *noted, ctx.padding)
        return None, None, None


def note(weight: Tensor, rows: Tensor, gradients: Tensor, padding: int | None = None, *, once: bool = False) -> None:
    """Note gradients of rows on a table, beside those that are noted; the arguments are those of `Touched`."""
    _keep(weight, [*touched(weight), Touched(rows, gradients, padding, once)])


def touched(weight: Tensor) -> list[Touched]:
    """What `gather` has noted on a table since it was last forgotten, one after the other."""
    found: list[Touched] = getattr(weight, _NAME, [])
    return found


def forget(weight: Tensor) -> None:
    """Drop what `gather` has noted on a table."""
    _keep(weight, [])


def _keep(weight: Tensor, what: list[Touched]) -> None:
    setattr(weight, _NAME, what)


@torch.no_grad()
def merge(weight: Tensor) -> Touched | None:
    """The gradient of a table: its touched rows, ascending and each once; None if there are none.

    It takes the place of what was noted: whoever changes ``gradients`` in place, to clip them, changes the step.
    """
    if not touched(weight):
        return None
    every = _joined(weight)
    if every.once:
        return every
    if every.rows.is_cpu:
        groups = kernel.grouped(every.rows.numpy(), every.padding)
        sums = kernel.merged(groups, every.gradients.numpy(), threads=torch.get_num_threads())
        every = Touched(torch.from_numpy(groups.rows), torch.from_numpy(sums), every.padding, True)
    else:
        every = merged_elsewhere(every)
    _keep(weight, [every])
    return every


def _joined(weight: Tensor) -> Touched:
    found = touched(weight)
    if len(found) == 1:
        return found[0]
    paddings = {one.padding for one in found}
    if len(paddings) > 1:
        raise SerendipError(f"padding must be the same wherever a table is used. Got {paddings} instead.")
    rows, gradients = (torch.cat([getattr(one, name) for one in found]) for name in ("rows", "gradients"))
    return Touched(rows, gradients, found[0].padding)


def merged_elsewhere(found: Touched) -> Touched:
    """Each row once with the sum of its gradients, by PyTorch's own operations, for other devices."""
    rows, places = torch.unique(found.rows, return_inverse=True)
    sums = found.gradients.new_zeros(len(rows), found.gradients.shape[1]).index_add_(0, places, found.gradients)
    if found.padding is not None:
        kept = rows != found.padding
        rows, sums = rows[kept], sums[kept]
    return Touched(rows, sums, found.padding, True)


class RowOptimiser(Optimizer):
    """What the optimisers of rows share: a table must be reached by `gather` alone."""

    moments: tuple[str, ...]
    """Names of what is kept for each number of a table."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients; there is nothing that could be set to 0 instead."""
        for weight in self._tables():
            weight.grad = None
            forget(weight)

    def _tables(self) -> Iterable[Tensor]:
        return (weight for group in self.param_groups for weight in group["params"])

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Change the touched rows of every table.

        Raises:
            SerendipError: a table has a gradient of all its rows.
        """
        value = None
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    raise SerendipError(
                        "A table of a row optimiser must be read by gather alone. Got a gradient of all its rows "
                        "instead. Try gather, or torch.optim for this table."
                    )
                if touched(weight):
                    self._change(weight, _joined(weight), group)
        return value

    step.hooked = True  # type: ignore[attr-defined]  # to tell PyTorch's profiler takes as long as a small step

    def _change(self, weight: Tensor, found: Touched, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state.update({name: self._start(weight, group) for name in self.moments})
        state["step"] += 1
        if weight.is_cpu:
            rows = found.rows.numpy()
            groups = kernel.apart(rows) if found.once else kernel.grouped(rows, found.padding)
            self._compiled(weight, state, groups, found.gradients, group)
            return
        once = found if found.once else merged_elsewhere(found)
        tables = [weight, *(state[name] for name in self.moments)]
        parts = [table[once.rows] for table in tables]
        self._elsewhere(parts, once.gradients, int(state["step"]), group)
        for table, part in zip(tables, parts, strict=True):
            table.index_copy_(0, once.rows, part)

    def _start(self, weight: Tensor, group: dict[str, Any]) -> Tensor:
        initial = group.get("initial", 0.0)
        if weight.is_cpu:  # NumPy's memory has large pages, in which rows at random are found sooner
            return torch.from_numpy(np.full(weight.shape, initial, np.float32))
        return torch.full_like(weight, initial, memory_format=torch.contiguous_format)

    @abstractmethod
    def _compiled(
        self, weight: Tensor, state: dict[str, Tensor], groups: kernel.Groups, gradients: Tensor, group: dict[str, Any]
    ) -> None:
        """Change the table by a kernel."""

    @abstractmethod
    def _elsewhere(self, parts: list[Tensor], gradients: Tensor, step: int, group: dict[str, Any]) -> None:
        """Change copies of the rows, of the table and of its moments, by PyTorch's own operations."""


class RowAdagrad(RowOptimiser):
    """``s += g²`` and ``w −= lr · g / (√s + eps)`` in the touched rows: what Adagrad does, as g is 0 elsewhere.

    Args:
        params: tables ``[n, d]`` that `gather` reads.
        lr: size of the steps.
        eps: keeps the quotient finite.
        initial: what s starts from.

    Source: J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods", JMLR 12, 2011.
    """

    moments = ("sum",)

    def __init__(self, params: Any, lr: float, *, eps: float = 1e-10, initial: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "eps": eps, "initial": initial})

    def _compiled(
        self, weight: Tensor, state: dict[str, Tensor], groups: kernel.Groups, gradients: Tensor, group: dict[str, Any]
    ) -> None:
        kernel.adagrad(
            weight.numpy(),
            state["sum"].numpy(),
            groups,
            gradients.numpy(),
            rate=float(group["lr"]),
            eps=group["eps"],
            threads=torch.get_num_threads(),
        )

    def _elsewhere(self, parts: list[Tensor], gradients: Tensor, step: int, group: dict[str, Any]) -> None:
        weight, squares = parts
        squares.addcmul_(gradients, gradients)
        weight.addcdiv_(gradients, squares.sqrt().add_(group["eps"]), value=-float(group["lr"]))


class RowAdam(RowOptimiser):
    """Adam in the touched rows alone: the moments of other rows stay as they are until those rows are touched again.

    Args:
        params: tables ``[n, d]`` that `gather` reads.
        lr: size of the steps.
        betas: how much of the means of g and of g² is kept each time.
        eps: keeps the quotient finite.

    Source: D. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """

    moments = ("exp_avg", "exp_avg_sq")

    def __init__(self, params: Any, lr: float, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    def _compiled(
        self, weight: Tensor, state: dict[str, Tensor], groups: kernel.Groups, gradients: Tensor, group: dict[str, Any]
    ) -> None:
        means, squares = (state[name].numpy() for name in self.moments)
        kernel.adam(
            weight.numpy(),
            means,
            squares,
            groups,
            gradients.numpy(),
            rate=float(group["lr"]),
            betas=group["betas"],
            eps=group["eps"],
            step=int(state["step"]),
            threads=torch.get_num_threads(),
        )

    def _elsewhere(self, parts: list[Tensor], gradients: Tensor, step: int, group: dict[str, Any]) -> None:
        weight, means, squares = parts
        first, second = group["betas"]
        means.mul_(first).add_(gradients, alpha=1 - first)
        squares.mul_(second).addcmul_(gradients, gradients, value=1 - second)
        root = (squares / (1 - second**step)).sqrt_().add_(group["eps"])
        weight.addcdiv_(means, root, value=-float(group["lr"]) / (1 - first**step))
