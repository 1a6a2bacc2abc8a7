"""Explicit ratings: the models on ML-100K's published folds, the best on u1, Book-Crossing with and without tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, THREADS, Row, Topic, data_dir, mean, run_job, spread

PACKAGE = ROOT / "serendip"
HERE = Path(__file__)
DEPENDS = [
    HERE,
    *(PACKAGE / "kernels" / f"{name}.py" for name in ("alike", "descent", "gibbs", "ridge")),
    *(PACKAGE / "scorers" / f"{name}.py" for name in ("neighbours", "posterior", "ratings", "slopes")),
    *(
        PACKAGE / "models" / f"{name}.py"
        for name in ("_blocks", "_chain", "_cuts", "_descent", "_rated", "baseline", "bayesian_fm")
    ),
    *(PACKAGE / "models" / f"{name}.py" for name in ("biased_mf", "nmf", "rating_knn", "slope_one", "svdpp")),
    *(PACKAGE / "evaluate" / f"{name}.py" for name in ("held", "protocols", "ratings", "split")),
]
SEEDS = (0, 1, 2)
FOLDS = (1, 2, 3, 4, 5)

# Chosen by `choose`: random search on u1's training ratings alone, a tenth of which (seed 0) is held out, RMSE, seed 0.
# No rating of u1's test part was looked at. The other folds take the same options.
SPACES: dict[str, dict[str, Any]] = {
    "baseline": {"reg_u": ("log", 1, 30), "reg_i": ("log", 1, 30)},
    "rating_knn": {
        "by": ["item", "user"],
        "k": [20, 30, 40, 60, 80, 120],
        "similarity": ["pearson_baseline", "adjusted_cosine", "pearson"],
        "shrinkage": ("log", 10, 500),
        "reg_u": ("log", 1, 30),
        "reg_i": ("log", 1, 30),
    },
    "slope_one": {"weighted": [True, False]},
    "biased_mf": {
        "factors": [20, 50, 100, 200],
        "epochs": [20, 30, 50, 80],
        "lr": ("log", 0.003, 0.03),
        "lr_bias": ("log", 0.003, 0.03),
        "decay": [0.95, 0.97, 1.0],
        "reg": ("log", 0.02, 0.2),
        "reg_bias": ("log", 0.003, 0.1),
        "stddev": [0.01, 0.03, 0.1],
    },
    "svdpp": {
        "factors": [20, 40, 80, 120, 200],
        "epochs": [15, 20, 30, 50],
        "lr": ("log", 0.003, 0.03),
        "lr_bias": ("log", 0.003, 0.03),
        "decay": [0.9, 0.95, 0.97, 1.0],
        "reg": ("log", 0.01, 0.2),
        "reg_bias": ("log", 0.003, 0.1),
        "stddev": [0.01, 0.03, 0.1],
    },
    "nmf": {
        "factors": [5, 10, 15, 25, 40],
        "epochs": [30, 50, 80],
        "reg_u": ("log", 0.01, 0.3),
        "reg_i": ("log", 0.01, 0.3),
    },
}
TRIALS = {"baseline": 30, "rating_knn": 40, "slope_one": 8, "biased_mf": 40, "svdpp": 60, "nmf": 30}
CHOSEN: dict[str, dict[str, Any]] = {
    "baseline": {"reg_u": 5.97, "reg_i": 2.87},
    "rating_knn": {
        "by": "item",
        "k": 40,
        "similarity": "adjusted_cosine",
        "shrinkage": 208.0,
        "reg_u": 2.86,
        "reg_i": 2.5,
    },
    "slope_one": {"weighted": True},
    "biased_mf": {
        "factors": 200,
        "epochs": 20,
        "lr": 0.0263,
        "lr_bias": 0.00695,
        "decay": 0.97,
        "reg": 0.0851,
        "reg_bias": 0.0775,
        "stddev": 0.01,
    },
    "svdpp": {
        "factors": 200,
        "epochs": 15,
        "lr": 0.0263,
        "lr_bias": 0.00695,
        "decay": 0.97,
        "reg": 0.0658,
        "reg_bias": 0.0775,
        "stddev": 0.01,
    },
    "nmf": {"factors": 40, "epochs": 80, "reg_u": 0.103, "reg_i": 0.0914},
}
RANDOM = ("biased_mf", "svdpp", "nmf")

# Of the sampler, factors (6, 10, 14, 20), the width of ages (5 or 10 years), of years of release (1 or 5) and of zip
# codes (1 or 2 digits) were tried on the same tenth, one at a time, in 13 trials of one or two chains.
SAMPLED: dict[str, Any] = {"iterations": 300, "burn_in": 20, "samples": 300, "chains": 4, "factors": 14}
VARIANTS: dict[str, dict[str, Any]] = {
    "best": {},
    "bayesian_fm_regression": {"likelihood": "regression"},
    "bayesian_fm_without_tables": {"user_columns": "none", "item_columns": "none"},
    "bayesian_fm_ids_only": {"user_columns": "none", "item_columns": "none", "implicit": "none", "dates": False},
}
BOOKS: dict[str, Any] = {"iterations": 100, "burn_in": 20, "samples": 60, "chains": 2, "factors": 4}


def measure(topic: Topic) -> None:
    """All rows of the topic."""
    for name in SPACES:
        for where, folds in (("u1", (1,)), ("5fold", FOLDS)):
            topic.row(
                [(f"ml_100k_{where}/{name}", metric) for metric in ("rmse", "mae")],
                lambda name=name, where=where, folds=folds: films(name, where, folds),
                depends=[*DEPENDS, name],
                timed=False,
                seeds=SEEDS,
                data=["ml_100k"],
            )
    for variant in VARIANTS:
        topic.row(
            [(f"ml_100k_u1/{variant}", metric) for metric in ("rmse", "mae")],
            lambda variant=variant: sampled_films(variant),
            depends=[*DEPENDS, variant],
            timed=False,
            seeds=SEEDS,
            data=["ml_100k"],
        )
    for name in ("baseline", "svdpp", "bayesian_fm", "bayesian_fm_without_tables"):
        topic.row(
            [(f"book_crossing/{name}", metric) for metric in ("rmse", "mae")],
            lambda name=name: books(name),
            depends=[*DEPENDS, name],
            timed=False,
            seeds=[0],
            data=["book_crossing"],
        )


# --- ML-100K


def film_split(folder: str, fold: int) -> Any:
    """A published fold with its tables: ages in steps of 10, the first digit of the zip code, the year of release."""
    import polars as pl

    from serendip.data.dataset import Dataset
    from serendip.data.schema import Schema
    from serendip.evaluate import given

    ratings, test = (pl.read_parquet(f"{folder}/{name}.parquet") for name in ("ratings", f"u{fold}_test"))
    users = pl.read_parquet(f"{folder}/users.parquet").with_columns(
        age=(pl.col("age") // 10).cast(pl.String), zip_code=pl.col("zip_code").str.slice(0, 1)
    )
    items = pl.read_parquet(f"{folder}/movies.parquet").with_columns(year=pl.col("release_date").str.slice(-4))
    schema = Schema(timestamp="timestamp", time_kind="unix", rating="rating", title="title", categories=("genres",))
    train = ratings.join(test, on=["user_id", "item_id"], how="anti")
    tables = (users, items.drop("release_date"))
    return given(Dataset.from_frames(train, *tables, schema=schema), test, name=f"u{fold}")


def film_job(folder: str, fold: int, model: str, options: dict[str, Any], seed: int) -> dict[str, Any]:
    """Fit on the training part of a fold and predict its test part."""
    return judged(film_split(folder, fold), model, options, seed)


def judged(split: Any, model: str, options: dict[str, Any], seed: int) -> dict[str, Any]:
    import time

    from serendip.evaluate import evaluate_ratings
    from serendip.model import Run, find

    begin = time.perf_counter()
    fitted = find(model)(**options).fit(split.train, Run(seed=seed, threads=THREADS))
    seconds = time.perf_counter() - begin
    found = evaluate_ratings(fitted, split, threads=THREADS)
    interval = found.interval("rmse")
    return {
        "rmse": found.rmse,
        "mae": found.mae,
        "low": interval.low,
        "high": interval.high,
        "n": len(found),
        "fit": seconds,
        "predict": found.seconds,
    }


def choose(folder: str, model: str, trials: int, seed: int = 0) -> dict[str, Any]:
    """The best of so many random options on the held-out tenth of u1's training ratings."""
    import numpy as np

    from serendip.evaluate import at_random

    split = at_random(film_split(folder, 1).train, test=0.1, seed=0)
    rng = np.random.default_rng(seed)
    tried = [{name: _drawn(rng, space) for name, space in SPACES[model].items()} for _ in range(trials)]
    scored = [(judged(split, model, options, 0)["rmse"], number) for number, options in enumerate(tried)]
    best, number = min(scored)
    return {"rmse": best, "options": tried[number], "trials": len(tried)}


def _drawn(rng: Any, space: Any) -> Any:
    import math

    if isinstance(space, list):
        return space[int(rng.integers(len(space)))]
    _, low, high = space
    return float(f"{math.exp(rng.uniform(math.log(low), math.log(high))):.3g}")


def films(name: str, where: str, folds: tuple[int, ...]) -> list[Row]:
    seeds = SEEDS if name in RANDOM else (0,)
    jobs = {(fold, seed): _film(fold, name, CHOSEN[name], seed) for seed in seeds for fold in folds}
    targets = {"ml_100k_5fold/svdpp": "<= 0.919", "ml_100k_5fold/rating_knn": "<= 0.920"}
    rule = f"options by {TRIALS[name]} random trials on a tenth of u1's training ratings"
    return _rows(f"ml_100k_{where}/{name}", jobs, seeds, folds, rule, CHOSEN[name], targets)


def sampled_films(variant: str) -> list[Row]:
    options = {**SAMPLED, **VARIANTS[variant]}
    seeds = SEEDS if variant == "best" else (0,)
    jobs = {(1, seed): _film(1, "bayesian_fm", options, seed) for seed in seeds}
    rule = "bayesian_fm with " + ("every feature, ordered probit" if variant == "best" else str(VARIANTS[variant]))
    rule += "; features and factors by 13 trials on a tenth of u1's training ratings; sets of the training part only"
    return _rows(f"ml_100k_u1/{variant}", jobs, seeds, (1,), rule, options, {"ml_100k_u1/best": "<= 0.8808"})


def _film(fold: int, model: str, options: dict[str, Any], seed: int) -> dict[str, Any]:
    found: dict[str, Any] = run_job(
        "benchmarks.topics.ratings:film_job",
        folder=str(data_dir("ml_100k")),
        fold=fold,
        model=model,
        options=options,
        seed=seed,
    )
    return found


# --- Book-Crossing


def book_job(folder: str, fold: int, model: str, options: dict[str, Any], tables: bool) -> dict[str, Any]:
    """One of five random parts (seed 0) held out; the books' author, publisher and year, and what else users read."""
    import polars as pl

    from serendip.data.dataset import Dataset
    from serendip.data.schema import Schema
    from serendip.evaluate import make

    ratings = pl.read_parquet(f"{folder}/ratings.parquet").with_columns(pl.col("rating").cast(pl.Float64))
    items = pl.read_parquet(f"{folder}/items.parquet").select("item_id", "title", "author", "publisher", "year")
    data = Dataset.from_frames(ratings, None, items if tables else None, schema=Schema(rating="rating", title=None))
    return judged(make("k_fold", data, folds=5, fold=fold, seed=0), model, options, 0)


def books(name: str) -> list[Row]:
    tables = name == "bayesian_fm"
    model = "bayesian_fm" if name.startswith("bayesian_fm") else name
    options = {**BOOKS, "item_columns": "author,publisher,year" if tables else "none"} if model == "bayesian_fm" else {}
    jobs = {
        (fold, 0): run_job(
            "benchmarks.topics.ratings:book_job",
            folder=str(data_dir("book_crossing")),
            fold=fold,
            model=model,
            options=options,
            tables=tables,
        )
        for fold in range(5)
    }
    rule = "5 random parts, seed 0; options not tuned" + ("; author, publisher and year of the books" if tables else "")
    return _rows(f"book_crossing/{name}", jobs, (0,), tuple(range(5)), rule, options, {})


def _rows(
    name: str,
    jobs: dict[tuple[int, int], dict[str, Any]],
    seeds: tuple[int, ...],
    folds: tuple[int, ...],
    rule: str,
    options: dict[str, Any],
    targets: dict[str, str],
) -> list[Row]:
    """RMSE and MAE: the mean over folds, then over seeds."""
    out = []
    details = {"options": options, "jobs": [{"fold": fold, "seed": seed, **job} for (fold, seed), job in jobs.items()]}
    for metric in ("rmse", "mae"):
        values = [mean(jobs[fold, seed][metric] for fold in folds) for seed in seeds]
        row = Row(name, metric, mean(values), "stars", spread(values), len(values), note=rule)
        if metric == "rmse":
            row.target, row.details = targets.get(name), {**details, "space": SPACES.get(name.split("/")[1])}
        out.append(row)
    return out
