"""lightfm's WARP and BPR (its maintained successor), timed in their own environment epoch by epoch."""

import time

import numpy as np
from lightfm import LightFM

from benchmarks.peers.lists import quality, read


def fit(folder, options, epochs, every, cores):
    """A point after every so many epochs: seconds of training so far, NDCG@20 and Recall@20; judging is not timed.

    Args:
        folder: holds train.parquet and test.parquet.
        options: of the model, such as ``{"loss": "warp", "no_components": 64, "learning_rate": 0.05}``.
        epochs, every: how many epochs, and how many between two points.
        cores: threads.
    """
    train, test = read(folder)
    pairs = train.tocoo()
    model = LightFM(random_state=0, **options)
    points, seconds = [], 0.0
    for epoch in range(1, epochs + 1):
        begin = time.perf_counter()
        model.fit_partial(pairs, epochs=1, num_threads=cores)
        seconds += time.perf_counter() - begin
        if epoch % every == 0:
            biases, items = model.get_item_representations()
            _, users = model.get_user_representations()
            ones = np.ones((len(users), 1), np.float32)
            vectors = np.hstack([users, ones]), np.hstack([items, biases[:, None]])
            points.append({"epoch": epoch, "seconds": seconds, **quality(*vectors, train, test)})
    return points
