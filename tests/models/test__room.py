"""What does not fit into memory is refused before it is begun, with the bytes it needs and what to try."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from serendip.checks.cases import odd_log
from serendip.kernels import memory
from serendip.model import Run, find, names
from serendip.models import _room
from serendip.models._room import factors_fit, neighbours_fit, pairs_fit
from serendip.models._sequence import AttentionConfig, transformer
from serendip.types import SerendipError

ONE = Run(threads=1)
FRUGAL = {"popular", "baseline", "content", "user_knn", "lr"}
"""They keep no more than the log and the tables hold, or a number for each item."""


@pytest.mark.parametrize("name", sorted({*names()} - FRUGAL))
def test_a_catalogue_too_large_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = odd_log()
    options = {"ease": {"solver": "dense"}, "bayesian_fm": {"iterations": 1, "burn_in": 0}}.get(name, {})
    monkeypatch.setattr(memory, "available", lambda: 1000)
    with pytest.raises(SerendipError, match=r"needs? [\d,]+ bytes, but only 1,000 are available\. Try \w"):
        find(name)(**options).fit(data, ONE)  # type: ignore[arg-type]
    monkeypatch.setattr(memory, "available", lambda: None)
    find(name)(**options).fit(data, ONE)  # type: ignore[arg-type]


def test_the_sparse_solver_of_ease_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 1000)
    with pytest.raises(SerendipError, match=r"ease: about [\d,]+ pairs of items .* Try item_knn or ials\."):
        find("ease")(solver="sparse").fit(odd_log(), ONE)


def test_factors_count_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 24_000_000)
    factors_fit("any", 30_000, 100, 2)
    text = r"any: 101 factors of 30,000 users and items need 24,240,000 bytes, .* Try fewer factors\."
    with pytest.raises(SerendipError, match=text):
        factors_fit("any", 30_000, 101, 2)


def test_attention_counts_pairs_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one query needs: a network that is too large for it would train, and never answer."""
    monkeypatch.setattr(memory, "available", lambda: 1_600_000_000)
    text = r"sasrec: 2 heads over 10,001 events need 1,600,320,016 bytes, .* Try a smaller length\."
    for length, fits in ((10_000, True), (10_001, False)):
        with nullcontext() if fits else pytest.raises(SerendipError, match=text):
            transformer("sasrec", AttentionConfig(factors=4, length=length), causal=True)


def test_pairs_are_counted_and_of_many_columns_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    matrix = csr_array(random_array((4000, 1500), density=0.004, rng=rng, format="csr"))
    exact = (matrix.T @ matrix).nnz
    monkeypatch.setattr(memory, "available", lambda: 0)

    def counted() -> int:
        with pytest.raises(SerendipError, match="about") as caught:
            pairs_fit("any", matrix, None, "less")
        return int(str(caught.value).split("about ")[1].split(" ")[0].replace(",", ""))

    assert counted() == pytest.approx(exact, rel=0.1)
    monkeypatch.setattr(_room, "SAMPLE", 1500)
    assert counted() == exact
    monkeypatch.setattr(memory, "available", lambda: _room.PER_ENTRY * exact)  # less than the bound: it is counted
    pairs_fit("any", matrix, None, "less")


def test_few_neighbours_fit_where_all_would_not(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = csr_array(np.ones((900, 500), np.float32))
    monkeypatch.setattr(memory, "available", lambda: 500 * 10 * _room.PER_ENTRY + 5_000)
    neighbours_fit("any", matrix, 10, 1, "fewer")
    pairs_fit("any", matrix, 10, "fewer")
    with pytest.raises(SerendipError, match=r"any: up to 250,000 neighbours need [\d,]+ bytes, .* Try fewer\."):
        neighbours_fit("any", matrix, 500, 1, "fewer")
    with pytest.raises(SerendipError, match=r"any: about 250,000 pairs of items .* Try fewer\."):
        pairs_fit("any", matrix, None, "fewer")
