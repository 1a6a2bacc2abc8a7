"""What is known of users and items as sparse rows of features, for models that sum the features' vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from serendip.data.dataset import Dataset
from serendip.models._blocks import attribute, chosen_columns
from serendip.types import ABSENT, Floats, Input, SerendipError

Normalize = Literal["l2", "l1", "none"]


def rows_of(
    active: NDArray[np.bool_], identity: bool, parts: Sequence[csr_array], normalize: Normalize, others: csr_array
) -> csr_array:
    """Features side by side, ``[n, f]`` float32, without those that no row of the log has: nothing is learnt of them.

    A row that takes part in the log begins with its identity if there is one; columns need not be in order.

    Args:
        active: ``[n]`` the rows that take part in the log.
        identity: whether each of them is a feature of its own.
        parts: ``[n, …]`` each.
        normalize: whether a row is made of length 1 (l2), of sum 1 (l1) or left as it is.
        others: ``[n, n]`` what other rows' identities weigh, beside that; nothing where there are no identities.
    """
    n = len(active)
    own = csr_array((active.astype(np.float32), np.arange(n), np.arange(n + 1)), shape=(n, n))
    own.eliminate_zeros()
    ordered = hstack([own, *parts] if identity else [csr_array((n, 0)), *parts], "csr")
    ordered.sort_indices()
    rows = hstack([_normalized(csr_array(ordered), normalize), *([others] if identity else [])], "csr")
    indices = np.where(rows.indices < ordered.shape[1], rows.indices, rows.indices - ordered.shape[1])
    learnt = np.zeros(ordered.shape[1], np.bool_)
    row = np.repeat(np.arange(n), np.diff(rows.indptr))
    learnt[indices[active[row]]] = True
    kept = learnt[indices]
    column = (np.cumsum(learnt) - 1).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(np.bincount(row[kept], minlength=n))])
    values = rows.data[kept].astype(np.float32)
    return csr_array((values, column[indices[kept]], starts), shape=(n, int(learnt.sum())))


def user_attributes(data: Dataset, model: str, wanted: str) -> list[csr_array]:
    """``[users, values]`` for each of the chosen columns of the users table (`chosen_columns`).

    Raises:
        SerendipError: a name that is not a column.
    """
    columns = chosen_columns(model, "user_columns", wanted, data.users, ())
    return [attribute(data.users[name], False) for name in columns]


def user_values(data: Dataset) -> tuple[list[Input], list[csr_array]]:
    """The features of users that are codes, and ``[users, values]`` for each; several of one weigh ``1 / √(how many)``
    each."""
    features = data.features
    inputs = [] if features is None else [one for one in features.inputs if one.side == "user" and one.size is not None]
    if features is None or not inputs:
        return [], []
    found, n = features.users(data.users), data.n_users
    parts = []
    for one in inputs:
        codes = found[one.name].reshape(n, -1)
        row, place = np.nonzero(codes != ABSENT)
        weight = np.count_nonzero(codes != ABSENT, axis=1)[row] ** -0.5
        parts.append(csr_array((weight.astype(np.float32), (row, codes[row, place])), shape=(n, one.size)))
    return inputs, parts


def learnt_of(active: NDArray[np.bool_], parts: Sequence[csr_array], table: Floats) -> Floats:
    """``[f, …]`` the vectors of the columns of parts, side by side; NaN for one that no active row has.

    Args:
        active, parts: as `rows_of` was given them.
        table: vectors of the columns that it gave: identities first.
    """
    beside = csr_array(hstack(parts, "csr"))
    there = np.unique(beside[np.flatnonzero(active)].indices)
    out = np.full((beside.shape[1], table.shape[1]), np.nan, np.float32)
    out[there] = table[len(table) - len(there) :]
    return out


def related(data: Dataset, model: str, wanted: str) -> csr_array:
    """``[users, users]`` whom a user's relations name, the mean of them: each row sums to 1, or is empty.

    Args:
        data: with tables of pairs; the user on the left has the one on the right.
        model: how errors name it.
        wanted: ``auto`` for all relations between users, ``none``, or names separated by commas.

    Raises:
        SerendipError: a name that is not a relation between users.
    """
    known = [name for name in data.relations if data.schema.relations.get(name) == "users"]
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    if names in ([], ["none"], ["auto"]):
        names = known if names == ["auto"] else []
    for name in names:
        if name not in known:
            listed = f"{', '.join(known)}." if known else "none. Try giving the data a table of pairs: relations."
            raise SerendipError(
                f"{model}: relation_names must name relations between users. Got {name!r} instead. There are: {listed}"
            )
    left, right = (
        np.concatenate([np.empty(0, np.int32), *(data.relations[name][side].to_numpy() for name in names)])
        for side in ("left", "right")
    )
    apart = left != right
    shape = (data.n_users, data.n_users)
    pairs = csr_array((np.ones(int(apart.sum())), (left[apart], right[apart])), shape=shape)
    pairs.sum_duplicates()
    pairs.data[:] = 1
    return _normalized(pairs, "l1")


def sums(rows: csr_array, vectors: Floats) -> Floats:
    """``[n, d]`` the sum of the vectors of each row's features; NaN for a row without any."""
    out = np.asarray(rows @ vectors, np.float32)
    out[np.diff(rows.indptr) == 0] = np.nan
    return out


def _normalized(rows: csr_array, how: Normalize) -> csr_array:
    if how == "none":
        return rows
    n = rows.shape[0]
    size = np.diff(rows.indptr)
    row = np.repeat(np.arange(n), size)
    power = 2 if how == "l2" else 1
    norm = np.bincount(row, np.abs(rows.data.astype(np.float64)) ** power, n) ** (1 / power)
    return csr_array(((rows.data / norm[row]).astype(np.float32), rows.indices, rows.indptr), shape=rows.shape)
