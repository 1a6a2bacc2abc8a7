"""Models on the graph of who took up what: how good they are after how long, and how near to what memory allows.

Bound of one pass over the graph: each of the E pairs has two vectors of d floats fetched per layer, from places that
follow no order, so ``8·E·d·L`` bytes; a step of training needs a pass forwards and one backwards. The rate is that at
which nothing but fetching is done: sums over thousands of rows each, drawn at random from a table as large as the
larger side, by the same kernel on as many threads, in the same process. A graph whose popular items stay in a cache may
beat it. The bound of an epoch is that of its passes alone: what the loss and Adam do comes on top of it, and what an
epoch saves because a step asks for few users counts for it.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import numpy as np

from benchmarks.harness import THREADS
from benchmarks.holdout import METRICS, hold_out, published

FETCHED, TOGETHER = 1 << 22, 1 << 12
"""How many rows are fetched to know the rate, and how many each sum is over."""


def lightgcn_job(
    folder: str,
    options: dict[str, Any],
    model: str = "lightgcn",
    seed: int = 0,
    every: int = 1,
    seconds: float | None = None,
    held_out: bool = False,
) -> dict[str, Any]:
    """Train on the training part and judge by the test every so many epochs, or both on the hold-out.

    Nothing is chosen by what is judged. The seconds are those of training alone, the start included.

    Args:
        folder: of the data set.
        options: of the model.
        model: its name.
        seed: of the run.
        every: how many epochs lie between two judgements.
        seconds: after which training stops.
        held_out: whether to stay within the training part.

    Returns:
        ``trace``: a row per judgement: ``epoch``, ``seconds``, ``ndcg``, ``recall``, ``loss``.
    """
    from serendip.evaluate import evaluate
    from serendip.model import Run, find

    given = published(folder)
    split = hold_out(given.train) if held_out else given
    found: dict[str, float] = {}
    trace: list[dict[str, float]] = []

    def judge(scorer: Any) -> float:
        judged = evaluate(scorer, split, METRICS, threads=THREADS)
        found.update({"recall": judged.mean(METRICS[0]), "ndcg": judged.mean(METRICS[1])})
        return found["ndcg"]

    def note(one: Any) -> None:
        if "validation" in one:
            trace.append({name: one[name] for name in ("epoch", "seconds", "loss")} | found)

    begin = time.perf_counter()
    run = Run(seed=seed, threads=THREADS, validation=judge, validate_every=every, time_budget=seconds, log=note)
    find(model)(**options).fit(split.train, run)
    return {"trace": trace, "wall": time.perf_counter() - begin, "options": options, "seed": seed}


def bound_job(folder: str, options: dict[str, Any], repeats: int = 7) -> dict[str, Any]:
    """How fast rows are fetched, a pass over the graph and an epoch of LightGCN are, and their shares of the bound."""
    import torch

    from serendip.model import Run, find
    from serendip.nn.graph import BipartiteGraph

    data = published(folder).train
    made = find("lightgcn")(**options)
    config: Any = made.config
    torch.set_num_threads(THREADS)
    matrix = data.matrix()
    graph, rng = BipartiteGraph(matrix), np.random.default_rng(0)
    users, items = (torch.from_numpy(rng.standard_normal((n, config.factors), np.float32)) for n in matrix.shape)
    rates, passes = [], []
    graph.mean(users, items, config.layers)
    for _ in range(repeats):
        rates.append(fetched(max(matrix.shape), config.factors, rng))
        begin = time.perf_counter()
        graph.mean(users, items, config.layers)
        passes.append(time.perf_counter() - begin)
    volume = 8 * matrix.nnz * config.factors * config.layers
    steps = sum(1 for _ in made.batches(data, np.random.default_rng(0)))
    ends: list[float] = []
    made.fit(data, Run(threads=THREADS, log=lambda one: ends.append(one["seconds"])))
    epochs = np.diff(ends[min(1, len(ends) - 2) :])
    rate, seconds = median(rates), median(epochs.tolist())
    return {
        "bytes": volume,
        "rate": rate,
        "pass": median(passes),
        "pass_share": volume / rate / median(passes),
        "steps": steps,
        "epoch": seconds,
        "epoch_bound": 2 * steps * volume / rate,
        "epoch_share": 2 * steps * volume / rate / seconds,
    }


def fetched(rows: int, d: int, rng: np.random.Generator) -> float:
    """Bytes a second at which rows are fetched in random order from a table ``[rows, d]`` of float32, and added up."""
    from scipy.sparse import csr_array

    from serendip.kernels.propagate import product

    table = rng.standard_normal((rows, d), np.float32)
    ends = np.arange(0, FETCHED + 1, TOGETHER)
    places = rng.integers(0, rows, FETCHED).astype(np.int32)
    matrix = csr_array((np.ones(FETCHED, np.float32), places, ends), shape=(len(ends) - 1, rows))
    begin = time.perf_counter()
    product(matrix, table, threads=THREADS)
    return FETCHED * d * 4 / (time.perf_counter() - begin)
