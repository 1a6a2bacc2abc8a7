"""What is asked of an index. Recipes have it as their section ``[index]``, so this file imports nothing heavy."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Backend = Literal["auto", "exact", "exact_int8", "faiss_ivf", "faiss_hnsw", "scann"]
Chosen = Literal["exact", "exact_int8", "faiss_ivf", "faiss_hnsw", "scann"]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the vectors of items are searched, for models that have such."""

    backend: Annotated[
        Backend,
        Meta(
            description='"exact": every item is looked at; "exact_int8": the same lists, faster, by a compiled search; '
            '"faiss_ivf", "faiss_hnsw" or "scann": nearly so, many times faster where items are many, with '
            "`pip install 'serendip[index]'`; \"auto\": by how many items there are and what is installed."
        ),
    ] = "auto"
    recall: Annotated[
        float,
        Meta(
            gt=0, le=1, description="Share of the true k best that an approximate index must find; it is tuned to it."
        ),
    ] = 0.95
    k: Annotated[int, Meta(ge=1, le=1000, description="Length of the lists that the recall is of.")] = 100


__all__ = ["Backend", "Chosen", "Options"]
