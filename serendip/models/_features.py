"""What the items table says of each item, as a sparse matrix: its categories and words, by tf · idf.

``x_i`` is item i's vector of ``tf · idf`` values of length 1, with ``tf = 1 + ln(occurrences)`` and
``idf = ln((1 + n) / (1 + items with it)) + 1``. Categories and words are made of length 1 each before they are joined;
``category_share`` is the part of the squared length that categories get.

Words are runs of letters and digits of any script, without regard to case and width (Unicode NFKC); of scripts that put
no space between words (Han, kana, Thai, Lao, Khmer, Burmese) each pair of neighbouring characters stands for a word.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
import polars as pl
from scipy.sparse import csr_array, hstack

from serendip.data.dataset import Dataset
from serendip.data.features.tokens import RUN, UNSPACED
from serendip.data.schema import split_categories
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


def item_features(data: Dataset, options: FeatureOptions, *, combined: bool = False) -> csr_array:
    """``[n, f]`` float32, the rows of length 1, or empty where the items table says nothing.

    Args:
        data: whose items.
        options: what counts for how much.
        combined: whether each pair of an item's categories is one more category.
    """
    n, columns = data.n_items, columns_of(data)
    tokens = [categories(data.items[name], name) for name in columns if name in data.schema.categories]
    words = [words_of(data.items[name]) for name in columns if name in (*data.schema.text, data.schema.title)]
    if combined and tokens:
        tokens.append(_combined(pl.concat(tokens)))
    parts = [
        (options.category_share, _weigh(tokens, n, options.min_items, 1.0, None)),
        (1 - options.category_share, _weigh(words, n, options.min_items, options.max_share, options.max_words)),
    ]
    return _unit(hstack([_unit(part) * np.float32(share**0.5) for share, part in parts if share > 0], "csr"))


def categories(column: pl.Series, name: str) -> pl.DataFrame:
    """One row ``item, token`` for each category of each item."""
    rows = pl.DataFrame({"item": np.arange(len(column), dtype=np.int32), "token": split_categories(column)})
    return rows.explode("token").drop_nulls().with_columns(pl.concat_str(pl.lit(name + "="), "token").alias("token"))


def words_of(column: pl.Series) -> pl.DataFrame:
    """One row ``item, token`` for each word of each item."""
    plain = column.list.join(" ", ignore_nulls=True) if column.dtype == pl.List(pl.String) else column.cast(pl.String)
    text = plain.str.normalize("NFKC").str.to_lowercase()
    runs = (
        pl.DataFrame({"item": np.arange(len(text), dtype=np.int32), "token": text.str.extract_all(RUN)})
        .explode("token")
        .drop_nulls()
    )
    unspaced = pl.col("token").str.contains(f"^[{UNSPACED}]")
    return pl.concat([runs.filter(~unspaced), _neighbours(runs.filter(unspaced))])


def _neighbours(runs: pl.DataFrame) -> pl.DataFrame:
    """Each run of signs as its pairs of neighbours; a single sign stands for itself."""
    signs = runs.with_columns(pl.col("token").str.split("")).with_row_index("run").explode("token")
    following, alone = pl.col("token").shift(-1).over("run"), pl.len().over("run") == 1
    pairs = signs.with_columns(pl.when(alone).then("token").otherwise(pl.col("token") + following).alias("token"))
    return pairs.drop_nulls().select("item", "token")


def _combined(tokens: pl.DataFrame) -> pl.DataFrame:
    """Each two categories of an item as one; texts are told apart from single ones by a sign that splits those."""
    pairs = tokens.join(tokens, on="item", suffix="_other").filter(pl.col("token") < pl.col("token_other"))
    return pairs.select("item", pl.concat_str("token", "token_other", separator="|").alias("token"))


def _weigh(rows: list[pl.DataFrame], n: int, min_items: int, max_share: float, at_most: int | None) -> csr_array:
    """``[n, tokens]`` of ``tf · idf``; tokens in the order of their text."""
    if not rows:
        return csr_array((n, 0), dtype=np.float32)
    counts = pl.concat(rows).group_by("item", "token").agg(times=pl.len())
    limit = max(min_items, max_share * counts["item"].n_unique())
    found = counts.group_by("token").agg(items=pl.len()).filter(pl.col("items").is_between(min_items, limit))
    kept = found.sort("items", "token", descending=[True, False]).head(len(found) if at_most is None else at_most)
    table = counts.join(kept.sort("token").with_row_index("column"), on="token")
    tf = 1 + np.log(table["times"].to_numpy())
    idf = np.log((1 + n) / (1 + table["items"].to_numpy())) + 1
    places = (table["item"].to_numpy(), table["column"].to_numpy().astype(np.int32))
    return csr_array(((tf * idf).astype(np.float32), places), shape=(n, len(kept)))


def _unit(features: csr_array) -> csr_array:
    """The rows made of length 1; empty ones stay empty."""
    features.sort_indices()
    rows = np.repeat(np.arange(features.shape[0]), np.diff(features.indptr))
    squares = np.bincount(rows, features.data.astype(np.float64) ** 2, features.shape[0])
    features.data = (features.data / np.sqrt(squares)[rows]).astype(np.float32)
    return features
