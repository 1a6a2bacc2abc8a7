"""Items by what people type."""

from __future__ import annotations

import numpy as np
import polars as pl

from serendip.data.vocab import Vocab
from serendip.serve.search import Search

TITLES = [
    "Star Wars",
    "The Wars of Stars",
    "Amélie (Le fabuleux destin)",
    "A.I. (2001)",
    None,
    "Star",
    "Ünder [x] \\d+",
]
IDS = Vocab(pl.Series([10, 11, 12, 13, 14, 15, 2001]))
USES = np.array([5, 9, 1, 1, 1, 5, 0])


def found(text: str, limit: int = 10) -> list[int]:
    search = Search(IDS, pl.Series(TITLES), USES)
    return [IDS.ids[code] for code in search.find(text, limit)]


def test_every_word_must_be_there_and_beginnings_then_uses_come_first() -> None:
    assert found("star") == [10, 15, 11]
    assert found("wars star") == [11, 10]
    assert found("star", limit=2) == [10, 15]
    assert found("star trek") == []


def test_case_and_accents_do_not_count() -> None:
    assert found("AMELIE") == found("amélie") == [12]
    assert found("u\N{COMBINING DIAERESIS}nder") == [2001]


def test_text_is_no_pattern() -> None:
    assert found("a.i.") == [13]
    assert found("[x]") == found("\\d+") == [2001]
    assert found(".*") == []


def test_an_id_finds_its_item_first_and_names_an_item_without_title() -> None:
    assert found("2001") == [2001, 13]
    assert found("14") == [14]
    assert found(" 14 ") == [14]


def test_nothing_typed_gives_the_most_used() -> None:
    assert found("", limit=3) == [11, 10, 15]


def test_without_titles_ids_are_searched() -> None:
    search = Search(Vocab(pl.Series(["b-1", "a-1", "a-2"])), None, np.array([1, 2, 3]))
    assert search.find("A", 10) == [2, 1]
