"""What answers, and what a bundle holds: plain arrays and how they become scores. NumPy and SciPy only.

Each kind is a frozen dataclass whose fields are all that it knows, so that one `dump` and one `restore` serve them all.
A score of ``-inf`` means that nothing is known: of the item, of the person who asks, or of any link between the two.
Memory beyond the scores themselves is bounded, however many queries come at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from serendip.scorers.common import Counts, history_matrix
from serendip.scorers.factors import Factors
from serendip.scorers.filters import SparsePlusLowRank
from serendip.scorers.items import DenseItemToItem, ItemToItem
from serendip.scorers.posterior import PosteriorFactors
from serendip.scorers.profiles import Profiles
from serendip.scorers.ratings import Biases, RatingFactors
from serendip.scorers.static import StaticScores
from serendip.scorers.tensors import Header, Tensors, pack, unpack
from serendip.types import Scorer, SerendipError

KINDS: dict[str, type[Any]] = {
    kind.kind: kind
    for kind in (
        StaticScores,
        ItemToItem,
        DenseItemToItem,
        Factors,
        Profiles,
        SparsePlusLowRank,
        Biases,
        RatingFactors,
        PosteriorFactors,
    )
}
"""Every kind of scorer that a bundle can hold, by the name it has there."""


def dump(scorer: Scorer) -> tuple[Tensors, Header]:
    """The scorer as named tensors and a JSON-able header with its ``kind``.

    Raises:
        SerendipError: a scorer that is none of `KINDS`.
    """
    kind = getattr(scorer, "kind", None)
    if KINDS.get(str(kind)) is not type(scorer):
        raise SerendipError(
            f"a bundle holds scorers of the kinds {', '.join(KINDS)}. Got a {type(scorer).__qualname__} instead. "
            "Let the model's learn() return one of serendip.scorers."
        )
    tensors, header = pack(scorer)
    return tensors, {"kind": kind, **header}


def restore(tensors: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Scorer:
    """The inverse of `dump`, for input that is not trusted. The arrays are not copied.

    Raises:
        SerendipError: an unknown kind; a tensor or field that is missing, superfluous, of the wrong type, or outside
            its bounds.
    """
    kind = header.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise SerendipError(
            f"the kind of a scorer must be one of {', '.join(KINDS)}. Got {kind!r} instead. "
            "Was the bundle written by a newer version of Serendip?"
        )
    rest = {name: value for name, value in header.items() if name != "kind"}
    scorer: Scorer = unpack(f"the scorer {kind!r}", KINDS[kind], tensors, rest)
    return scorer


__all__ = [
    "KINDS",
    "Biases",
    "Counts",
    "DenseItemToItem",
    "Factors",
    "ItemToItem",
    "PosteriorFactors",
    "Profiles",
    "RatingFactors",
    "SparsePlusLowRank",
    "StaticScores",
    "dump",
    "history_matrix",
    "restore",
]
