"""A matrix for each part of a vector: ``y_k = x_k W_k``, the product with a matrix of blocks on the diagonal."""

from __future__ import annotations

from torch import Tensor


def by_part(x: Tensor, weights: Tensor) -> Tensor:
    """``[..., k · m]`` with ``[k, m, n]`` → ``[..., k, n]``. As ONNX it is one product of matrices."""
    k, m, n = weights.shape
    parts = x.reshape(-1, k, m).transpose(0, 1)  # [k, rows, m]
    return (parts @ weights).transpose(0, 1).reshape(*x.shape[:-1], k, n)


__all__ = ["by_part"]
