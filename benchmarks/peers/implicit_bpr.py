"""implicit's BPR, timed in its own environment epoch by epoch."""

import time

import numpy as np
from implicit.cpu.bpr import BayesianPersonalizedRanking

from benchmarks.peers.lists import quality, read


def fit(folder, options, epochs, every, cores):
    """A point after every so many epochs: seconds of training so far, NDCG@20 and Recall@20; judging is not timed.

    Args:
        folder: holds train.parquet and test.parquet.
        options: of the model, such as ``{"factors": 64, "learning_rate": 0.05, "regularization": 0.01}``.
        epochs, every: how many epochs, and how many between two points.
        cores: threads.
    """
    train, test = read(folder)
    model = BayesianPersonalizedRanking(iterations=epochs, num_threads=cores, random_state=0, **options)
    points = []
    state = {"seconds": 0.0}

    def after(epoch, *_):
        now = time.perf_counter()
        state["seconds"] += now - state["begin"]
        if (epoch + 1) % every == 0:
            vectors = (np.asarray(part, np.float32) for part in (model.user_factors, model.item_factors))
            points.append({"epoch": epoch + 1, "seconds": state["seconds"], **quality(*vectors, train, test)})
        state["begin"] = time.perf_counter()

    state["begin"] = time.perf_counter()
    model.fit(train, show_progress=False, callback=after)
    return points
