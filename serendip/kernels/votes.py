"""Many sparse rows times a sparse matrix, added to dense rows: how whole batches of histories are scored, compiled.

Bound: one multiply-add for each entry of each row that a history names, to places of one line of the result, which
stays in the second-level cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.kernels.jit import compiled
from serendip.types import Floats


def add_product(left: csr_array, right: csr_array, out: Floats) -> None:
    """``out += left @ right`` for ``left`` ``[q, m]``, ``right`` ``[m, n]`` and ``out`` ``[q, n]``, on this thread."""
    _add(
        left.indptr, _unsigned(left.indices), left.data, right.indptr, _unsigned(right.indices), right.data, out
    )  # fmt: skip


def _unsigned(indices: NDArray[Any]) -> NDArray[Any]:
    """The same memory, so that compiled loops need not test for negative places."""
    return indices.view(f"u{indices.itemsize}")


@compiled
def _add(starts: Any, rows: Any, values: Any, row_starts: Any, columns: Any, weights: Any, out: Any) -> None:
    for at in range(len(starts) - 1):
        line = out[at]
        for entry in range(starts[at], starts[at + 1]):
            row, value = rows[entry], np.float32(values[entry])
            for place in range(row_starts[row], row_starts[row + np.uint64(1)]):
                line[columns[place]] += value * weights[place]
