"""What training makes small. Each loss is a mean over its rows, so that it does not depend on how many there are.

``weights`` multiply the rows' losses; the mean is still one over the number of rows. So the gradients of batches that
make up an epoch have one and the same sum, however the rows are dealt out to them.
"""

from serendip.nn.losses.pairs import binary_cross_entropy, bpr, cosine_contrastive, gbce, sampled_softmax
from serendip.nn.losses.retrieval import full_softmax, mixed_log_q, retrieval_softmax
from serendip.nn.losses.shared import shared_softmax

__all__ = [
    "binary_cross_entropy",
    "bpr",
    "cosine_contrastive",
    "full_softmax",
    "gbce",
    "mixed_log_q",
    "retrieval_softmax",
    "sampled_softmax",
    "shared_softmax",
]
