"""implicit's lists for every user, from factors that are given, timed in its own environment."""

import time

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix


def everyone(folder, k, cores, repeats):
    """Times of one call for all users, items they have left out; the lists are written into the folder."""
    users, items = (np.load(f"{folder}/{name}.npy") for name in ("users", "items"))
    starts, seen = (np.load(f"{folder}/{name}.npy") for name in ("starts", "seen"))
    known = csr_matrix((np.ones(len(seen), np.float32), seen, starts), shape=(len(users), len(items)))
    model = AlternatingLeastSquares(factors=users.shape[1], num_threads=cores)
    model.user_factors, model.item_factors = users, items
    everybody = np.arange(len(users))
    times, processor = [], []
    for _ in range(repeats + 1):
        begin, used = time.perf_counter(), time.process_time()
        found, _ = model.recommend(everybody, known, N=k, filter_already_liked_items=True)
        times.append(time.perf_counter() - begin)
        processor.append(time.process_time() - used)
    np.save(f"{folder}/lists_of_implicit.npy", found)
    return {"seconds": times[1:], "cpu": processor[1:]}
