"""Fields from many places side by side: as one node of the graph where they are learned from on the processor.

To look into a dozen tables one by one, to put what comes out together, and all that back again, takes as long as a
small network; `serendip.kernels.fields` does it in one go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from serendip.kernels import fields as kernel
from serendip.nn.embed import Table
from serendip.nn.rows import note, places


@dataclass(frozen=True)
class Asked:
    """One field: the vectors of codes.

    Attributes:
        table: where they are.
        codes: ``[b]``.
    """

    table: Table
    codes: Tensor


Part = Asked | Tensor
"""Fields of ``b`` rows: of codes, or vectors ``[b, k, d]``."""


def joined(parts: Sequence[tuple[Part, int]]) -> Tensor:
    """``[m, f, d]`` fields side by side.

    Args:
        parts: the fields in their order, each with how many rows one after the other have the same: m is that times
            their own rows.
    """
    tables = [part.table for part, _ in parts if isinstance(part, Asked)]
    tensors = [part if isinstance(part, Tensor) else part.table.weight for part, _ in parts]
    known = all(one.is_cpu and one.dtype == torch.float32 for one in tensors)
    if known and torch.is_grad_enabled() and tables and tables[0].training:
        found: Tensor = _Joined.apply(list(parts), *tensors)  # type: ignore[no-untyped-call]
        return found
    vectors = [part if isinstance(part, Tensor) else part.table(part.codes).unsqueeze(-2) for part, _ in parts]
    wide = [
        one.repeat_interleave(count, dim=0) if count > 1 else one
        for one, (_, count) in zip(vectors, parts, strict=True)
    ]
    return wide[0] if len(wide) == 1 else torch.cat(wide, dim=-2)


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, parts: list[tuple[Part, int]], *tensors: Tensor) -> Tensor:
        ctx.parts = parts
        widths = [part.shape[1] if isinstance(part, Tensor) else 1 for part, _ in parts]
        ctx.begins = [sum(widths[:at]) for at in range(len(widths) + 1)]
        first, repeat = parts[0]
        m = repeat * (len(first) if isinstance(first, Tensor) else len(first.codes))
        out = torch.empty(m, ctx.begins[-1], tensors[0].shape[-1])
        reads = []
        for (part, repeat), begin, end, tensor in zip(parts, ctx.begins, ctx.begins[1:], tensors, strict=False):
            if isinstance(part, Asked):
                reads.append(kernel.Read(tensor.numpy(), part.codes.numpy(), begin, repeat))
            else:
                _rows(out, repeat)[:, :, begin:end] = tensor.unsqueeze(1)
        kernel.gather(reads, out.numpy(), threads=torch.get_num_threads())
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient = gradients[0].contiguous()
        found: list[Tensor | None] = []
        sums: dict[int, Tensor] = {}
        reads = []
        for at, ((part, repeat), begin, end) in enumerate(zip(ctx.parts, ctx.begins, ctx.begins[1:], strict=False)):
            found.append(None)
            if not ctx.needs_input_grad[1 + at]:
                continue
            if isinstance(part, Asked) and not part.table.sparse:
                weight = part.table.weight
                if id(weight) not in sums:
                    found[at] = sums[id(weight)] = torch.zeros_like(weight)
                reads.append(kernel.Read(sums[id(weight)].numpy(), part.codes.numpy(), begin, repeat))
                continue
            own = _rows(gradient, repeat)[:, :, begin:end].sum(dim=1)
            if isinstance(part, Asked):
                note(part.table.weight, places(part.codes, part.table.size), own[:, 0].contiguous(), 0)
            else:
                found[at] = own
        kernel.scatter(reads, gradient.numpy(), threads=torch.get_num_threads())
        return None, *found


def _rows(fields: Tensor, repeat: int) -> Tensor:
    """``[b, repeat, f, d]``: those together that share what is asked once."""
    return fields.view(-1, repeat, *fields.shape[1:])


__all__ = ["Asked", "Part", "joined"]
