"""Retrieval and ranking over retrieval alone, on logs cut at one moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import funnel_jobs as jobs
from benchmarks.harness import ROOT, Row, Topic, data_dir, kept_job, mean, spread

PACKAGE = ROOT / "serendip"
FILES = [
    *(PACKAGE / f"models/{name}.py" for name in ("_fields", "_ranking", "dcn_v2", "ials", "ease", "item_knn")),
    *(PACKAGE / f"pipeline/{name}.py" for name in ("ranking", "stages")),
    PACKAGE / "run.py",
    PACKAGE / "nn/ranker.py",
    PACKAGE / "scorers/ranked.py",
    PACKAGE / "recipe/nominating.py",
    PACKAGE / "data/sample.py",
    PACKAGE / "evaluate/protocols.py",
    Path(jobs.__file__),
]
SEEDS = (0, 1, 2)
POPULAR: list[tuple[str, dict[str, Any]]] = [("popular", {"half_life": days} if days else {}) for days in (0, 180, 30)]
RETRIEVERS: list[tuple[str, dict[str, Any]]] = [
    ("ials", {"factors": 32}),
    ("ials", {"factors": 64}),
    ("ease", {}),
    ("item_knn", {}),
]
_BASE: dict[str, Any] = {"epochs": 12, "batch_size": 1024, "learning_rate": 0.003, "reg": 1e-3, "dropout": 0.2}
RANKERS: list[tuple[str, dict[str, Any]]] = [("dcn_v2", {**_BASE, "retrieved": reads}) for reads in (True, False)]
RULE = (
    "global time, the last fifth held out. Of the training part the last fifth is held out once more: by NDCG@10 there "
    "chosen what is popular, then the retriever, whose lists that fills up (so that who is new has a list), then "
    "whether the ranker reads the score of retrieval (seed 0), its epochs and how much the order of retrieval counts. "
    "Then all is fitted on the training part and the test asked once a seed. 200 candidates; half of "
    "the negatives from what retrieval, fitted at five moments to what was before, would have shown. Interval: paired "
    "over queries, means over seeds."
)


def measure(topic: Topic) -> None:
    """All rows of the topic."""
    for name in jobs.POSITIVE:
        lift(topic, name)


def lift(topic: Topic, name: str) -> None:
    """The rows of one data set."""
    gained = "gain of ndcg@10"
    pairs = [(f"{name}/lift", gained), (f"{name}/lift", f"{gained}, low end of 95%")]
    pairs += [(f"{name}/alone", jobs.METRIC), (f"{name}/ranked", jobs.METRIC)]

    def make() -> list[Row]:
        from serendip.evaluate.significance import paired

        folder = str(data_dir(name))
        source, tried_sources = _best_source(folder)
        tried = [
            _kept("funnel_job", folder=folder, found=source, model=model, options=options, seed=0)
            for model, options in RANKERS
        ]
        at = int(np.argmax([one["ranked"] for one in tried]))
        model, options = RANKERS[at]
        chosen = {"epochs": tried[at]["epochs"], "named": tried[at]["named"]}
        by_seed = [
            _kept("funnel_job", folder=folder, found=source, model=model, options=options, seed=seed, **chosen)
            for seed in SEEDS
        ]
        gains = np.mean([one["by_query"] for one in by_seed], axis=0)
        test = paired(gains, np.zeros_like(gains))
        gain, ranked = [one["difference"] for one in by_seed], [one["ranked"] for one in by_seed]
        names = ", ".join(one for one, _ in source)
        note = f"{names} + {model}; 95% [{test.low:+.4f}, {test.high:+.4f}] over {test.n} queries"
        details = {
            "rule": RULE, "retrieval": tried_sources, "chosen": [source, model, chosen],
            "rankers": [{key: value for key, value in one.items() if key != "by_query"} for one in tried],
        }  # fmt: skip
        return [
            Row(*pairs[0], mean(gain), "", spread(gain), len(gain), note=note, details=details),
            Row(*pairs[1], test.low, "", n=len(gain), target=">= 0", note=note),
            Row(*pairs[2], by_seed[0]["alone"], ""),
            Row(*pairs[3], mean(ranked), "", spread(ranked), len(ranked)),
        ]

    topic.row(pairs, make, depends=[*FILES, POPULAR, RETRIEVERS, RANKERS], timed=False, seeds=SEEDS, data=[name])


def _best_source(folder: str) -> tuple[list[Any], list[Any]]:
    """What names items best on the last part of the training part, and all that was tried."""

    def figures(sources: list[list[Any]]) -> list[float]:
        return [_kept("retrieval_job", folder=folder, found=source) for source in sources]

    popular = [[one] for one in POPULAR]
    alone = figures(popular)
    fallback = popular[int(np.argmax(alone))]
    filled = [[one, *fallback] for one in RETRIEVERS]
    tried = list(zip([*popular, *filled], [*alone, *figures(filled)], strict=True))
    return max(tried, key=lambda one: one[1])[0], tried


def _kept(job: str, **arguments: Any) -> Any:
    return kept_job(f"benchmarks.funnel_jobs:{job}", depends=FILES, threads=1, **arguments)
