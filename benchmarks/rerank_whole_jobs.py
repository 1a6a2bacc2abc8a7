"""Lists as a whole: diversity of strong lists against all of those chosen, and the mix of values in the history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.peers.lists import stay
from benchmarks.rerank_jobs import CANDIDATES, RELEVANT, VARIED, K, _remembered, split_of

SMOOTHING = 0.01
MIX = "kl@10"
"""Mean Kullback–Leibler divergence of the genres of a list of 10 from those of the history."""


def whole_job(
    folder: str,
    models: dict[str, dict[str, Any]],
    blends: Sequence[dict[str, float]],
    tried: Sequence[dict[str, Any]],
    seeds: Sequence[int],
    loss: float,
    cores: int = 1,
) -> dict[str, Any]:
    """The best blend of models and its re-rankers, chosen on a part of training; then the test, once a seed.

    Args:
        folder: of the data set.
        models: options by name.
        blends: weights by model, above 0.
        tried: re-rankers as recipes write them.
        seeds: of the models.
        loss: share of relevance that the re-rankers named within may cost.
        cores: how many it may use.

    Returns:
        ``blends`` and their relevance, ``blend`` and ``chosen`` re-rankers (by kind and rule), ``told`` of them on the
        part of training, and ``test``, seed by seed.
    """
    stay(cores)
    from serendip.evaluate import evaluate

    split = split_of(folder, False)
    parts = _parts(split, models, 0)
    worth = [float(evaluate(_source(parts, one), split, (RELEVANT,), threads=cores).mean(RELEVANT)) for one in blends]
    blend = blends[int(np.argmax(worth))]
    told = _curve(split, _source(parts, blend), tried, cores)
    chosen = _chosen(told, loss)
    asked = [one for at, one in enumerate(chosen.values()) if one not in list(chosen.values())[:at]]
    split, test = split_of(folder, True), []
    parts = _parts(split, models, seeds[0])
    for seed in seeds:
        if seed != seeds[0]:
            parts |= _parts(split, {"ials": models["ials"]}, seed)  # the others draw nothing
        test.append(_curve(split, _source(parts, blend), asked if seed != seeds[0] else tried, cores))
    for one in told:
        del one["of"]
    return {"blends": [[*pair] for pair in zip(blends, worth, strict=True)], "blend": blend, "told": told,
            "chosen": chosen, "test": test}  # fmt: skip


def _parts(split: Any, models: dict[str, dict[str, Any]], seed: int) -> dict[str, Any]:
    from serendip.model import Run, find

    run = Run(seed=seed, threads=1)
    return {name: find(name)(**options).fit(split.train, run).lower() for name, options in models.items()}


def _source(parts: dict[str, Any], blend: dict[str, float]) -> Callable[..., Any]:
    """What is re-ranked: the models heard together, filled up by what is popular."""
    from serendip.pipeline import first_of, retrieve
    from serendip.scorers import Blend

    names = list(blend)
    whole = parts[names[0]] if len(names) == 1 else Blend(tuple(parts[name] for name in names), tuple(blend.values()))
    return first_of(retrieve(whole, name="blend"), retrieve(parts["popular"], name="popular"))


def _curve(split: Any, source: Any, tried: Sequence[dict[str, Any]], cores: int) -> list[dict[str, Any]]:
    """Figures of lists as they are and by each re-ranker."""
    import msgspec

    from serendip.bundle.content import titled
    from serendip.bundle.shelving import shelved
    from serendip.evaluate import evaluate
    from serendip.pipeline import in_turn, reranked
    from serendip.rerank import Reranker

    known, out = _remembered(source), []
    for one in (None, *tried):
        stage = known
        if one is not None:
            steps = in_turn([msgspec.convert(one, Reranker)])
            stage = shelved(reranked(known, *steps, candidates=CANDIDATES), titled(split.train), split.train.histories)
        mix = _Mix(split.train)
        found = evaluate(mix.watching(stage), split, (RELEVANT, VARIED), threads=cores)
        said = {name: float(found.mean(name)) for name in found.metrics}
        of = {name: found.of(name).tolist() for name in (RELEVANT, VARIED)}
        out.append({"by": one, **said, MIX: mix.mean(), "of": of})
    return out


class _Mix:
    """The divergence of the genres of lists from those of the histories that they answer."""

    def __init__(self, train: Any) -> None:
        genres = train.items["genres"].to_list()
        names = sorted({name for row in genres for name in row or ()})
        share = np.zeros((train.n_items + 1, len(names)))
        for row, own in enumerate(genres):
            for name in set(own or ()):
                share[row, names.index(name)] = 1 / len(set(own))
        self.share, self.found = share, list[Any]()

    def watching(self, stage: Any) -> Callable[..., Any]:
        """The stage, whose lists are taken down."""

        def named(queries: Any, recs: Any = None) -> Any:
            lists = stage(queries)
            weight = np.broadcast_to(np.asarray(queries.bags.get("weight", 1.0), np.float64), queries.history.shape)
            p = np.einsum("qt,qtg->qg", weight, self.share[queries.history])
            q = self.share[lists.items[:, :K]].sum(axis=1)
            both = (p.sum(axis=1) > 0) & (q.sum(axis=1) > 0)
            p, q = (one[both] / one[both].sum(axis=1, keepdims=True) for one in (p, q))
            near = (1 - SMOOTHING) * q + SMOOTHING * p
            some = p > 0
            log = np.log(np.where(some, p, 1) / np.where(some, near, 1))
            self.found.append((p * log).sum(axis=1))
            return lists

        return named

    def mean(self) -> float:
        """Over all lists that were taken down."""
        return float(np.concatenate(self.found).mean())


def _chosen(told: Sequence[dict[str, Any]], loss: float) -> dict[str, Any]:
    """Of each kind and rule the re-ranker that is chosen on a part of training."""
    plain, out = told[0], dict[str, Any]()
    for kind, what, sign in (("mmr", VARIED, 1), ("calibrate", MIX, -1)):
        own = [one for one in told[1:] if one["by"]["name"] == kind]
        gain = [sign * (one[what] / plain[what] - 1) for one in own]
        fall = [1 - one[RELEVANT] / plain[RELEVANT] for one in own]
        within = [at for at in range(len(own)) if fall[at] <= loss] or [int(np.argmin(fall))]
        out[f"{kind}/within"] = own[max(within, key=gain.__getitem__)]["by"]
        if kind == "mmr":
            enough = [at for at in range(len(own)) if gain[at] >= 0.2] or [int(np.argmax(gain))]
            out[f"{kind}/fifth"] = own[min(enough, key=fall.__getitem__)]["by"]
    return out
