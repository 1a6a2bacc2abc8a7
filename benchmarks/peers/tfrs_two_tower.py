"""TFRS's retrieval model of a user's and an item's id, timed in its own environment epoch by epoch.

It is given what was quickest here: ids that are codes already, batches dealt by NumPy from a permutation of its own for
each epoch, no metrics while it trains, many steps in one call, and the Adagrad that touches the rows of a batch alone.
"""

import os
import time

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # what tensorflow-recommenders asks for
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from benchmarks.peers.lists import quality, read, stay

STEPS = 50
"""Steps that one call takes."""


class TwoTower(tfrs.Model):
    """A vector per user and one per item; the softmax over the items of the batch."""

    def __init__(self, users, items, dim, shares):
        super().__init__()
        self.shares = None if shares is None else tf.constant(shares)
        self.users = tf.keras.layers.Embedding(users, dim)
        self.items = tf.keras.layers.Embedding(items, dim)
        self.task = tfrs.tasks.Retrieval()

    def compute_loss(self, features, training=False):
        """The summed loss of a batch."""
        users, items = self.users(features["user"]), self.items(features["item"])
        shares = None if self.shares is None else tf.gather(self.shares, features["item"])
        return self.task(users, items, candidate_sampling_probability=shares, compute_metrics=False)


def fit(folder, batch_size, dim, learning_rate, epochs, every, cores, most=None, corrected=False):
    """Train so many epochs.

    Args:
        folder: holds train.parquet and test.parquet.
        batch_size: events a step.
        dim: of the vectors.
        learning_rate: of Adagrad.
        epochs, every: how many epochs, and how many between two judgements, which are not timed; 0: none.
        cores: threads.
        most: steps of an epoch; None: all events.
        corrected: whether it is told how often each item is a candidate.

    Returns:
        ``epochs``: of each its ``examples``, the ``seconds`` of training so far, the processor's ``cpu`` seconds, and
        where judged ``ndcg`` and ``recall`` at 20.
    """
    stay(cores)
    tf.config.threading.set_intra_op_parallelism_threads(cores)
    tf.config.threading.set_inter_op_parallelism_threads(cores)
    tf.keras.utils.set_random_seed(0)
    train, test = read(folder)
    pairs = train.tocoo()
    users, items = pairs.row.astype(np.int32), pairs.col.astype(np.int32)
    shares = np.bincount(items, minlength=train.shape[1]).astype(np.float32) / len(items)
    model = TwoTower(*train.shape, dim, shares if corrected else None)
    model.compile(optimizer=tf.keras.optimizers.legacy.Adagrad(learning_rate), steps_per_execution=STEPS)
    steps = min(len(users) // batch_size, most or len(users))
    order = np.arange(steps * batch_size)
    _epoch(model, users, items, order[: batch_size * min(steps, STEPS)], batch_size)  # compiles
    points, seconds = [], 0.0
    for epoch in range(1, epochs + 1):
        begin, cpu = time.perf_counter(), time.process_time()
        order = np.random.default_rng(epoch).permutation(len(users))[: steps * batch_size]
        _epoch(model, users, items, order, batch_size)
        seconds += time.perf_counter() - begin
        spent = time.process_time() - cpu
        points.append({"epoch": epoch, "examples": len(order), "seconds": seconds, "cpu": spent})
        if every and epoch % every == 0:
            vectors = (layer.embeddings.numpy() for layer in (model.users, model.items))
            points[-1] |= quality(*vectors, train, test)
    return {"epochs": points}


def _epoch(model, users, items, order, batch_size):
    order = order.reshape(-1, batch_size)
    batches = tf.data.Dataset.from_tensor_slices({"user": users[order], "item": items[order]}).prefetch(2)
    model.fit(batches, epochs=1, verbose=0)
