"""How kernels are compiled. Importing this module imports Numba; on the serving path only exact search among
many items does (`serendip.index.exact`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code that runs without the interpreter lock, kept on disk where that can be written.

    Floats divide as in NumPy: by 0 to infinity or NaN.
    """
    return _compiled(function)


def summed(function: Callable[..., Any]) -> Any:
    """As `compiled`, for sums of floats whose order is left to the compiler, the same in every call."""
    return _compiled(function, fastmath={"reassoc", "contract", "nsz"})


def _compiled(function: Callable[..., Any], **options: Any) -> Any:
    try:
        return njit(nogil=True, error_model="numpy", cache=True, **options)(function)
    except RuntimeError:  # no writable place for the cache: compile in each process
        return njit(nogil=True, error_model="numpy", **options)(function)
