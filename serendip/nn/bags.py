"""Vectors of bags of any size: their means, for which nothing is padded, or one by one.

A mean costs one gather for each entry, forwards and backwards.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn import functional


def bag_means(vectors: Tensor, places: Tensor, begins: Tensor) -> Tensor:
    """``[b, d]`` the mean of each bag's vectors; 0 of an empty bag.

    On the processor a compiled kernel of ours adds up, on ``torch.get_num_threads()`` threads; elsewhere PyTorch's.

    Args:
        vectors: ``[u, d]``, u at least 1 if any bag has an entry.
        places: ``[l]`` int64 rows of the vectors, one bag after the other.
        begins: ``[b]`` int64 where each begins among them.
    """
    if len(places) == 0:
        return vectors.new_zeros(len(begins), vectors.shape[1]) + vectors.sum() * 0
    if vectors.device.type != "cpu" or vectors.dtype != torch.float32:
        return functional.embedding_bag(places, vectors, begins, mode="mean")
    found: Tensor = _Means.apply(vectors, places, begins)  # type: ignore[no-untyped-call]
    return found


def bag_rows(vectors: Tensor, places: Tensor, begins: Tensor) -> Tensor:
    """``[b, t, d]`` the vectors of each bag in their order, t being as many as the largest has; zeros after the last.

    Args:
        vectors, places, begins: as for `bag_means`.
    """
    ends = torch.cat([begins[1:], begins.new_tensor([len(places)])])
    steps = torch.arange(int((ends - begins).max()) if len(begins) else 0, device=begins.device)
    at = begins.unsqueeze(1) + steps
    nothing = len(places)
    rows = functional.pad(places + 1, (0, 1))[torch.where(at < ends.unsqueeze(1), at, nothing)]
    return functional.pad(vectors, (0, 0, 1, 0))[rows]


class _Means(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor, places: Tensor, begins: Tensor) -> Tensor:
        from serendip.kernels.propagate import product

        bounds = np.append(begins.numpy(), len(places))
        sizes = np.diff(bounds)
        shares = np.repeat((1 / np.maximum(sizes, 1)).astype(np.float32), sizes)
        shape = (len(sizes), len(vectors))
        ctx.bags = csr_array((shares, places.numpy().astype(np.int32), bounds.astype(np.int32)), shape=shape)
        dense = np.ascontiguousarray(vectors.detach().numpy())
        return torch.from_numpy(product(ctx.bags, dense, threads=torch.get_num_threads()))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        from serendip.kernels.propagate import product

        across = csr_array(ctx.bags.T.tocsr())
        dense = np.ascontiguousarray(gradients[0].numpy())
        return torch.from_numpy(product(across, dense, threads=torch.get_num_threads())), None, None


__all__ = ["bag_means", "bag_rows"]
