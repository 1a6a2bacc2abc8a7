"""The softmax over candidates that all users share, where a user may have many positives."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn import functional


def shared_softmax(
    users: Tensor, items: Tensor, positives: csr_array, candidates: NDArray[np.int64], temperature: float
) -> Tensor:
    """The cross-entropy of a softmax over candidates that all users share, where a user may have many positives.

    ``L = 1/m Σ_(u,i) [ log ( n/k Σ_{j∈C} exp(x_u·y_j / τ) ) − x_u·y_i / τ ]``    over the m positive pairs

    The sum over k candidates drawn uniformly stands for the one over all n items. It costs one row of logits per user
    instead of one per pair.

    Args:
        users: x, ``[b, d]``.
        items: y, ``[n, d]``.
        positives: ``[b, n]`` float32, 1 for each pair.
        candidates: ``[k]`` item codes drawn uniformly, which may repeat; or every code once.
        temperature: τ > 0.
    """
    pairs = float(positives.sum())
    if users.device.type == "cpu":
        total: Tensor = _SharedSoftmax.apply(users, items, positives, candidates, temperature)  # type: ignore[no-untyped-call]
    else:
        total = shared_softmax_elsewhere(users, items, positives, candidates, temperature)
    return total / pairs + float(np.log(len(items) / len(candidates)))


class _SharedSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, users: Tensor, items: Tensor, positives: csr_array, candidates: Any, temperature: float
    ) -> Tensor:
        from serendip.kernels.softmax import cross_entropy

        x, y = (side.detach().contiguous().numpy() for side in (users, items))
        value, *gradients = cross_entropy(x, y, positives, candidates, temperature, threads=torch.get_num_threads())
        ctx.save_for_backward(*(torch.from_numpy(gradient) for gradient in gradients))
        return users.new_tensor(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (outer,) = gradients
        users, items = ctx.saved_tensors
        return users * outer, items * outer, None, None, None


def shared_softmax_elsewhere(
    users: Tensor, items: Tensor, positives: csr_array, candidates: NDArray[np.int64], temperature: float
) -> Tensor:
    """The same by PyTorch's own operations, for other devices."""
    counts = np.diff(positives.indptr)
    rows = torch.from_numpy(np.repeat(np.arange(len(counts)), counts)).to(users.device)
    columns = torch.from_numpy(positives.indices.astype(np.int64)).to(users.device)
    weights = torch.from_numpy(positives.data).to(users.device)
    chosen = items[torch.from_numpy(candidates).to(items.device)]
    partition = torch.logsumexp(users @ chosen.T / temperature, dim=1)
    scores = (functional.embedding(rows, users) * functional.embedding(columns, items)).sum(dim=1) / temperature
    return (weights * (functional.embedding(rows, partition[:, None]).squeeze(1) - scores)).sum()
