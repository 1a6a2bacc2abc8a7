"""Stages and how they are put together: `retrieve`, `rank`, `first_of`, `chain`.

A stage is a value and a function ``(queries, recs=None) -> Recs``. What it does with lists that it is given:

* `Retrieve` keeps them and appends what it finds, without repeating an item (a chain of retrievers collects);
* `Rank` puts them into the order of its scorer;
* `FirstOf` keeps them and fills them up to ``queries.k``;
* `Chain` hands them to its first stage.

However stages are composed, no list holds an item that its query excludes or does not allow, nor one without a finite
score.
"""

from serendip.pipeline.describe import from_dict, to_dict
from serendip.pipeline.lists import permitted, stack
from serendip.pipeline.ranking import Rank, coded, said_of, standing
from serendip.pipeline.stages import (
    Chain,
    FirstOf,
    Retrieve,
    before,
    chain,
    first_of,
    rank,
    retrieve,
    retrievers,
    scoring,
    with_indices,
)

__all__ = [
    "Chain",
    "FirstOf",
    "Rank",
    "Retrieve",
    "before",
    "chain",
    "coded",
    "first_of",
    "from_dict",
    "permitted",
    "rank",
    "retrieve",
    "retrievers",
    "said_of",
    "scoring",
    "stack",
    "standing",
    "to_dict",
    "with_indices",
]
