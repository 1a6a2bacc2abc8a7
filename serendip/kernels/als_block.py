"""The rows of an ALS half step by blocks of dimensions, each solved for exactly with the others held fixed, compiled.

For a row with entries e of weight ``c_e`` and vectors ``v_e``, and with D the diagonal that the eigenbasis leaves,
block B of its vector w becomes

``w_B = (D_B + Σ_e c_e v_eB v_eBᵀ)⁻¹ Σ_e c_e (1 − v_e·w + v_eB·w_B) v_eB``

(S. Rendle, W. Krichene, L. Zhang and Y. Koren, "iALS++: Speeding up matrix factorization with subspace
optimization", 2021; the blocks there are of the dimensions as they are, here of the eigenbasis, by falling eigenvalue).
The predictions ``v_e·w`` are kept up to date from block to block. One block of all dimensions is the exact solution.

How: with ``P = √c V_B D_B^-½`` for the m entries and y the bracket, ``w_B = D^-½ Pᵀ (I + P Pᵀ)⁻¹ √c y = D^-½ (I +
Pᵀ P)⁻¹ Pᵀ √c y``: the first is a system of size m, the second of the block's size b, and the smaller one is solved, see
`normal`.

Bound: ``Σ_B min(m, b)² · max(m, b) + min(m, b)³/3`` multiplications with additions for a row, one gather of ``4·d``
bytes an entry, and, with more than one block, ``3·m·d`` multiplications for the predictions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from serendip.kernels.gather import gather_columns
from serendip.kernels.jit import compiled
from serendip.kernels.lines import combine, project
from serendip.kernels.normal import SIDE, add_gram, factor, solve, start

_STRETCH = 256  # entries of a row handled at a time


@compiled
def solve_rows(
    starts: Any, places: Any, weights: Any, vectors: Any, shared: Any, strength: Any, size: int, solved: Any
) -> None:
    """Improve the vectors ``solved`` ``[rows, wide]`` by one sweep over blocks of ``size`` dimensions.

    With ``size`` = ``wide`` what they were is of no account. All are in the eigenbasis; ``shared`` holds the diagonal,
    and dimensions of most weight stand last.
    """
    wide = vectors.shape[1]
    flat = vectors.reshape(-1)
    h = np.empty(size * size, np.float32)
    p = np.zeros(size * max(size, _STRETCH), np.float32)
    x = np.empty(size, np.float32)
    root = np.empty(wide, np.float32)
    longest = 0
    for row in range(len(solved)):
        longest = max(longest, starts[row + 1] - starts[row])
    begins, wanted = np.empty(longest, np.int64), np.empty(longest, np.float32)
    now, part = np.zeros(longest, np.float32), np.zeros(longest, np.float32)
    for row in range(len(solved)):
        near, weight = places[starts[row] : starts[row + 1]], weights[starts[row] : starts[row + 1]]
        if not weight.any():
            solved[row] = 0
            continue
        m = len(near)
        for entry in range(m):
            begins[entry] = np.int64(near[entry]) * wide
        for at in range(wide):
            root[at] = 1 / np.sqrt(shared[at] + strength[row])
        if size < wide:
            project(flat, begins[:m], solved[row], now[:m])
        for last in range(wide, 0, -size):
            first = max(0, last - size)
            block, out = flat[first:], solved[row, first:last]
            if size < wide:
                project(block, begins[:m], out, part[:m])
            for entry in range(m):
                wanted[entry] = weight[entry] * (1 - now[entry] + part[entry])
            _solve(block, begins[:m], weight, wanted[:m], root[first:last], h, p, x, out)
            if size < wide:
                for entry in range(m):
                    now[entry] -= part[entry]
                project(block, begins[:m], out, part[:m])
                for entry in range(m):
                    now[entry] += part[entry]


@compiled
def _solve(
    flat: Any, begins: Any, weight: Any, wanted: Any, root: Any, h: Any, p: Any, x: Any, out: Any
) -> None:  # fmt: skip
    narrow = -(-len(begins) // SIDE) * SIDE
    if narrow < len(root):
        _by_entries(flat, begins, weight, wanted, root, narrow, h, p, x, out)
    else:
        _by_dimensions(flat, begins, weight, wanted, root, h, p, x, out)


@compiled
def _by_entries(
    flat: Any, begins: Any, weight: Any, wanted: Any, root: Any, n: int, h: Any, p: Any, x: Any, out: Any
) -> None:  # fmt: skip
    """``D^-½ Pᵀ (I + P Pᵀ)⁻¹ √c y``; Pᵀ ``[b, n]`` is what is kept."""
    m = len(begins)
    x[:n] = 0
    x[:m] = wanted
    gather_columns(flat, begins, weight, root, n, p)
    start(h, n)
    add_gram(p, len(root), n, h)
    factor(h, n)
    solve(h, n, x)
    for entry in range(m):
        x[entry] *= weight[entry]
    out[:] = 0
    combine(flat, begins, x[:m], out)
    for at in range(len(out)):
        out[at] *= root[at] * root[at]


@compiled
def _by_dimensions(
    flat: Any, begins: Any, weight: Any, wanted: Any, root: Any, h: Any, p: Any, x: Any, out: Any
) -> None:  # fmt: skip
    """``D^-½ (I + Pᵀ P)⁻¹ Pᵀ √c y``, with P ``[m, b]`` in stretches."""
    n = len(root)
    x[:n] = 0
    start(h, n)
    for first in range(0, len(begins), _STRETCH):
        count = min(_STRETCH, len(begins) - first)
        for entry in range(count):
            scale, goal = weight[first + entry], wanted[first + entry]
            vector = flat[begins[first + entry] :]
            line = p[entry * n : entry * n + n]
            for at in range(n):
                value = scale * root[at] * vector[at]
                line[at] = value
                x[at] += goal * value
        add_gram(p, count, n, h)
    factor(h, n)
    solve(h, n, x)
    for at in range(n):
        out[at] = root[at] * x[at]
