"""What the peers' scripts for rankers share: reading rows, judging scores, epochs that are timed.

NumPy and PyArrow only.
"""

import time

import numpy as np
import pyarrow.parquet as pq

CLIP = 1e-7


def rows(file, fields):
    """By part its fields ``[m, f]`` int64 and its labels ``[m]`` float32, and how many codes each field has."""
    table = pq.read_table(file)
    part = np.asarray(table["part"])
    codes = np.stack([np.asarray(table[name]) for name in fields], axis=1).astype(np.int64)
    labels = np.asarray(table["label"]).astype(np.float32)
    found = {name: (codes[part == name], labels[part == name]) for name in ("train", "validation", "test")}
    return found, (codes.max(axis=0) + 1).tolist()


def figures(labels, probabilities):
    """AUC (ties count half) and logloss."""
    p = np.asarray(probabilities, np.float64)
    _, place, counts = np.unique(p, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positive = labels == 1
    n, m = int(positive.sum()), int((~positive).sum())
    area = (ranks[positive].sum() - n * (n + 1) / 2) / (n * m)
    p = np.clip(p, CLIP, 1 - CLIP)
    return {"auc": float(area), "logloss": float(-np.log(np.where(positive, p, 1 - p)).mean())}


def train(step, predict, parts, batch_size, epochs, judge, patience, seed, worse=lambda: None):
    """Train epoch by epoch over rows in random order.

    Args:
        step: learns from fields and labels of a batch.
        predict: ``[m]`` probabilities of fields ``[m, f]``.
        parts: from `rows`, as whatever `step` and `predict` take.
        batch_size: rows a step.
        epochs: how many at most.
        judge: parts judged after each epoch, which is not timed; the first decides.
        patience: epochs without a higher AUC after which training ends; None: it does not.
        seed: of the order.
        worse: what is done after an epoch whose AUC is no higher.

    Returns:
        ``epochs``: of each its number, ``examples``, ``seconds`` of training so far, the processor's ``cpu`` seconds,
        and the figures of each part by its name.
    """
    fields, labels = parts["train"]
    rng, points, seconds, best, at = np.random.default_rng(seed), [], 0.0, 0.0, 0
    for epoch in range(1, epochs + 1):
        order = rng.permutation(len(labels))
        begin, cpu = time.perf_counter(), time.process_time()
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            step(fields[chosen], labels[chosen])
        seconds += time.perf_counter() - begin
        point = {"epoch": epoch, "examples": len(order), "seconds": seconds, "cpu": time.process_time() - cpu}
        for name in judge:
            point[name] = figures(np.asarray(parts[name][1]), predict(parts[name][0]))
        points.append(point)
        if judge:
            if point[judge[0]]["auc"] > best:
                best, at = point[judge[0]]["auc"], epoch
            else:
                worse()
            if patience is not None and epoch - at >= patience:
                break
    return {"epochs": points}
