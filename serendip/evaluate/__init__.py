"""Honest figures: splits that cannot leak, metrics per query, and how sure a difference is."""

from serendip.evaluate.comparison import Comparison, compare
from serendip.evaluate.core import core
from serendip.evaluate.evaluation import Bucket, Evaluation
from serendip.evaluate.held import HeldOut, Split
from serendip.evaluate.metrics import describe, mae, parse, rmse
from serendip.evaluate.ratings import RatingEvaluation, evaluate_ratings
from serendip.evaluate.run import METRICS, evaluate
from serendip.evaluate.significance import Interval, Paired, mean_interval, paired
from serendip.evaluate.split import (
    NAMES,
    at_random,
    cold_items,
    cold_users,
    given,
    global_time,
    k_fold,
    last_out,
    make,
    per_user,
)

__all__ = [
    "METRICS",
    "NAMES",
    "Bucket",
    "Comparison",
    "Evaluation",
    "HeldOut",
    "Interval",
    "Paired",
    "RatingEvaluation",
    "Split",
    "at_random",
    "cold_items",
    "cold_users",
    "compare",
    "core",
    "describe",
    "evaluate",
    "evaluate_ratings",
    "given",
    "global_time",
    "k_fold",
    "last_out",
    "mae",
    "make",
    "mean_interval",
    "paired",
    "parse",
    "per_user",
    "rmse",
]
