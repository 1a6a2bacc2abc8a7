"""From the options of a re-ranker to a function of queries and lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
import numpy as np

from serendip.filter import parse
from serendip.rerank.alike import alike
from serendip.rerank.boost import BoostStage
from serendip.rerank.calibrate import CalibrateStage
from serendip.rerank.cap import CapStage
from serendip.rerank.dpp import DppStage
from serendip.rerank.explore import ExploreStage
from serendip.rerank.mmr import MmrStage
from serendip.rerank.options import (
    KINDS,
    Boost,
    Calibrate,
    Cap,
    Dpp,
    Explore,
    Mmr,
    Pin,
    Popularity,
    Repeat,
    Reranker,
)
from serendip.rerank.pin import PinStage
from serendip.rerank.popularity import PenaltyStage, QuotaStage, fame, head
from serendip.rerank.repeat import RepeatStage
from serendip.rerank.shelf import Shelf
from serendip.types import Queries, Recs, SerendipError


class Step(Protocol):
    """A re-ranker that knows its items."""

    def __call__(self, queries: Queries, recs: Recs) -> Recs:
        """The lists in another order, without items that the query excludes or does not allow."""
        ...


def bind(options: Reranker, shelf: Shelf) -> Step:
    """The re-ranker of these options over these items.

    Raises:
        SerendipError: an option out of bounds, a column that is not there or of another type, a scorer that is not
            there or lacks what is needed. What is there is named.
    """
    checked([options])
    match options:
        case Mmr():
            likeness, whole = alike(shelf, "mmr.by", options.by), options.against == "all"
            return MmrStage(likeness, options.weight, options.order == "relevance", whole)
        case Dpp():
            return DppStage(alike(shelf, "dpp.by", options.by), options.weight, options.order == "relevance")
        case Cap():
            return CapStage(shelf.values("cap.by", options.by)[0], options.most, options.places)
        case Boost():
            return _boost(options, shelf)
        case Pin():
            return _pin(options, shelf)
        case Calibrate():
            codes, size = shelf.values("calibrate.by", options.by)
            return CalibrateStage(codes, size, options.weight, options.smoothing)
        case Popularity():
            if options.quota is not None:
                return QuotaStage(head(shelf.counts, options.head), options.quota)
            return PenaltyStage(fame(shelf.counts), options.weight or 0.0)
        case Repeat():
            return _repeat(options, shelf)
    return _explore(options, shelf)


def checked(options: Sequence[Reranker]) -> None:
    """That all are re-rankers within their bounds, and that none stands behind one that explores.

    Raises:
        SerendipError: otherwise.
    """
    for place, one in enumerate(options):
        if type(one) not in KINDS.values():
            raise SerendipError(
                f"A re-ranker must be one of {', '.join(KINDS)} of serendip.rerank. Got {one!r:.80} instead."
            )
        try:
            msgspec.convert(msgspec.to_builtins(one), type(one))
        except msgspec.ValidationError as error:
            raise SerendipError(f"{type(one).__name__.lower()}: {error}. Got {one!r:.200}.") from None
        if isinstance(one, Explore) and place < len(options) - 1:
            behind = type(options[place + 1]).__name__.lower()
            raise SerendipError(
                "explore must be the last re-ranker, so that what it says of chances is true. "
                f"Got {behind} behind it. Try: pin before it; it leaves pinned items where they are."
            )


def _boost(options: Boost, shelf: Shelf) -> BoostStage:
    if options.fits is not None:
        fits = np.append(parse(options.fits).mask(shelf.items), False)
        return BoostStage(fits.astype(np.float64), options.weight)
    assert options.by is not None
    values, dated = shelf.numbers("boost.by", options.by)
    if dated and options.half_life is None:
        raise SerendipError(
            f"boost.by must be a column of numbers where there is no half_life. Got {options.by!r}, which holds dates. "
            "Try: half_life = 30, in days."
        )
    return BoostStage(values, options.weight, options.half_life, dated)


def _pin(options: Pin, shelf: Shelf) -> PinStage:
    ids = {str(one): code for code, one in enumerate(shelf.items["item_id"].to_list())}
    found = [ids.get(str(one)) for one in options.items]
    unknown = tuple(str(one) for one, code in zip(options.items, found, strict=True) if code is None)
    return PinStage(np.array([code for code in found if code is not None], np.int32), options.place, unknown)


def _repeat(options: Repeat, shelf: Shelf) -> RepeatStage:
    if options.after is not None and shelf.latest is None:
        raise SerendipError(
            "repeat.after must come with a log whose events have times in unix seconds. This one has none. "
            "Try: leave it out."
        )
    return RepeatStage(options.policy, options.after, options.weight, shelf.latest)


def _explore(options: Explore, shelf: Shelf) -> ExploreStage:
    if options.policy == "epsilon_greedy":
        return ExploreStage(options)
    return ExploreStage(options, shelf.uncertain("explore.scorer", options.scorer))


__all__ = ["Step", "bind", "checked"]
