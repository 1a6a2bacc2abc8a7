"""implicit's item-kNN, timed in its own environment."""

import time

import numpy as np
import pyarrow.parquet as pq
from implicit.nearest_neighbours import CosineRecommender
from scipy.sparse import csr_matrix


def fit(folder, neighbours, cores, repeats):
    """Fit times; the data are read before."""
    table = pq.read_table(f"{folder}/train.parquet")
    users, items = (np.asarray(table[name]) for name in ("user_id", "item_id"))
    matrix = csr_matrix((np.ones(len(users), np.float32), (users, items)))
    times = []
    for _ in range(repeats + 1):
        model = CosineRecommender(K=neighbours, num_threads=cores)
        begin = time.perf_counter()
        model.fit(matrix, show_progress=False)
        times.append(time.perf_counter() - begin)
    return {"seconds": times[1:]}
