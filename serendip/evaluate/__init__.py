"""Honest figures: splits that cannot leak, metrics per query, and how sure a difference is."""

from serendip.evaluate.clustered import Clustered, Rows, clustered, clustered_difference, minimum_detectable_effect
from serendip.evaluate.comparison import Comparison, compare
from serendip.evaluate.core import core
from serendip.evaluate.evaluation import Bucket, Evaluation
from serendip.evaluate.held import HeldOut, Split
from serendip.evaluate.judging import compare_rows, evaluate_rows, mean_figure
from serendip.evaluate.metrics import describe, mae, parse, rmse
from serendip.evaluate.ratings import RatingEvaluation, evaluate_ratings
from serendip.evaluate.reliability import Reliability, expected_calibration_error, reliability
from serendip.evaluate.row_evaluation import RowEvaluation
from serendip.evaluate.row_measures import ROW_METRICS
from serendip.evaluate.rows import GroupedAuc, auc, gauc, logloss, weighted_per_user_loss, xauc
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
    "ROW_METRICS",
    "Bucket",
    "Clustered",
    "Comparison",
    "Evaluation",
    "GroupedAuc",
    "HeldOut",
    "Interval",
    "Paired",
    "RatingEvaluation",
    "Reliability",
    "RowEvaluation",
    "Rows",
    "Split",
    "at_random",
    "auc",
    "clustered",
    "clustered_difference",
    "cold_items",
    "cold_users",
    "compare",
    "compare_rows",
    "core",
    "describe",
    "evaluate",
    "evaluate_ratings",
    "evaluate_rows",
    "expected_calibration_error",
    "gauc",
    "given",
    "global_time",
    "k_fold",
    "last_out",
    "logloss",
    "mae",
    "make",
    "mean_figure",
    "mean_interval",
    "minimum_detectable_effect",
    "paired",
    "parse",
    "per_user",
    "reliability",
    "rmse",
    "weighted_per_user_loss",
    "xauc",
]
