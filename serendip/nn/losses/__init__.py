"""What training makes small. Each loss is a mean over its rows, so that it does not depend on how many there are.

``weights`` multiply the rows' losses; the mean is still one over the number of rows. So the gradients of batches that
make up an epoch have one and the same sum, however the rows are dealt out to them. What a ``mask`` leaves out is no
row: the mean is over the others.
"""

from serendip.nn.losses.debias import inverse_propensity, position_propensity
from serendip.nn.losses.groups import lambda_rank, list_mle, listwise_softmax, pairwise_hinge, pairwise_logistic
from serendip.nn.losses.pairs import bpr, cosine_contrastive, gbce, sampled_softmax
from serendip.nn.losses.pointwise import (
    binary_cross_entropy,
    duration_of_log,
    duration_of_odds,
    known,
    log_duration_error,
    poisson,
    squared_error,
    weighted_logistic,
)
from serendip.nn.losses.retrieval import full_softmax, mixed_log_q, retrieval_softmax
from serendip.nn.losses.shared import shared_softmax
from serendip.nn.losses.tasks import UncertaintyWeights, entire_space, fixed_weights, product_logit

__all__ = [
    "UncertaintyWeights",
    "binary_cross_entropy",
    "bpr",
    "cosine_contrastive",
    "duration_of_log",
    "duration_of_odds",
    "entire_space",
    "fixed_weights",
    "full_softmax",
    "gbce",
    "inverse_propensity",
    "known",
    "lambda_rank",
    "list_mle",
    "listwise_softmax",
    "log_duration_error",
    "mixed_log_q",
    "pairwise_hinge",
    "pairwise_logistic",
    "poisson",
    "position_propensity",
    "product_logit",
    "retrieval_softmax",
    "sampled_softmax",
    "shared_softmax",
    "squared_error",
    "weighted_logistic",
]
