"""SVD++ against Surprise's on ML-100K's published folds, with the same options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, Row, Topic, data_dir, mean, median, peer_python, run_job, same, spread

PARTS = (
    "types.py",
    "data",
    "kernels/descent.py",
    "models/svdpp.py",
    "models/_descent.py",
    "models/_rated.py",
    "scorers/ratings.py",
)
DEPENDS = [*(ROOT / "serendip" / name for name in PARTS), Path(__file__)]
DEPENDS += [ROOT / "benchmarks/peers" / name for name in ("surprise.txt", "surprise_svdpp.py")]
FOLDS = (1, 2, 3, 4, 5)
# Surprise's defaults, written in each library's words.
OURS = {"factors": 20, "epochs": 20, "lr": 0.007, "lr_bias": 0.007, "reg": 0.02, "reg_bias": 0.02, "stddev": 0.1}
THEIRS = {"n_factors": 20, "n_epochs": 20, "lr_all": 0.007, "reg_all": 0.02, "init_std_dev": 0.1}
WORSE = 0.005
"""By what share our RMSE may be above Surprise's."""


def fit(folder: str, fold: int, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    """Seconds to fit a fold's training part, compiled before, and the RMSE of its test part."""
    import time

    from benchmarks.topics.ratings import film_split
    from serendip.evaluate import evaluate_ratings
    from serendip.model import Run, find

    split = film_split(folder, fold)
    model = find("svdpp")
    model(**{**options, "epochs": 1}).fit(split.train, Run(seed=seed, threads=1))
    begin, used = time.perf_counter(), time.process_time()
    fitted = model(**options).fit(split.train, Run(seed=seed, threads=1))
    seconds, processor = time.perf_counter() - begin, time.process_time() - used
    return {"seconds": seconds, "cpu": processor, "rmse": evaluate_ratings(fitted, split, threads=1).rmse}


def measure(topic: Topic) -> None:
    """One row: our seconds a fold, and Surprise's over ours."""
    topic.row([("svdpp/surprise", "seconds")], row, depends=DEPENDS, data=["ml_100k"], seeds=[0])


def row() -> Row:
    """Fold by fold, ours and theirs in turn."""
    arguments = {"folder": str(data_dir("ml_100k")), "seed": 0}
    python = peer_python("surprise")
    ours, theirs = [], []
    for fold in FOLDS:
        ours.append(run_job("benchmarks.svdpp:fit", threads=1, fold=fold, options=OURS, **arguments))
        theirs.append(
            run_job(
                "benchmarks.peers.surprise_svdpp:fit", python=python, threads=1, fold=fold, options=THEIRS, **arguments
            )
        )
    rmse = {"ours": mean(job["rmse"] for job in ours), "surprise": mean(job["rmse"] for job in theirs)}
    same("RMSE over five folds", max(rmse["ours"], rmse["surprise"]), rmse["surprise"], WORSE)
    seconds, others = ([job["seconds"] for job in jobs] for jobs in (ours, theirs))
    return Row(
        "svdpp/surprise",
        "seconds",
        median(seconds),
        "s",
        spread(seconds),
        len(seconds),
        "surprise 1.1.4 SVDpp",
        median(others) / median(seconds),
        "ratio >= 10",
        note="ml_100k, a published fold: 20 factors, 20 passes, the same options; both run on one thread",
        details={"rmse": rmse, "ours": ours, "surprise": theirs},
    )
