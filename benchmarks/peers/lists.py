"""What the peers' scripts share: reading a split and judging vectors by it. NumPy, SciPy and PyArrow only."""

import os

import numpy as np
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

BLOCK = 1024
PLACES = 20


def stay(cores: int) -> None:
    """Keep this process on so many cores, where the system lets it: threads beside those counted would be a gift."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def read(folder):
    """The training and the test part as users × items, 1 per pair, of one shape."""
    parts = []
    for name in ("train", "test"):
        table = pq.read_table(f"{folder}/{name}.parquet")
        parts.append(tuple(np.asarray(table[column]) for column in ("user_id", "item_id")))
    shape = tuple(1 + max(int(part[side].max()) for part in parts) for side in (0, 1))
    matrices = []
    for users, items in parts:
        matrix = csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=shape)
        matrix.data[:] = 1
        matrices.append(matrix)
    return matrices


def quality(users, items, train, test):
    """NDCG@20 and Recall@20, the mean over the users with a test item; training items are never listed.

    Args:
        users: ``[users, d]`` float32.
        items: ``[n, d]`` float32; a score is the inner product.
        train, test: from `read`.
    """
    discount = 1 / np.log2(np.arange(2, PLACES + 2))
    ideal = np.cumsum(discount)
    asked = np.flatnonzero(np.diff(test.indptr))
    ndcg, recall = [], []
    for begin in range(0, len(asked), BLOCK):
        rows = asked[begin : begin + BLOCK]
        scores = users[rows] @ items.T
        seen = train[rows]
        scores[np.repeat(np.arange(len(rows)), np.diff(seen.indptr)), seen.indices] = -np.inf
        best = np.argpartition(-scores, PLACES, axis=1)[:, :PLACES]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        listed = np.take_along_axis(best, order, axis=1)
        hits = np.asarray(test[np.repeat(rows, PLACES), listed.ravel()]).reshape(listed.shape)
        wanted = np.diff(test.indptr)[rows]
        ndcg.append(hits @ discount / ideal[np.minimum(wanted, PLACES) - 1])
        recall.append(hits.sum(axis=1) / wanted)
    return {"ndcg": float(np.concatenate(ndcg).mean()), "recall": float(np.concatenate(recall).mean())}


def some(test, users):
    """The test part with the rows of so many users only."""
    asked = np.flatnonzero(np.diff(test.indptr))
    if users is None or users >= len(asked):
        return test
    kept = np.zeros(test.shape[0], bool)
    kept[np.random.default_rng(0).choice(asked, users, replace=False)] = True
    out = test.multiply(kept[:, None]).tocsr()
    out.eliminate_zeros()
    return out
