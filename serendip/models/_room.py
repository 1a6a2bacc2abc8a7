"""Whether what a model learns fits into memory: estimates made before anything large is allocated.

Each raises a `SerendipError` that says how many bytes are needed, how many are available, and what to try.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from serendip.kernels import memory, pool

PER_ENTRY = 20  # bytes: value and place of an entry, in parts and once more in one piece
SAMPLE = 512  # columns from which the number of pairs is estimated
CHUNKS = 192  # as many parts as `serendip.kernels.neighbours` cuts the columns into


def factors_fit(model: str, rows: int, d: int, copies: float, instead: str = "fewer factors") -> None:
    """That so many float32 vectors fit.

    Args:
        model: how errors name it.
        rows: users and items, or features.
        d: dimensions.
        copies: how many numbers are held at a time for each that is learned.
        instead: what can be done about it.

    Raises:
        SerendipError: they do not.
    """
    memory.require(f"{model}: {d:,} factors of {rows:,} users and items need", int(4 * rows * d * copies), instead)


def attention_fits(model: str, length: int, heads: int) -> None:
    """That the weights which each event of one history gives to each other do, before a softmax and after it.

    Raises:
        SerendipError: they do not.
    """
    memory.require(f"{model}: {heads} heads over {length:,} events need", 8 * heads * length**2, "a smaller length")


def neighbours_fit(model: str, matrix: csr_array, k: int, threads: int | None, instead: str) -> None:
    """That the k nearest columns of each column of ``matrix`` ``[m, n]`` fit.

    Raises:
        SerendipError: they do not.
    """
    n = matrix.shape[1]
    k = min(k, n)
    most = min(n * k, _pairs_at_most(matrix))
    work = 8 * k * (n // CHUNKS + 16) * pool.count(threads)
    memory.require(f"{model}: up to {most:,} neighbours need", PER_ENTRY * most + work, instead)


def pairs_fit(model: str, matrix: csr_array, most: int | None, instead: str) -> None:
    """That ``XᵀX`` of X = ``matrix`` ``[m, n]`` fits, sparse, or the ``most`` largest entries of its rows.

    Raises:
        SerendipError: it does not.
    """
    n, room = matrix.shape[1], memory.available()
    pairs = min(_pairs_at_most(matrix), n * min(n if most is None else most, n))
    if room is None or PER_ENTRY * pairs <= room:
        return
    pairs = min(pairs, _pairs_about(matrix))
    memory.require(f"{model}: about {pairs:,} pairs of items that occur together need", PER_ENTRY * pairs, instead)


def _pairs_at_most(matrix: csr_array) -> int:
    """A bound for the pairs of columns that share a row."""
    sizes = np.diff(matrix.indptr).astype(np.float64)
    squares = float((sizes * sizes).sum())  # no product by BLAS, whose threads would then wait busily beside the fit
    return int(min(squares, float(matrix.shape[1]) ** 2))


def _pairs_about(matrix: csr_array) -> int:
    """How many pairs of columns share a row, from a sample of the columns; exact where there are few."""
    n = matrix.shape[1]
    chosen = np.random.default_rng(0).permutation(n)[:SAMPLE]
    turned = csr_array(matrix.T.tocsr())[chosen]
    found = int(csr_array(turned @ matrix).indptr[-1])
    return int(found * n // max(len(chosen), 1))
