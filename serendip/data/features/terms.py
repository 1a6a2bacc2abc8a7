"""What a table says of its items as a sparse matrix: categories and words, by tf · idf; fitted once, applied to others.

``x_i`` is item i's vector of ``tf · idf`` values of length 1, with ``tf = 1 + ln(occurrences)`` and
``idf = ln((1 + n) / (1 + items with it)) + 1``. Categories and words are made of length 1 each before they are joined;
``share`` is the part of the squared length that categories get.

Words are runs of letters and digits of any script, without regard to case and width (Unicode NFKC); of scripts that put
no space between words (Han, kana, Thai, Lao, Khmer, Burmese) each pair of neighbouring characters stands for a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

import msgspec
import numpy as np
import polars as pl
from msgspec import Meta
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from serendip.data.features.tokens import RUN, UNSPACED
from serendip.data.schema import separator_of, split_categories
from serendip.types import SerendipError

Bytes = NDArray[np.uint8]
NO_TERMS: Bytes = np.empty(0, np.uint8)


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which categories and words count, and how much.

    Attributes:
        categories: columns of categories, and what their tokens begin with.
        separators: by such a column, what parts the categories of a text.
        text: columns of text.
        tokens: those of categories, then words; each part in the order of the text.
        own: how many of them are of categories.
        idf: of each token, float64 little-endian.
        share: weight of the categories against the words of an item with both.
        combined: whether each pair of an item's categories is one more category.
    """

    categories: dict[str, str]
    separators: dict[str, str]
    text: tuple[str, ...]
    tokens: tuple[str, ...]
    own: Annotated[int, Meta(ge=0)]
    idf: bytes
    share: Annotated[float, Meta(ge=0, le=1)]
    combined: bool

    def __post_init__(self) -> None:
        idf = self.weights
        sound = len(idf) == len(self.tokens) >= self.own and bool((np.isfinite(idf) & (idf > 0)).all())
        once = all(len(set(part)) == len(part) for part in (self.tokens[: self.own], self.tokens[self.own :]))
        parted = set(self.separators) == set(self.categories) and set(self.separators.values()) <= {"|", ","}
        if not (sound and once and parted):
            raise ValueError("each token once, with a weight above 0, and a sign between the categories of each column")

    @classmethod
    def fit(
        cls,
        table: pl.DataFrame,
        categories: Sequence[str],
        text: Sequence[str],
        *,
        share: float,
        min_items: int,
        max_share: float,
        max_words: int,
        combined: bool = False,
    ) -> Terms:
        """Count what the rows of a table have.

        Args:
            table: a row per item.
            categories, text: columns of it.
            share, combined: see the attributes.
            min_items: tokens that fewer items have are left out.
            max_share: so are words that a larger share of the items with text has.
            max_words: no more words are kept, the most frequent ones.
        """
        n = len(table)
        separators = {name: separator_of(table[name]) for name in categories}
        tokens = _categories(table, {name: name for name in categories}, separators, combined)
        found = [_counted(tokens, n, min_items, 1.0, None) if share > 0 else _NOTHING]
        words = _words(table, text)
        found.append(_counted(words, n, min_items, max_share, max_words) if share < 1 else _NOTHING)
        both = pl.concat(found)
        return cls(
            categories={name: name for name in categories},
            separators=separators,
            text=tuple(text),
            tokens=tuple(both["token"].to_list()),
            own=len(found[0]),
            idf=both["idf"].to_numpy().astype("<f8").tobytes(),
            share=share,
            combined=combined,
        )

    @property
    def weights(self) -> NDArray[np.float64]:
        """``[f]`` the idf of each token."""
        return np.frombuffer(self.idf, "<f8").astype(np.float64)

    def rows(self, table: pl.DataFrame) -> csr_array:
        """``[rows, f]`` float32, the rows of length 1, or empty where the table says nothing that counts.

        A column that the table lacks says nothing, nor does a token that was not fitted.
        """
        n = len(table)
        there = {name: prefix for name, prefix in self.categories.items() if name in table.columns}
        tokens = _categories(table, there, self.separators, self.combined)
        words = _words(table, [name for name in self.text if name in table.columns])
        idf = self.weights
        parts = [
            _weighed(tokens, n, self.tokens[: self.own], idf[: self.own]) * np.float32(self.share**0.5),
            _weighed(words, n, self.tokens[self.own :], idf[self.own :]) * np.float32((1 - self.share) ** 0.5),
        ]
        return _unit(csr_array(hstack(parts, "csr")))

    def renamed(self, names: Mapping[str, str]) -> Self:
        """The same, reading columns by their new names."""
        return msgspec.structs.replace(
            self,
            categories={names.get(name, name): prefix for name, prefix in self.categories.items()},
            separators={names.get(name, name): sign for name, sign in self.separators.items()},
            text=tuple(names.get(name, name) for name in self.text),
        )

    def pack(self) -> Bytes:
        """As bytes, to be stored."""
        return np.frombuffer(msgspec.msgpack.encode(self), np.uint8)

    @classmethod
    def unpack(cls, packed: Bytes) -> Terms:
        """The inverse of `pack`, for input that is not trusted.

        Raises:
            SerendipError: the bytes hold something else.
        """
        try:
            return msgspec.msgpack.decode(packed.tobytes(), type=Terms)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise SerendipError(f"terms of items must be as they were stored: {error}.") from error


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


_TOKENS = pl.DataFrame(schema={"item": pl.Int32, "token": pl.String})
_NOTHING = pl.DataFrame(schema={"token": pl.String, "idf": pl.Float64})


def _categories(
    table: pl.DataFrame, columns: Mapping[str, str], separators: Mapping[str, str], combined: bool
) -> pl.DataFrame:
    """One row ``item, token`` for each category of each item."""
    parts = [_TOKENS]
    for name, prefix in columns.items():
        lists = split_categories(table[name], separators[name])
        rows = pl.DataFrame({"item": np.arange(len(lists), dtype=np.int32), "token": lists})
        rows = rows.explode("token").drop_nulls()
        parts.append(rows.with_columns(pl.concat_str(pl.lit(prefix + "="), "token").alias("token")))
    found = pl.concat(parts)
    return pl.concat([found, _combined(found)]) if combined else found


def _words(table: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    return pl.concat([_TOKENS, *(words_of(table[name]) for name in columns)])


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


def _counted(rows: pl.DataFrame, n: int, min_items: int, max_share: float, at_most: int | None) -> pl.DataFrame:
    """The tokens that count, in the order of their text, with their idf."""
    counts = rows.unique()
    limit = max(min_items, max_share * counts["item"].n_unique())
    found = counts.group_by("token").agg(items=pl.len()).filter(pl.col("items").is_between(min_items, limit))
    kept = found.sort("items", "token", descending=[True, False]).head(len(found) if at_most is None else at_most)
    idf = np.log((1 + n) / (1 + kept["items"].to_numpy())) + 1
    return kept.select("token", idf=pl.Series(idf)).sort("token")


def _weighed(rows: pl.DataFrame, n: int, tokens: Sequence[str], idf: NDArray[np.float64]) -> csr_array:
    """``[n, tokens]`` of ``tf · idf``, the rows of length 1 or empty."""
    places = pl.DataFrame({"token": pl.Series(tokens, dtype=pl.String)}).with_row_index("column")
    counts = rows.group_by("item", "token").agg(times=pl.len()).join(places, on="token")
    tf = 1 + np.log(counts["times"].to_numpy())
    column = counts["column"].to_numpy().astype(np.int32)
    where = (counts["item"].to_numpy(), column)
    return _unit(csr_array(((tf * idf[column]).astype(np.float32), where), shape=(n, len(tokens))))


def _unit(features: csr_array) -> csr_array:
    """The rows made of length 1; empty ones stay empty."""
    features.eliminate_zeros()
    features.sort_indices()
    rows = np.repeat(np.arange(features.shape[0]), np.diff(features.indptr))
    squares = np.bincount(rows, features.data.astype(np.float64) ** 2, features.shape[0])
    features.data = (features.data / np.sqrt(squares)[rows]).astype(np.float32)
    return features


__all__ = ["NO_TERMS", "Bytes", "Terms", "words_of"]
