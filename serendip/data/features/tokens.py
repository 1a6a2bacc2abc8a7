"""Words of free text in any script, runs of words, and runs of their characters.

Words are runs of letters and digits of any script, without regard to case and width (Unicode NFKC); of scripts that put
no space between words (Han, kana, Thai, Lao, Khmer, Burmese) each pair of neighbouring characters stands for a word.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from serendip.data.features.values import Values, prose

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
RUN = rf"[{UNSPACED}]+|[\p{{L}}\p{{M}}\p{{N}}&&[^{UNSPACED}]]+"


def tokens(name: str, column: pl.Series, words: int, characters: Sequence[int]) -> Values:
    """What stands for the texts: words first, then longer and longer runs of words, then runs of characters.

    Each once a row. ``words``: of up to so many words; ``characters``: of so many characters, the ends of a word marked
    by ``<`` and ``>``. A list of texts is taken for one text.

    Raises:
        SerendipError: neither texts nor lists of texts.
    """
    plain = prose(name, column).str.normalize("NFKC").str.to_lowercase()
    single = _words(plain)
    parts = [_runs(single, length) for length in range(1, words + 1)]
    parts += [_characters(single, length) for length in characters]
    nothing = pl.DataFrame(schema={"row": pl.Int64, "value": pl.String})
    found = pl.concat([nothing, *(part.select("row", "value") for part in parts)])
    unique = found.unique(maintain_order=True).sort("row", maintain_order=True)
    return Values(len(column), unique["row"].to_numpy(), unique["value"])


def _words(text: pl.Series) -> pl.DataFrame:
    """One row ``row, value`` for each word, in the order of the text."""
    unspaced = pl.col("value").str.contains(f"^[{UNSPACED}]")
    runs = (
        pl.DataFrame({"row": np.arange(len(text)), "value": text.str.extract_all(RUN)})
        .explode("value")
        .drop_nulls()
        .with_columns(pl.when(unspaced).then(pl.lit(2)).alias("length"))
    )
    return _cut(runs)


def _characters(words: pl.DataFrame, length: int) -> pl.DataFrame:
    """The runs of ``length`` characters of each word; a shorter word stands for itself."""
    marked = words.select("row", pl.concat_str(pl.lit("<"), "value", pl.lit(">")).alias("value"))
    return _cut(marked.with_columns(pl.lit(length).alias("length")))


def _cut(texts: pl.DataFrame) -> pl.DataFrame:
    """Each text as its runs of ``length`` characters, or whole where that is null or not less than all of it."""
    last = pl.max_horizontal(pl.col("value").str.len_chars().cast(pl.Int64) - pl.col("length"), 0)
    places = texts.with_columns(pl.int_ranges(0, last.fill_null(0) + 1).alias("place")).explode("place")
    return places.select("row", pl.col("value").str.slice(pl.col("place"), pl.col("length")).alias("value"))


def _runs(words: pl.DataFrame, length: int) -> pl.DataFrame:
    """The runs of ``length`` words that follow one another in a row, a blank between them."""
    following = [pl.col("value").shift(-step).over("row") for step in range(length)]
    return words.select("row", pl.concat_str(following, separator=" ").alias("value")).drop_nulls()
