"""Jobs for the speed of rankers: training epoch by epoch, and scoring the candidates of one query.

What a step has to compute: ``6 · w`` operations a row for w weights of layers, three products of ``2 · w`` each; what
one answer has to: ``2 · w`` a candidate, less what is the query's alone, which counts once. The rate is the highest of
bare products, of the shapes of the layers and of large squares, measured in the same process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from benchmarks.ctr_jobs import LABEL, judged, rows_of, train_job, training
from benchmarks.made_up_ranker import ITEM_FIELDS, QUERY_FIELDS, VALUES, made_up
from benchmarks.peers.lists import stay

SQUARE = 1024
ITEMS = 5000
"""Of the made-up ranker."""


def rates(rows: int, width: int) -> dict[str, float]:
    """Float32 operations a second of ``[rows, width] × [width, width]`` and of a large square product, by PyTorch."""
    import torch

    def rate(shape: tuple[int, int, int]) -> float:
        left, right = torch.randn(shape[0], shape[1]), torch.randn(shape[1], shape[2])
        out = torch.empty(shape[0], shape[2])
        return 2.0 * shape[0] * shape[1] * shape[2] / min(timed(lambda: torch.mm(left, right, out=out), 12))

    return {"layer": rate((rows, width, width)), "square": rate((SQUARE, SQUARE, SQUARE))}


def timed(work: Callable[[], Any], turns: int) -> list[float]:
    """Seconds of each of so many turns, after one that does not count."""
    work()
    out = []
    for _ in range(turns):
        begin = time.perf_counter()
        work()
        out.append(time.perf_counter() - begin)
    return out


def weights(net: Any) -> int:
    """How many weights of layers there are."""
    from torch import nn

    return sum(layer.weight.numel() for layer in net.modules() if isinstance(layer, nn.Linear))


def speed_job(file: str, model: str, options: Mapping[str, Any], epochs: int, cores: int) -> dict[str, Any]:
    """Train so many epochs on the rows of ``train``, unjudged.

    Returns:
        As `benchmarks.ctr_jobs.train_job`; ``weights`` of layers, and the ``rates`` of bare products before and after.
    """
    stay(cores)
    import torch

    from serendip.model import find

    torch.set_num_threads(cores)
    width, rows = int(options["hidden"]), int(options["batch_size"])
    before = rates(rows, width)
    found = train_job(file, model, {**options, "epochs": epochs}, 0, cores)
    torch.set_num_threads(cores)
    after = rates(rows, width)
    known: Any = find(model)(**{**options, "label": LABEL})
    net = known.build(training(rows_of(file, "train")))
    return {**found, "weights": weights(net), "rates": {name: max(before[name], after[name]) for name in before}}


def rank_job(hidden: Sequence[int], crosses: int, rank: int, dim: int, candidates: int, turns: int) -> dict[str, Any]:
    """Milliseconds to score the candidates of one query on one core, by the networks that a bundle would hold.

    The ranker is a made-up one of `QUERY_FIELDS` and `ITEM_FIELDS` fields.

    Returns:
        ``ms`` of the scorer, ``network_ms`` and ``int8_ms`` of its network alone as it is and quantised, the medians of
        the turns; ``bound_ms`` by the rate of bare products, ``rates``, ``whole_ms`` if nothing were worked out once,
        ``weights``; ``agreement``: the rank correlation of the scores of both.
    """
    stay(1)
    import torch

    from serendip.nn.quantise import quantised
    from serendip.scorers.ranked import ITEM, QUERY, ROW, SCORE
    from serendip.types import Queries

    torch.set_num_threads(1)
    rng, given = np.random.default_rng(0), made_up(ITEMS, crosses, rank, dim, hidden)
    net, scorer = given.net, given.scorer
    features = {one.name: rng.integers(0, VALUES, 1).astype(np.int32) for one in given.asked}
    queries = Queries(np.zeros(1, np.int32), np.empty((1, 0), np.int32), features=features)
    items = rng.permutation(ITEMS)[None, :candidates].astype(np.int32)
    fed = {
        QUERY: rng.normal(size=(1, QUERY_FIELDS * dim)).astype(np.float32),
        ITEM: given.table[items[0]],
        ROW: np.zeros(candidates, np.int64),
    }
    plain, small = (opened(one.ranker.tobytes()) for one in (scorer, quantised(scorer)))
    seconds = median(timed(lambda: scorer.score(queries, items), turns))
    bare, quick = (median(timed(lambda one=one: one.run([SCORE], fed), turns)) for one in (plain, small))
    both = np.array([one.run([SCORE], fed)[0].argsort().argsort() for one in (plain, small)], np.float64)
    found = rates(candidates, max(hidden))
    work = {"bound_ms": needed(net, candidates), "whole_ms": 2.0 * weights(net) * candidates}
    return {
        "ms": 1000 * seconds,
        "network_ms": 1000 * bare,
        "int8_ms": 1000 * quick,
        "agreement": float(np.corrcoef(both)[0, 1]),
        **{name: 1000 * one / max(found.values()) for name, one in work.items()},
        "rates": found,
        "weights": weights(net),
    }


def needed(net: Any, candidates: int) -> float:
    """Operations of the products that rank so many candidates of one query, its own share once."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from serendip.nn.sides import Sides

    d = net.items.dim
    query, rest = torch.zeros(1, QUERY_FIELDS, d), torch.zeros(candidates, ITEM_FIELDS, d)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(Sides(query, rest, torch.zeros(candidates, dtype=torch.int64)))
    return float(counter.get_total_flops())


def opened(content: bytes) -> Any:
    """A network in ONNX's format, to be run by one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def bytes_job(file: str, options: Mapping[str, Any], epochs: int, cores: int, seed: int = 0) -> dict[str, Any]:
    """What it costs to serve dcn_v2 by products of bytes: figures of the rows of ``test`` as it is and quantised.

    Args:
        file: of `benchmarks.frappe.written`.
        options: of the model, but for the label and the epochs.
        epochs: of the fit.
        cores: threads.
        seed: of the fit.

    Returns:
        ``float32`` and ``int8``: AUC and logloss of each; ``bytes`` of the ranking network of each.
    """
    stay(cores)
    from serendip.model import Run, find
    from serendip.nn.quantise import quantised

    data, rows = training(rows_of(file, "train")), rows_of(file, "test")
    known: Any = find("dcn_v2")(**{**options, "epochs": epochs, "label": LABEL})
    scorer = known.fit(data, Run(seed=seed, threads=cores)).lower()
    small = quantised(scorer)
    sizes = {"float32": int(scorer.ranker.size), "int8": int(small.ranker.size)}
    return {"float32": judged(scorer, data, rows), "int8": judged(small, data, rows), "bytes": sizes}
