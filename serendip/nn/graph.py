"""The graph of who took up what, and how vectors spread along its edges.

With R the users × items matrix of a log, its edges, and D_u, D_i how many each user and each item has, one step is

``u ← P i``,    ``i ← Pᵀ u``    with ``P = D_u^−½ R D_i^−½``

Source: X. Wang, X. He, M. Wang, F. Feng and T.-S. Chua, "Neural graph collaborative filtering", SIGIR 2019; X. He,
K. Deng, X. Wang, Y. Li, Y. Zhang and M. Wang, "LightGCN", SIGIR 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from torch import Tensor, nn
from torch.nn import functional

from serendip.types import Floats

SLOPE = 0.2
"""Of LeakyReLU below 0."""

Codes = NDArray[np.int64]
Pair = tuple[Tensor, Tensor]
"""Vectors of users ``[users, d]`` and of items ``[items, d]``."""


class BipartiteGraph(nn.Module):
    """The normalised graph; it has no parameters.

    On the processor a compiled kernel of ours multiplies, on ``torch.get_num_threads()`` threads; elsewhere PyTorch's.
    """

    def __init__(self, matrix: csr_array) -> None:
        """The graph of a users × items matrix; its values do not count, only where they are."""
        super().__init__()
        self.to_users = normalised(matrix)
        self.to_items = csr_array(self.to_users.T.tocsr())
        self._elsewhere: Pair | None = None

    def step(self, users: Tensor, items: Tensor) -> Pair:
        """``(P items, Pᵀ users)``."""
        new: Pair = self._run(users, items, 1, False)
        return new

    def mean(self, users: Tensor, items: Tensor, layers: int, asked: Codes | None = None) -> Pair:
        """The mean of the vectors after 0, 1 … ``layers`` steps; ``layers`` is 1 or more.

        Args:
            users: ``[users, d]``.
            items: ``[items, d]``.
            layers: L.
            asked: ``[b]`` codes of users, which may repeat: only their vectors are given, ``[b, d]``. For few of them
                that saves a sixth of the work at 3 layers, forwards and backwards. None: all.
        """
        if asked is None:
            return self._run(users, items, layers, True)
        users, items = users.float(), items.float()
        codes, places = np.unique(asked, return_inverse=True)
        if users.device.type == "cpu":
            left, right = _SpreadTo.apply(users, items, self, layers, codes)  # type: ignore[no-untyped-call]
        else:
            left, right = self.spread_elsewhere(users, items, layers, True)
            left = left[torch.from_numpy(codes).to(left.device)]
        return functional.embedding(torch.from_numpy(places).to(left.device), left), right

    def _run(self, users: Tensor, items: Tensor, layers: int, mean: bool) -> Pair:
        users, items = users.float(), items.float()
        if users.device.type == "cpu":
            pair: Pair = _Spread.apply(users, items, self, layers, mean)  # type: ignore[no-untyped-call]
            return pair
        return self.spread_elsewhere(users, items, layers, mean)

    def spread_elsewhere(self, users: Tensor, items: Tensor, layers: int, mean: bool) -> Pair:
        """`mean` or `step` by PyTorch's own operations."""
        if self._elsewhere is None or self._elsewhere[0].device != users.device:
            self._elsewhere = (_torch(self.to_users, users.device), _torch(self.to_items, users.device))
        to_users, to_items = self._elsewhere
        if not mean:
            return _times(to_users, items), _times(to_items, users)
        left, right = users, items
        for _ in range(layers):
            left, right = users + _times(to_users, right), items + _times(to_items, left)
        return left / (layers + 1), right / (layers + 1)

    def spread(self, users: Floats, items: Floats, layers: int, mean: bool) -> tuple[Floats, Floats]:
        """`mean` or `step` of arrays. The mean is worked out as Horner does a polynomial: no layer is kept."""
        from serendip.kernels.propagate import product

        threads = torch.get_num_threads()
        if not mean:
            return product(self.to_users, items, threads=threads), product(self.to_items, users, threads=threads)
        left, right = users, items
        for layer in range(layers):
            scale = 1 / (layers + 1) if layer == layers - 1 else 1.0
            left, right = (
                product(self.to_users, right, plus=users, scale=scale, threads=threads),
                product(self.to_items, left, plus=items, scale=scale, threads=threads),
            )
        return left, right

    def spread_to(self, users: Floats, items: Floats, layers: int, codes: Codes) -> tuple[Floats, Floats]:
        """The mean of arrays, ``[b, d]`` and ``[items, d]``: of users only those of these codes."""
        from serendip.kernels.propagate import product

        threads, scale = torch.get_num_threads(), 1 / (layers + 1)
        left, right = users, items
        for _ in range(layers - 1):
            left, right = (
                product(self.to_users, right, plus=users, threads=threads),
                product(self.to_items, left, plus=items, threads=threads),
            )
        wanted = product(csr_array(self.to_users[codes]), right, plus=users[codes], scale=scale, threads=threads)
        return wanted, product(self.to_items, left, plus=items, scale=scale, threads=threads)

    def spread_from(self, users: Floats, items: Floats, layers: int, codes: Codes) -> tuple[Floats, Floats]:
        """What `spread` gives for users ``[b, d]`` of these codes, all others being 0: the gradients of `spread_to`."""
        from serendip.kernels.propagate import product

        threads = torch.get_num_threads()
        every = np.zeros((self.to_users.shape[0], users.shape[1]), np.float32)
        every[codes] = users
        left, right = every, items
        for layer in range(layers):
            scale = 1 / (layers + 1) if layer == layers - 1 else 1.0
            if layer == 0:
                to_items = csr_array(self.to_users[codes].T.tocsr())
                first = product(to_items, users, plus=items, scale=scale, threads=threads)
            else:
                first = product(self.to_items, left, plus=items, scale=scale, threads=threads)
            left, right = product(self.to_users, right, plus=every, scale=scale, threads=threads), first
        return left, right


class GraphEmbedding(nn.Module):
    """A vector for every user and every item of a graph: the first ones, from which the others are worked out."""

    per_user = ("users",)
    per_item = ("items",)

    def __init__(self, matrix: csr_array, factors: int) -> None:
        """Vectors of normal numbers of deviation 0.1, for a users × items matrix."""
        super().__init__()
        self.graph = BipartiteGraph(matrix)
        self.users, self.items = (nn.Parameter(0.1 * torch.randn(size, factors)) for size in matrix.shape)


class GraphConvolution(GraphEmbedding):
    """Layers with weights on the edges of a graph (NGCF): each gives every user and item another vector.

    ``u' = LeakyReLU( W₁ (u + s) + W₂ (s ⊙ u) + b )`` with s the sum of one step.
    """

    def __init__(self, matrix: csr_array, factors: int, layers: int, dropout: float) -> None:
        """Layers of ``factors`` dimensions throughout; ``dropout`` is the share of messages left out in training."""
        super().__init__(matrix, factors)
        self.sums = nn.ModuleList(nn.Linear(factors, factors) for _ in range(layers))
        self.products = nn.ModuleList(nn.Linear(factors, factors, bias=False) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        for layer in (*self.sums, *self.products):
            nn.init.xavier_uniform_(layer.weight)

    def layers(self) -> list[Pair]:
        """The vectors of each layer, the first ones included."""
        found: list[Pair] = [(self.users, self.items)]
        for one, other in zip(self.sums, self.products, strict=True):
            last, near = found[-1], self.graph.step(*found[-1])
            users, items = (
                self.dropout(functional.leaky_relu(one(own + sums) + other(own * sums), SLOPE))
                for own, sums in zip(last, near, strict=True)
            )
            found.append((users, items))
        return found

    def forward(self) -> Pair:
        """All layers of the users, and of the items, one after another: see `joined`."""
        users, items = zip(*self.layers(), strict=True)
        return joined(users), joined(items)


def joined(layers: Sequence[Tensor]) -> Tensor:
    """``[n, Σ d]``: vectors of all layers side by side, those after the first scaled to length 1."""
    return torch.cat([layers[0], *(functional.normalize(layer, dim=1) for layer in layers[1:])], dim=1)


class _Spread(torch.autograd.Function):
    """Both are linear and symmetric, so that gradients spread as the vectors did."""

    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, graph: BipartiteGraph, layers: int, mean: bool) -> Pair:
        ctx.how = graph, layers, mean
        return _spread(users, items, graph, layers, mean)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        users, items = gradients
        graph, layers, mean = ctx.how
        return (*_spread(users, items, graph, layers, mean), None, None, None)


class _SpreadTo(torch.autograd.Function):
    """As `_Spread`, where few users are asked for."""

    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, graph: BipartiteGraph, layers: int, codes: Codes) -> Pair:
        ctx.how = graph, layers, codes
        left, right = graph.spread_to(*_arrays(users, items), layers, codes)
        return torch.from_numpy(left), torch.from_numpy(right)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        graph, layers, codes = ctx.how
        left, right = graph.spread_from(*_arrays(*gradients), layers, codes)
        return torch.from_numpy(left), torch.from_numpy(right), None, None, None


def _spread(users: Tensor, items: Tensor, graph: BipartiteGraph, layers: int, mean: bool) -> Pair:
    left, right = graph.spread(*_arrays(users, items), layers, mean)
    return torch.from_numpy(left), torch.from_numpy(right)


def _arrays(users: Tensor, items: Tensor) -> tuple[Floats, Floats]:
    return users.detach().contiguous().numpy(), items.detach().contiguous().numpy()


def normalised(matrix: csr_array) -> csr_array:
    """``D_u^−½ R D_i^−½`` of the places of a matrix, float32."""
    by_row = np.diff(matrix.indptr)
    by_column = np.bincount(matrix.indices, minlength=matrix.shape[1])
    values = 1 / np.sqrt(np.repeat(by_row, by_row).astype(np.float64) * by_column[matrix.indices])
    places = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int64)
    return csr_array((values.astype(np.float32), *places), shape=matrix.shape)


def _times(graph: Tensor, vectors: Tensor) -> Tensor:
    """The product, in float32 also where the rest of a step is in rougher numbers."""
    with torch.autocast(vectors.device.type, enabled=False):
        found: Tensor = torch.sparse.mm(graph, vectors)
    return found


def _torch(matrix: csr_array, device: torch.device) -> Tensor:
    entries = coo_array(matrix)
    places = torch.from_numpy(np.stack([entries.row, entries.col]).astype(np.int64))
    made = torch.sparse_coo_tensor(places, torch.from_numpy(entries.data), matrix.shape, check_invariants=False)
    return made.coalesce().to(device)
