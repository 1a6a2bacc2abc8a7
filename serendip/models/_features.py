"""What the items table says of each item, as models read it: categories and words (`serendip.data.features.terms`)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from serendip.data.dataset import Dataset
from serendip.data.features.terms import Terms
from serendip.model import Config


class FeatureOptions(Config, frozen=True):
    """Options of every model that reads the items table."""

    category_share: Annotated[
        float, msgspec.Meta(ge=0, le=1, description="Weight of the categories against the words of an item with both.")
    ] = 0.5
    min_items: Annotated[
        int, msgspec.Meta(ge=1, description="Leave out categories and words that fewer items have; 1 keeps all.")
    ] = 2
    max_share: Annotated[
        float, msgspec.Meta(gt=0, le=1, description="Leave out words that a larger share of the items with text has.")
    ] = 0.5
    max_words: Annotated[int, msgspec.Meta(ge=1, description="Keep no more words, the most frequent ones.")] = 50_000


def columns_of(data: Dataset) -> list[str]:
    """The columns of the items table that are declared to hold categories, text or titles."""
    schema = data.schema
    titles = () if schema.title is None else (schema.title,)
    return [name for name in dict.fromkeys((*schema.categories, *schema.text, *titles)) if name in data.items.columns]


def item_terms(data: Dataset, options: FeatureOptions, *, combined: bool = False) -> Terms:
    """Which categories and words of the items count, and how much; `Terms.rows` of the items are their features.

    Args:
        data: whose items.
        options: what counts for how much.
        combined: whether each pair of an item's categories is one more category.
    """
    columns = columns_of(data)
    return Terms.fit(
        data.items,
        [name for name in columns if name in data.schema.categories],
        [name for name in columns if name in (*data.schema.text, data.schema.title)],
        share=options.category_share,
        min_items=options.min_items,
        max_share=options.max_share,
        max_words=options.max_words,
        combined=combined,
    )
