"""Items like those in the history, by their categories and words: ``score = cos(Σ_i h_i x_i, x_j)``.

``x_i`` is item i's vector of ``tf · idf`` values of length 1, with ``tf = 1 + ln(occurrences)`` and
``idf = ln((1 + n) / (1 + items with it)) + 1``; ``h_i`` is what i weighs in the history. Categories and words are made
of length 1 each before they are joined; ``category_share`` is the part of the squared length that categories get. An
item needs no event to be recommended, only features; one that shares none with the history scores ``-inf``.

Words are runs of letters and digits of any script, without regard to case and width (Unicode NFKC); of scripts that put
no space between words (Han, kana, Thai, Lao, Khmer, Burmese) each pair of neighbouring characters stands for a word.

Source: G. Salton and C. Buckley, "Term-weighting approaches in automatic text retrieval", Information Processing &
Management 24, 1988; M. Pazzani and D. Billsus, "Content-based recommendation systems", The Adaptive Web, 2007.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
import polars as pl
from scipy.sparse import csr_array, hstack

from serendip.data.dataset import Dataset
from serendip.data.schema import split_categories
from serendip.model import Config, Model, Run
from serendip.models._weighting import Weight, counts_of
from serendip.scorers import Profiles
from serendip.types import SerendipError

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
RUN = rf"[{UNSPACED}]+|[\p{{L}}\p{{M}}\p{{N}}&&[^{UNSPACED}]]+"


class Options(Config, frozen=True):
    """Options of `Content`."""

    weight: Weight = "auto"
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


class Content(Model):
    """Cosine between what an item is and what the user took up."""

    Config = Options
    config: Options
    summary = "Items like those of the history by categories and words; recommends items without events, too."
    source = "Salton and Buckley, IP&M 1988; Pazzani and Billsus 2007"
    uses_item_features = True

    def learn(self, data: Dataset, run: Run) -> Profiles:
        """Weigh what the items table says.

        Raises:
            SerendipError: no column of the items table is declared to hold categories, text or titles, or no two items
                share anything in them.
        """
        schema, options = data.schema, self.config
        titles = () if schema.title is None else (schema.title,)
        columns = [name for name in (*schema.categories, *schema.text, *titles) if name in data.items.columns]
        if not columns:
            raise SerendipError(
                "content needs an items table with a column of categories, text or titles. Got none. "
                "Give the table, and name the columns in the schema (categories, text, title)."
            )
        n = data.n_items
        tokens = [_categories(data.items[name], name) for name in schema.categories if name in columns]
        words = [_words(data.items[name]) for name in dict.fromkeys((*schema.text, *titles)) if name in columns]
        parts = [
            (options.category_share, _weigh(tokens, n, options.min_items, 1.0, None)),
            (1 - options.category_share, _weigh(words, n, options.min_items, options.max_share, options.max_words)),
        ]
        features = _unit(hstack([_unit(part) * np.float32(share**0.5) for share, part in parts if share > 0], "csr"))
        if features.nnz == 0:
            raise SerendipError(
                f"content found nothing that {options.min_items} items share in {', '.join(columns)}. "
                "Try min_items=1, or name other columns in the schema."
            )
        return Profiles(features, counts_of(data, options.weight))


def _categories(column: pl.Series, name: str) -> pl.DataFrame:
    """One row ``item, token`` for each category of each item."""
    rows = pl.DataFrame({"item": np.arange(len(column), dtype=np.int32), "token": split_categories(column)})
    return rows.explode("token").drop_nulls().with_columns(pl.concat_str(pl.lit(name + "="), "token").alias("token"))


def _words(column: pl.Series) -> pl.DataFrame:
    """One row ``item, token`` for each word of each item."""
    plain = column.list.join(" ", ignore_nulls=True) if column.dtype == pl.List(pl.String) else column.cast(pl.String)
    text = plain.str.normalize("NFKC").str.to_lowercase()
    runs = (
        pl.DataFrame({"item": np.arange(len(text), dtype=np.int32), "token": text.str.extract_all(RUN)})
        .explode("token")
        .drop_nulls()
    )
    unspaced = pl.col("token").str.contains(f"^[{UNSPACED}]")
    return pl.concat([runs.filter(~unspaced), _pairs(runs.filter(unspaced))])


def _pairs(runs: pl.DataFrame) -> pl.DataFrame:
    """Each run of signs as its pairs of neighbours; a single sign stands for itself."""
    signs = runs.with_columns(pl.col("token").str.split("")).with_row_index("run").explode("token")
    following, alone = pl.col("token").shift(-1).over("run"), pl.len().over("run") == 1
    pairs = signs.with_columns(pl.when(alone).then("token").otherwise(pl.col("token") + following).alias("token"))
    return pairs.drop_nulls().select("item", "token")


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
