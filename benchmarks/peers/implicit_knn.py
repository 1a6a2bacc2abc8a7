"""implicit's item-kNN, timed in its own environment."""

import time

import numpy as np
import pyarrow.parquet as pq
from implicit.nearest_neighbours import CosineRecommender
from scipy.sparse import csr_matrix


def fit(path, neighbours, cores, repeats):
    """Fit times, the data read before, and the sum of all similarities but those of the items to themselves."""
    table = pq.read_table(path)
    users, items = (np.asarray(table[name]) for name in ("user_id", "item_id"))
    matrix = csr_matrix((np.ones(len(users), np.float32), (users, items)))
    times, processor = [], []
    for _ in range(repeats + 1):
        model = CosineRecommender(K=neighbours, num_threads=cores)
        begin, used = time.perf_counter(), time.process_time()
        model.fit(matrix, show_progress=False)
        times.append(time.perf_counter() - begin)
        processor.append(time.process_time() - used)
    found = model.similarity
    total = found.data.sum(dtype=np.float64) - found.diagonal().sum(dtype=np.float64)
    return {"seconds": times[1:], "cpu": processor[1:], "similarity": float(total)}
