"""Top-N lists on published splits: options chosen on a hold-out of the training part; best on test apart."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.harness import ROOT, Row, Topic, data_dir, median, run_job, spread

PACKAGE = ROOT / "serendip"
HOLD_OUT, NCF = (ROOT / "benchmarks" / f"{name}.py" for name in ("holdout", "ncf"))
METRICS = ("recall@20", "ndcg@20")
USERS = 5000
TRIALS = 160
SEEDS = (0, 1, 2)

POWER = {"low": 0.0, "high": 1.0}
SPACES: dict[str, dict[str, Any]] = {
    "spectral": {
        "filter": ["ridge", "heat"],
        "strength": {"low": 0.1, "high": 10, "log": True},
        "tail": {"low": 0.05, "high": 4, "log": True},
        "user_power": POWER,
        "item_power": POWER,
        "output_power": POWER,
    },
    "gf_cf": {"factors": [64, 128, 256, 512], "alpha": {"low": 0.03, "high": 3, "log": True}},
    "item_knn": {
        "neighbours": {"low": 20, "high": 1000, "log": True, "whole": True},
        "user_power": POWER,
        "alpha": POWER,
        "beta": POWER,
        "shrink": {"low": 0.1, "high": 300, "log": True},
        "nearest_to": ["history", "candidate"],
        "weighting": ["none", "tfidf", "bm25"],
    },
    "rp3beta": {
        "neighbours": {"low": 20, "high": 1000, "log": True, "whole": True},
        "alpha": {"low": 0.3, "high": 1.5},
        "beta": POWER,
    },
    "user_knn": {
        "neighbours": {"low": 20, "high": 1000, "log": True, "whole": True},
        "alpha": POWER,
        "shrink": {"low": 0.1, "high": 300, "log": True},
        "idf_power": {"low": 0, "high": 3},
    },
    "slim": {"l1": {"low": 0.3, "high": 30, "log": True}, "l2": {"low": 3, "high": 1000, "log": True}},
    "ease": {"reg": {"low": 10, "high": 3000, "log": True}, "user_power": POWER, "reg_power": POWER},
    "ease_as_published": {"reg": {"low": 10, "high": 3000, "log": True}},
    "ials": {
        "alpha0": {"low": 0.003, "high": 1, "log": True},
        "reg": {"low": 0.001, "high": 0.03, "log": True},
        "iterations": {"low": 2, "high": 12, "log": True, "whole": True},
        "init_passes": [0, 1],
    },
    "ials_small": {
        "factors": [192, 256, 384],
        "alpha0": {"low": 0.03, "high": 1, "log": True},
        "reg": {"low": 0.001, "high": 0.03, "log": True},
        "iterations": {"low": 4, "high": 20, "log": True, "whole": True},
    },
}
_LOOP = [
    *(f"{name}.py" for name in ("neural", "loop", "nn/graph", "nn/losses", "models/_graph", "models/_spectrum")),
    *(f"kernels/{name}.py" for name in ("propagate", "softmax")),
    "scorers/neighbourhood.py",
]
GRAPH: dict[str, dict[str, Any]] = {
    "lightgcn": {"factors": 192, "epochs": 10, "batch_size": 8192, "learning_rate": 0.01, "temperature": 0.13},
    "ngcf": {"factors": 64, "epochs": 10, "batch_size": 8192, "learning_rate": 0.01, "temperature": 0.13},
}
_WIDE = {"batch_size": 65536, "learning_rate": 0.03}
_NARROW = {"batch_size": 8192, "learning_rate": 0.01, "layers": 3, "temperature": 0.13}
GRAPH_TRIALS: list[tuple[dict[str, Any], float]] = [
    ({**_WIDE, "factors": 64, "layers": 2, "temperature": 0.1, "epochs": 14}, 0.1492),
    ({**_WIDE, "factors": 192, "layers": 2, "temperature": 0.1, "epochs": 8}, 0.1547),
    ({**_WIDE, "factors": 192, "layers": 2, "temperature": 0.1, "epochs": 8, "learning_rate": 0.06}, 0.1541),
    ({**_WIDE, "factors": 192, "layers": 3, "temperature": 0.1, "epochs": 8}, 0.1553),
    ({**_WIDE, "factors": 192, "layers": 2, "temperature": 0.13, "epochs": 8}, 0.1567),
    ({**_WIDE, "factors": 256, "layers": 2, "temperature": 0.1, "epochs": 16}, 0.1581),
    ({**_NARROW, "factors": 64, "epochs": 8}, 0.1550),
    ({**_NARROW, "factors": 192, "epochs": 4}, 0.1606),
]
"""LightGCN on some users of the hold-out of Gowalla's training part: NDCG@20 after so many epochs."""
LOOKS: dict[str, str] = json.loads(Path(__file__).with_name("topn_looks.json").read_text())
"""What had been seen of a test before the row's rule and ranges were settled: such a row is not a blind one."""
FILES = {
    "lightgcn": _LOOP,
    "ngcf": _LOOP,
    "spectral": ["models/_spectrum.py", "scorers/filters.py", "kernels/votes.py"],
    "gf_cf": ["models/_spectrum.py", "scorers/filters.py", "kernels/votes.py"],
    "item_knn": ["kernels/neighbours.py"],
    "rp3beta": ["kernels/neighbours.py"],
    "user_knn": ["scorers/users.py"],
    "slim": ["kernels/elastic.py"],
    "ease": ["models/_spectrum.py", "kernels/restricted.py", "kernels/gram.py"],
    "ials": [
        "models/_alternation.py",
        "models/_spectrum.py",
        *(f"kernels/{name}.py" for name in ("als", "als_cg", "als_block", "lines", "normal", "gather", "registers")),
        "scorers/factors.py",
    ],
    "ensemble": ["scorers/blend.py"],
}
"""What a model's figures rest on beside its own file and the evaluation."""

ON_TEST = (1.5, 2.5, 4.0), (0.35, 0.4, 0.45)
BESIDE: list[dict[str, float]] = [
    {},
    {"tail": 0.6},
    {"tail": 0.25},
    *({"user_power": power} for power in (0.25, 0.35, 0.4)),
    *({"factors": factors} for factors in (112, 144, 160)),
    *({"strength": 3, "output_power": power} for power in (0.38, 0.4, 0.42)),
    *({"strength": 3, "item_power": 0.42, "output_power": power} for power in (0.4, 0.42)),
    {"user_power": 0.32, "item_power": 0.42},
    {"user_power": 0.32, "output_power": 0.42},
]
"""What `best_on_test` tries beside the grid."""
EIGENVECTORS = {"factors": 128}
"""Not searched: a hold-out has fewer events than the training part, and would ask for fewer of them."""
SPARSE = {"solver": "sparse", "neighbours": 60}


def measure(topic: Topic) -> None:
    """All rows of the topic."""
    gowalla = "gowalla_lightgcn"
    chosen(topic, gowalla, "spectral", TRIALS, name="best", fixed=EIGENVECTORS, targets=(0.1920, 0.1597))
    chosen(topic, "amazon_cds_ultragcn", "spectral", TRIALS, name="best", fixed=EIGENVECTORS, targets=(0.1622, 0.1043))
    seconds(topic, gowalla)
    chosen(topic, gowalla, "ease", 16, name="ease_sparse", fixed=SPARSE, final={"neighbours": 200})
    chosen(topic, gowalla, "ials", 32, fixed={"factors": 1024}, targets=(0.1833, 0.1493), seeds=SEEDS)
    ensemble(topic, gowalla)
    graph(topic, gowalla, "lightgcn", (0.1824, 0.1547))
    best_on_test(topic, gowalla)
    ncf(topic, "item_knn", 60, targets=(0.6596, 0.3900))
    ncf(topic, "user_knn", 50, targets=(0.6705, 0.3908))
    ncf(topic, "slim", 20, fixed={"tolerance": 1e-3}, targets=(0.7161, 0.4470))
    ncf(topic, "ials", 80, space="ials_small", targets=(0.7310, 0.4521), seeds=SEEDS)
    chosen(topic, "yelp_sslrec", "spectral", TRIALS, name="best", fixed=EIGENVECTORS)
    chosen(topic, "ml_1m_ultragcn", "spectral", TRIALS, name="best", fixed=EIGENVECTORS, targets=(0.2787, 0.2642))
    graph(topic, gowalla, "ngcf", (0.1570, 0.1327))
    chosen(topic, gowalla, "gf_cf", 10, targets=(0.1849, 0.1518))
    chosen(topic, gowalla, "item_knn", 40)
    chosen(topic, gowalla, "rp3beta", 30)
    dense_ease(topic, gowalla)
    published = {"name": "ease_as_published", "space": "ease_as_published"}
    chosen(topic, gowalla, "ease", 12, **published, fixed=SPARSE, final={"solver": "dense"})


def rests_on(*models: str) -> list[Path]:
    """The files that these models' figures rest on."""
    own = [PACKAGE / "models" / f"{model}.py" for model in models]
    return [HOLD_OUT, PACKAGE / "models/_weighting.py", *own, *(PACKAGE / f for m in models for f in FILES[m])]


def options_of(topic: Topic, name: str) -> dict[str, Any]:
    """What an earlier row of this run chose."""
    options: dict[str, Any] = next(row.details["chosen"] for row in topic.rows if row.name == name)
    return options


def pair(
    name: str, metrics: Sequence[str], found: Sequence[dict[str, Any]], targets: Sequence[float] | None, **rest: Any
) -> list[Row]:
    """A row per metric, the mean over what each seed found; the details stand with the first."""
    bounds = [None] * len(metrics) if targets is None else [f">= {target:g}" for target in targets]
    details = rest.pop("details", {})
    rest["note"] = "; ".join(part for part in (rest.get("note"), LOOKS.get(name)) if part)
    rows = []
    for metric, bound in zip(metrics, bounds, strict=True):
        values = [one[metric] for one in found]
        rows.append(Row(name, metric, mean(values), "", spread(values), len(values), target=bound, **rest))
    rows[0].details = details
    return rows


# --- options chosen on a hold-out of the training part


def chosen(
    topic: Topic,
    data: str,
    model: str,
    trials: int,
    *,
    name: str | None = None,
    space: str | None = None,
    fixed: dict[str, Any] | None = None,
    final: dict[str, Any] | None = None,
    targets: Sequence[float] | None = None,
    seeds: Sequence[int] = (0,),
) -> None:
    """Search on the hold-out, fit on the whole training part, judge by the test: once a seed."""
    label = f"{data}/{name or model}"
    ranges = SPACES[space or model]

    def make() -> list[Row]:
        folder = str(data_dir(data))
        search = run_job(
            "benchmarks.holdout:search_job",
            folder=folder,
            model=model,
            space=ranges,
            fixed=fixed or {},
            trials=trials,
            users=USERS,
        )
        options = {**search["chosen"], **(final or {})}
        found = [
            run_job("benchmarks.holdout:test_job", folder=folder, model=model, options=options, seed=seed)
            for seed in seeds
        ]
        note = f"{model}; {trials} trials on a hold-out of the training part, then fitted on all of it"
        details = {**search, "chosen": options, "model": model, "test": found}
        return pair(label, METRICS, found, targets, note=note, details=details)

    topic.row(
        [(label, metric) for metric in METRICS],
        make,
        depends=[*rests_on(model), ranges, trials, USERS, fixed, final],
        timed=False,
        data=[data],
        seeds=seeds,
    )


def dense_ease(topic: Topic, data: str) -> None:
    """The options that were chosen with the sparse solver, solved densely; and what the sparse one keeps of it."""
    chosen_, sparse = options_of(topic, f"{data}/ease_sparse"), f"{data}/ease_sparse_of_dense"
    label = f"{data}/ease"

    def make() -> list[Row]:
        folder = str(data_dir(data))
        both = {
            solver: run_job(
                "benchmarks.holdout:test_job", folder=folder, model="ease", options={**chosen_, "solver": solver}
            )
            for solver in ("dense", "sparse")
        }
        found, other = both["dense"], both["sparse"]
        note = "solved densely with the options of ease_sparse, which were chosen on the hold-out"
        rows = pair(label, METRICS, [found], (0.1765, 0.1467), note=note, details={"chosen": chosen_, "test": both})
        quality, memory = (other[name] / found[name] for name in ("ndcg@20", "peak_mb"))
        how = f"sparse {other['fit']:.0f} s and {other['peak_mb']:.0f} MB, dense {found['fit']:.0f} s and "
        how += f"{found['peak_mb']:.0f} MB; the same options"
        rows.append(Row(sparse, "share of ndcg@20", quality, "", target=">= 0.97", note=how))
        rows.append(Row(sparse, "share of peak memory", memory, "", target="<= 0.2", note=how))
        return rows

    names = [(label, metric) for metric in METRICS] + [(sparse, "share of ndcg@20"), (sparse, "share of peak memory")]
    topic.row(names, make, depends=[*rests_on("ease"), chosen_], timed=False, data=[data], seeds=[0])


def seconds(topic: Topic, data: str) -> None:
    """Fit and full evaluation of the chosen options, three times after one that compiles."""
    options = options_of(topic, f"{data}/best")

    def make() -> Row:
        folder = str(data_dir(data))
        jobs = [
            run_job("benchmarks.holdout:test_job", folder=folder, model="spectral", options=options) for _ in range(4)
        ]
        took = [job["fit"] + job["evaluate"] for job in jobs[1:]]
        return Row(
            f"{data}/best_seconds",
            "seconds",
            median(took),
            "s",
            spread(took),
            3,
            target="<= 15",
            note="fit + evaluation of every user over the whole catalogue; reading apart",
            details={"jobs": jobs},
        )

    topic.row(
        [(f"{data}/best_seconds", "seconds")], make, depends=[*rests_on("spectral"), options], data=[data], seeds=[0]
    )


# --- models on the graph


def graph(topic: Topic, data: str, model: str, targets: Sequence[float]) -> None:
    """One fit with options found by hand on the hold-out: a search would take days."""
    label, options = f"{data}/{model}", GRAPH[model]

    def make() -> list[Row]:
        found = run_job("benchmarks.holdout:test_job", folder=str(data_dir(data)), model=model, options=options, seed=0)
        note = "options found by hand on a hold-out of the training part (the trials stand in the details); one seed"
        details = {"rule": "hold-out as of the other rows", "trials": GRAPH_TRIALS, "chosen": options, "test": found}
        return pair(label, METRICS, [found], targets, note=note, details=details)

    topic.row(
        [(label, metric) for metric in METRICS],
        make,
        depends=[*rests_on(model), options],
        timed=False,
        data=[data],
        seeds=[0],
    )


# --- an ensemble


def ensemble(topic: Topic, data: str) -> None:
    """The chosen filter, the chosen sparse EASE and the chosen iALS; the weights are chosen on the same hold-out."""
    parts = {
        "spectral": options_of(topic, f"{data}/best"),
        "ease": options_of(topic, f"{data}/ease_sparse"),
        "ials": options_of(topic, f"{data}/ials"),
    }

    def make() -> list[Row]:
        found = run_job("benchmarks.topics.topn:ensemble_job", folder=str(data_dir(data)), options=parts)
        note = "spectral, sparse EASE and iALS, standardised per user; weights chosen on the hold-out"
        return pair(f"{data}/ensemble", METRICS, [found["test"]], (0.1920, 0.1597), note=note, details=found)

    topic.row(
        [(f"{data}/ensemble", metric) for metric in METRICS],
        make,
        depends=[*rests_on("spectral", "ease", "ials", "ensemble"), parts],
        timed=False,
        data=[data],
        seeds=[0],
    )


def ensemble_job(folder: str, options: dict[str, Any]) -> dict[str, Any]:
    """All weights on the hold-out, the best of them on the test; the parts are fitted once for all weights."""
    from benchmarks.harness import THREADS
    from benchmarks.holdout import RULE, hold_out, published, sample
    from serendip.evaluate import evaluate
    from serendip.model import Run, find
    from serendip.scorers import Blend

    weights = [(1.0, *others) for others in itertools.product((0.0, 0.25, 0.5, 1.0), repeat=2)]
    split = published(folder)
    found: dict[str, Any] = {"rule": RULE, "weights": weights, "options": options, "trials": []}

    def parts(train: Any) -> tuple[Any, ...]:
        return tuple(
            find(name)(**own).fit(train, Run(seed=0, threads=THREADS)).lower() for name, own in options.items()
        )

    def judge(fitted: tuple[Any, ...], judged: Any, weight: tuple[float, ...]) -> dict[str, float]:
        used = [(part, share) for part, share in zip(fitted, weight, strict=True) if share > 0]
        blend = Blend(tuple(part for part, _ in used), tuple(share for _, share in used))
        figures = evaluate(blend, judged, METRICS, threads=THREADS)
        return {metric: figures.mean(metric) for metric in METRICS}

    every = hold_out(split.train)
    inner = sample(every, USERS)
    fitted = parts(every.train)
    found["trials"] = [{"weight": weight, **judge(fitted, inner, weight)} for weight in weights]
    best = max(found["trials"], key=lambda one: one["ndcg@20"])["weight"]
    return {**found, "chosen": best, "test": judge(parts(split.train), split, best)}


# --- best on test, to compare with figures that were chosen so


def best_on_test(topic: Topic, data: str) -> None:
    """The best of a grid by the test itself; its options seed nothing else."""
    middle: dict[str, Any] = {"factors": 128, "filter": "ridge", "tail": 0.4, "user_power": 0.3, "strength": 3.2}
    middle |= {"item_power": 0.4, "output_power": 0.4}
    grid = [middle | {"strength": s, "item_power": power} for s, power in itertools.product(*ON_TEST)]
    grid += [middle | changed for changed in BESIDE]

    def make() -> list[Row]:
        folder = str(data_dir(data))
        tried = [
            {
                "options": options,
                **run_job("benchmarks.holdout:test_job", folder=folder, model="spectral", options=options),
            }
            for options in grid
        ]
        found = max(tried, key=lambda one: one["ndcg@20"])
        note = "chosen on test, for comparison with published figures that were; no other row uses these options"
        return pair(f"{data}/best_on_test", METRICS, [found], (0.1937, 0.1618), note=note, details={"tried": tried})

    topic.row(
        [(f"{data}/best_on_test", metric) for metric in METRICS],
        make,
        depends=[*rests_on("spectral"), grid],
        timed=False,
        data=[data],
        seeds=[0],
    )


# --- leave one out against 99 negatives


def ncf(
    topic: Topic,
    model: str,
    trials: int,
    *,
    fixed: dict[str, Any] | None = None,
    space: str | None = None,
    targets: Sequence[float],
    seeds: Sequence[int] = (0,),
) -> None:
    """Search on the same protocol within the training part; one look at the published negatives."""
    label, metrics = f"ml_1m_ncf/{model}", ("hit_rate@10", "ndcg@10")

    def make() -> list[Row]:
        found = run_job(
            "benchmarks.ncf:search_job",
            folder=str(data_dir("ml_1m")),
            model=model,
            space=SPACES[space or model],
            fixed=fixed or {},
            trials=trials,
            seeds=seeds,
        )
        note = "99 shipped negatives, the 156 that equal the held-out item dropped; ties count against us"
        return pair(label, metrics, found["test"], targets, note=note, details=found)

    topic.row(
        [(label, metric) for metric in metrics],
        make,
        depends=[NCF, *rests_on(model), SPACES[space or model], trials, fixed],
        timed=False,
        data=["ml_1m"],
        seeds=seeds,
    )
