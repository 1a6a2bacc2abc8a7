"""implicit's ALS, timed and judged in its own environment."""

import time

import numpy as np
import pyarrow.parquet as pq
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

K = 20


def read(folder):
    """The training and the test part, users × items."""
    pairs = [
        [np.asarray(table[name]) for name in ("user_id", "item_id")]
        for table in (pq.read_table(f"{folder}/{part}.parquet") for part in ("train", "test"))
    ]
    shape = tuple(int(max(part[side].max() for part in pairs)) + 1 for side in (0, 1))
    return [csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=shape) for users, items in pairs]


def judged(model, train, test, users):
    """Recall and NDCG of K places, items of the training part left out; means over users."""
    found, _ = model.recommend(users, train[users], N=K, filter_already_liked_items=True)
    truth = test[users]
    rows = np.repeat(np.arange(len(users)), K)
    hits = np.asarray(truth[rows, found.ravel()]).reshape(found.shape) > 0
    sizes = np.diff(truth.indptr)
    discount = 1 / np.log2(np.arange(2, K + 2))
    ideal = np.cumsum(discount)[np.minimum(sizes, K) - 1]
    return {"recall": float((hits.sum(axis=1) / sizes).mean()), "ndcg": float((hits @ discount / ideal).mean())}


def trace(folder, options, iterations, cores, users=None, step=1):
    """Seconds so far and figures after every ``step`` iterations.

    What fit does before the first iteration (it takes the transpose) counts; the evaluation does not.

    Args:
        folder: holds ``train.parquet`` and ``test.parquet`` with whole ``user_id`` and ``item_id`` from 0 on.
        options: of implicit's model.
        iterations, cores: how many.
        users: judge by so many users, drawn at random. None: all with a test item.
        step: how many iterations apart to judge.
    """
    train, test = read(folder)
    asking = np.flatnonzero(np.diff(test.indptr))
    if users is not None and users < len(asking):
        asking = np.sort(np.random.default_rng(0).choice(asking, users, replace=False))
    model = AlternatingLeastSquares(**options, iterations=iterations, num_threads=cores)
    out = []

    def after(iteration, seconds, loss):
        nonlocal since, spent
        spent += time.perf_counter() - since
        if (iteration + 1) % step == 0:
            out.append({"iteration": iteration + 1, "seconds": spent, **judged(model, train, test, asking)})
        since = time.perf_counter()

    with threadpool_limits(1, "blas"):
        spent, since = 0.0, time.perf_counter()
        model.fit(train, show_progress=False, callback=after)
    return out


def search(folder, grid, iterations, cores, users, step):
    """The best figures of each of the options, and the iteration that they were reached after; the best first."""
    tried = []
    for options in grid:
        best = max(trace(folder, options, iterations, cores, users, step), key=lambda one: one["ndcg"])
        tried.append({"options": options, **best})
        print(tried[-1], flush=True)
    return sorted(tried, key=lambda one: -one["ndcg"])
