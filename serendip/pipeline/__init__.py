"""Stages and how they are put together: `retrieve`, `rank`, `first_of`, `chain`, `merge`, `reranked`,
`guarded`, `limited`.

A stage is a value and a function ``(queries, recs=None) -> Recs``. What it does with lists that it is given:

* `Retrieve` keeps them and appends what it finds, without repeating an item (a chain of retrievers collects);
* `Rank` puts them into the order of its scorer;
* `FirstOf` keeps them and fills them up to ``queries.k``;
* `Chain` hands them to its first stage;
* `Merge` keeps them and appends what its stages name, as one list;
* `Reranked` hands them to its first stage, and what that makes of them to its re-rankers (`Rerank`), one by one;
* `Guard` hands them on, and gives them back when its stage fails or takes too long.

However stages are composed, no list holds an item that its query excludes or does not allow, nor one without a finite
score.
"""

from serendip.pipeline.composite import Composite, asked
from serendip.pipeline.describe import from_dict, to_dict
from serendip.pipeline.exchange import with_scorers
from serendip.pipeline.guard import Guard, Skipped, Within, budgeted, guarded, limited, unguarded, watched
from serendip.pipeline.lists import permitted, stack
from serendip.pipeline.merge import How, Merge, Quota, merge
from serendip.pipeline.ranking import Rank, coded, said_of, standing
from serendip.pipeline.reranking import Rerank, Reranked, bound, in_turn, rerank, reranked, rerankers
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
from serendip.pipeline.words import lines

__all__ = [
    "Chain",
    "Composite",
    "FirstOf",
    "Guard",
    "How",
    "Merge",
    "Quota",
    "Rank",
    "Rerank",
    "Reranked",
    "Retrieve",
    "Skipped",
    "Within",
    "asked",
    "before",
    "bound",
    "budgeted",
    "chain",
    "coded",
    "first_of",
    "from_dict",
    "guarded",
    "in_turn",
    "limited",
    "lines",
    "merge",
    "permitted",
    "rank",
    "rerank",
    "reranked",
    "rerankers",
    "retrieve",
    "retrievers",
    "said_of",
    "scoring",
    "stack",
    "standing",
    "to_dict",
    "unguarded",
    "watched",
    "with_indices",
    "with_scorers",
]
