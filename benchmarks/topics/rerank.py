"""Re-ranking: what diversity costs, and what exploring is worth where the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import rerank_jobs as jobs
from benchmarks import rerank_whole_jobs as whole_jobs
from benchmarks.harness import RESULTS, ROOT, Row, Topic, data_dir, kept_job, mean, run_job, spread
from benchmarks.rerank_plot import trade

PACKAGE = ROOT / "serendip"
FILES = [
    PACKAGE / "rerank",
    PACKAGE / "pipeline/reranking.py",
    *(PACKAGE / f"models/{name}.py" for name in ("ials", "popular")),
    *(PACKAGE / f"scorers/{name}.py" for name in ("factors", "static")),
    PACKAGE / "evaluate/beyond.py",
    PACKAGE / "evaluate/protocols.py",
    Path(jobs.__file__),
]
WHOLE_FILES = [
    *(PACKAGE / f"{name}.py" for name in ("models/ease", "models/ensemble", "scorers/blend")),
    Path(whole_jobs.__file__),
]
TWEETS = "movietweetings_100k"
SEEDS = (0, 1, 2)
FACTORS, REGS = (32, 64, 128), (0.01, 0.03, 0.1)
LOSS = 0.02
WAYS: dict[str, list[dict[str, Any]]] = {
    f"{name}, {order}": [{"name": name, "by": "genres", "order": order, "weight": weight} for weight in weights]
    for name, weights in {
        "mmr": (0.9, 0.8, 0.75, 0.7, 0.55, 0.4),
        "dpp": (0.99, 0.98, 0.95, 0.9, 0.8, 0.6),
    }.items()
    for order in ("chosen", "relevance")
}
POPULAR = [{"name": "popularity", "weight": weight} for weight in (0.1, 0.2)]
RULE = (
    "A fifth of the events of each user held out. iALS, filled up by what is popular, names 100 items; its factors "
    "and reg, and the weight of each re-ranker, are chosen on a fifth of the training part held out likewise: the "
    "most diverse lists that lose at most 2% of NDCG@10, or, in rows named fifth, the first weight that is a fifth "
    "more diverse. Then all is fitted on the training part and the test asked once a seed of iALS; the whole curve is "
    "that of seed 0. Diversity: mean of 1 − cosine of genres over pairs of a list of 10. Intervals: paired over "
    "queries, means over seeds."
)

MODELS: dict[str, dict[str, Any]] = {"ease": {}, "ials": {"factors": 128, "reg": 0.03}, "popular": {}}
BLENDS: list[dict[str, float]] = [
    {"ials": 1.0},
    {"ease": 1.0, "popular": 0.2},
    {"ease": 1.0, "popular": 0.5},
    {"ease": 1.0, "ials": 1.0, "popular": 0.5},
    {"ease": 1.0, "ials": 1.0, "popular": 1.0},
]
WHOLE: list[dict[str, Any]] = [
    {"name": "mmr", "by": "genres", "order": "relevance", "against": "all", "weight": weight}
    for weight in (0.75, 0.7, 0.65, 0.6, 0.575, 0.55, 0.525, 0.5, 0.45)
] + [{"name": "calibrate", "by": "genres", "weight": weight} for weight in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)]
WHOLE_RULE = (
    "As above, of an ensemble of ease, ials and popular, whose weights have the highest NDCG@10 on the part of "
    "training. mmr is against all; kl@10 is the divergence of the genres of a list from those of the history."
)
TRIED = (
    "tried on the part of training, diversity at 2% of NDCG: of iALS alone against the nearest +11%, against all +13% "
    "(relevance by rank +11%; squared, by softmax or as a calibrated probability +13%; items exchanged after the "
    "greedy search +14%); of the ensemble +18% (50, 100 or 200 candidates, calibrated relevance or exchange +17 to "
    "+19%; first places kept: the same). The search is not what bounds it, but how well relevance is told apart"
)

MODEL = {"name": "ials", "factors": 16, "iterations": 6}
SIZE = {"users": 150, "items": 150}
POLICIES: dict[str, list[dict[str, Any]]] = {
    "epsilon_greedy": [{"epsilon": epsilon} for epsilon in (0.05, 0.1, 0.2)],
    "thompson": [{"policy": "thompson", "scale": scale, "draws": 1} for scale in (0.5, 1.0, 2.0)],
}
TUNED_ON = 100
"""Seed of the world on which ε and the scale are chosen."""


def measure(topic: Topic) -> None:
    """All rows of the topic."""
    diversity(topic)
    whole(topic)
    regret(topic)


def diversity(topic: Topic) -> None:
    """What diversity and less of what is popular cost."""
    fall, gain = "loss of ndcg@10", "gain of diversity@10"
    pairs = [(f"{TWEETS}/{way}/{rule}", what) for way in WAYS for rule in ("within", "fifth") for what in (gain, fall)]
    pairs += [(f"{TWEETS}/popularity/within", what) for what in ("loss of popularity@10", fall)]

    def make() -> list[Row]:
        folder = str(data_dir(TWEETS))
        best, sources = _best_source(folder)
        tried = [one for way in WAYS.values() for one in way] + POPULAR
        told = _kept("curve_job", folder=folder, **best, tried=tried, seed=0, chosen=False)
        chosen = _chosen(told)
        alone = [one for at, one in enumerate(chosen.values()) if one not in list(chosen.values())[:at]]
        asked = {seed: alone if seed else tried for seed in SEEDS}  # the whole curve once
        test = [
            _kept("curve_job", folder=folder, **best, tried=some, seed=seed, chosen=True)
            for seed, some in asked.items()
        ]
        details = {"rule": RULE, "sources": sources, "chosen": [best, *chosen.values()], "curve": _curve(test[0])}
        picture = {way: [(0.0, 0.0), *_points(test[0], options)] for way, options in WAYS.items()}
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "rerank.svg").write_text(trade("NDCG@10 lost for diversity@10 gained, movietweetings_100k", picture))
        rows: list[Row] = []
        for (way, rule), options in chosen.items():
            measures = [_share(test, options, jobs.VARIED, 1), _share(test, options, jobs.RELEVANT, -1)]
            if way == "popularity":
                measures[0] = _share(test, options, "popularity@10", -1)
            what = pairs[-2][1] if way == "popularity" else gain
            note = f"{_worded(options)}; 95% of ndcg@10 {_interval(test, options)}"
            targets = (">= 0.2", "<= 0.02") if rule == "within" and way != "popularity" else (None, None)
            for metric, values, target in zip((what, fall), measures, targets, strict=True):
                row = Row(
                    f"{TWEETS}/{way}/{rule}",
                    metric,
                    mean(values),
                    "",
                    spread(values),
                    len(values),
                    target=target,
                    note=note,
                )
                rows.append(row)
        rows[0].details = details
        return rows

    topic.row(
        pairs, make, depends=[*FILES, WAYS, POPULAR, FACTORS, REGS, RULE], timed=False, seeds=SEEDS, data=[TWEETS]
    )


def whole(topic: Topic) -> None:
    """What diversity against all of those chosen costs lists of an ensemble, and how near calibration comes."""
    fall, gain, mix = "loss of ndcg@10", "gain of diversity@10", whole_jobs.MIX
    label = f"{TWEETS}/ensemble"
    pairs = [(f"{label}, mmr against all/{rule}", what) for rule in ("within", "fifth") for what in (gain, fall)]
    pairs += [(f"{label}/as it is", what) for what in (jobs.RELEVANT, jobs.VARIED, mix)]
    pairs += [(f"{label}, calibrate/within", what) for what in (mix, f"loss of {mix}", fall)]

    def make() -> list[Row]:
        found = run_job(
            "benchmarks.rerank_whole_jobs:whole_job",
            folder=str(data_dir(TWEETS)),
            models=MODELS,
            blends=BLENDS,
            tried=WHOLE,
            seeds=SEEDS,
            loss=LOSS,
        )
        test, chosen = found["test"], found["chosen"]
        rows: list[Row] = []

        def add(name: str, metric: str, values: list[float], target: str | None = None, note: str = "") -> None:
            rows.append(Row(name, metric, mean(values), "", spread(values), len(values), target=target, note=note))

        for rule in ("within", "fifth"):
            options = chosen[f"mmr/{rule}"]
            note = f"{_worded(options)}; 95% of ndcg@10 {_interval(test, options)}; {TRIED}"
            targets = (">= 0.2", "<= 0.02")
            for metric, what, sign, target in zip(
                (gain, fall), (jobs.VARIED, jobs.RELEVANT), (1, -1), targets, strict=True
            ):
                add(f"{label}, mmr against all/{rule}", metric, _share(test, options, what, sign), target, note)
        for what in (jobs.RELEVANT, jobs.VARIED, mix):
            add(f"{label}/as it is", what, [_of(told, None)[what] for told in test])
        options = chosen["calibrate/within"]
        note = f"{_worded(options)}; 95% of ndcg@10 {_interval(test, options)}"
        add(f"{label}, calibrate/within", mix, [_of(told, options)[mix] for told in test], None, note)
        add(f"{label}, calibrate/within", f"loss of {mix}", _share(test, options, mix, -1), None, note)
        add(f"{label}, calibrate/within", fall, _share(test, options, jobs.RELEVANT, -1), "<= 0.02", note)
        told = {name: found[name] for name in ("blends", "blend", "chosen", "told")}
        rows[0].details = {"rule": WHOLE_RULE, **told, "curve": _curve(test[0])}
        return rows

    depends = [*FILES, *WHOLE_FILES, MODELS, BLENDS, WHOLE, WHOLE_RULE, LOSS]
    topic.row(pairs, make, depends=depends, timed=False, seeds=SEEDS, data=[TWEETS])


def regret(topic: Topic) -> None:
    """Cumulative regret of exploring in worlds whose truth is known."""
    pairs = [(f"world/{name}", "cumulative regret") for name in ("greedy", *POLICIES)]

    def make() -> list[Row]:
        asked = {"model": MODEL, **SIZE}
        chosen: dict[str, Any] = {"greedy": None}
        tried: dict[str, list[Any]] = {}
        for name, options in POLICIES.items():
            sums = [sum(_kept("regret_job", policy=one, seed=TUNED_ON, **asked)["regret"]) for one in options]
            chosen[name] = options[int(np.argmin(sums))]
            tried[name] = [list(pair) for pair in zip(options, sums, strict=True)]
        found = {
            name: [_kept("regret_job", policy=one, seed=seed, **asked) for seed in SEEDS]
            for name, one in chosen.items()
        }
        greedy = [sum(one["regret"]) for one in found["greedy"]]
        rows = []
        for name, runs in found.items():
            sums = [sum(one["regret"]) for one in runs]
            ratio = mean(before / after for before, after in zip(greedy, sums, strict=True))
            note = (
                f"{jobs.ROUNDS} rounds of lists of {jobs.K} to {SIZE['users']} users; {SIZE['items']} items, of which "
                f"{', '.join(str(one['new_items']) for one in runs)} are new at the start"
            )
            details = {
                "options": chosen[name],
                "tried": tried.get(name),
                "regret": np.mean([one["regret"] for one in runs], axis=0).tolist(),
                "share of new items": np.mean([one["new"] for one in runs], axis=0).tolist(),
            }
            peer, target = (None, None) if name == "greedy" else ("greedy", "ratio >= 1")
            row = Row(
                f"world/{name}", "cumulative regret", mean(sums), "clicks per user", spread(sums), len(sums), peer,
                None if peer is None else ratio, target, note=note, details=details,
            )  # fmt: skip
            rows.append(row)
        return rows

    topic.row(pairs, make, depends=[*FILES, MODEL, SIZE, POLICIES, TUNED_ON], timed=False, seeds=(*SEEDS, TUNED_ON))


def _best_source(folder: str) -> tuple[dict[str, Any], list[Any]]:
    tried = [{"factors": factors, "reg": reg} for factors in FACTORS for reg in REGS]
    worth = [_kept("source_job", folder=folder, **one) for one in tried]
    return tried[int(np.argmax(worth))], [list(pair) for pair in zip(tried, worth, strict=True)]


def _chosen(told: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Of each way and rule the re-ranker that is chosen on a part of training."""
    out: dict[tuple[str, str], dict[str, Any]] = {}
    for way, options in {**WAYS, "popularity": POPULAR}.items():
        gains = [_share([told], one, jobs.VARIED, 1)[0] for one in options]
        if way == "popularity":
            gains = [_share([told], one, "popularity@10", -1)[0] for one in options]
        losses = [_share([told], one, jobs.RELEVANT, -1)[0] for one in options]
        within = [at for at, loss in enumerate(losses) if loss <= LOSS] or [int(np.argmin(losses))]
        out[way, "within"] = options[max(within, key=lambda at: gains[at])]
        if way != "popularity":
            enough = [at for at, gain in enumerate(gains) if gain >= 0.2] or [int(np.argmax(gains))]
            out[way, "fifth"] = options[min(enough, key=lambda at: losses[at])]
    return out


def _of(told: list[dict[str, Any]], options: dict[str, Any] | None) -> dict[str, Any]:
    return next(one for one in told if one["by"] == options)


def _share(runs: list[list[dict[str, Any]]], options: dict[str, Any], metric: str, sign: int) -> list[float]:
    """By how much of the lists as they are a figure rises (sign 1) or falls (−1), run by run."""
    return [sign * (_of(told, options)[metric] / _of(told, None)[metric] - 1) for told in runs]


def _points(told: list[dict[str, Any]], options: list[dict[str, Any]]) -> list[tuple[float, float]]:
    return [(_share([told], one, jobs.VARIED, 1)[0], _share([told], one, jobs.RELEVANT, -1)[0]) for one in options]


def _curve(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in one.items() if name != "of"} for one in told]


def _interval(runs: list[list[dict[str, Any]]], options: dict[str, Any]) -> str:
    """Of the difference of relevance to the lists as they are."""
    from serendip.evaluate.significance import paired

    both = [np.mean([_of(told, one)["of"][jobs.RELEVANT] for told in runs], axis=0) for one in (options, None)]
    test = paired(*both)
    return f"[{test.low:+.4f}, {test.high:+.4f}] over {test.n} queries"


def _worded(options: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items() if name in ("weight", "quota"))


def _kept(job: str, **arguments: Any) -> Any:
    return kept_job(f"benchmarks.rerank_jobs:{job}", depends=FILES, threads=1, **arguments)
