"""What answers, and what a bundle holds: plain arrays and how they become scores.

NumPy and SciPy only; ONNX Runtime where there is a network to ask.

Each kind is a frozen dataclass whose fields are all that it knows, so that one `dump` and one `restore` serve them all.
A score of ``-inf`` means that nothing is known: of the item, of the person who asks, or of any link between the two.
Memory beyond the scores themselves is bounded, however many queries come at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from numpy.typing import NDArray

from serendip.scorers.blend import Blend
from serendip.scorers.calibrate import Calibration
from serendip.scorers.calibrated import Calibrated
from serendip.scorers.common import Counts, history_matrix
from serendip.scorers.factors import Factors
from serendip.scorers.filters import SparsePlusLowRank
from serendip.scorers.grouped import GroupedScores
from serendip.scorers.items import DenseItemToItem, ItemToItem
from serendip.scorers.labelled import LabelScorer, LabelWeights
from serendip.scorers.neighbourhood import GraphLayers, NeighbourSums
from serendip.scorers.neighbours import RatingNeighbours
from serendip.scorers.posterior import PosteriorFactors
from serendip.scorers.profiles import Profiles
from serendip.scorers.ranked import RankScorer
from serendip.scorers.ratings import Biases, RatingFactors
from serendip.scorers.slopes import Slopes
from serendip.scorers.static import StaticScores
from serendip.scorers.summed import Summed
from serendip.scorers.tasks import JointScorer, TaskCalibration, TaskScorer
from serendip.scorers.tensors import Header, Tensors, pack, unpack
from serendip.scorers.towers import MaxSimScorer, TowerScorer
from serendip.scorers.users import UserNeighbours
from serendip.scorers.weights import WeightScorer
from serendip.types import Scorer, SerendipError

KINDS: dict[str, type[Any]] = {
    kind.kind: kind
    for kind in (
        StaticScores,
        GroupedScores,
        ItemToItem,
        DenseItemToItem,
        Factors,
        Profiles,
        Summed,
        SparsePlusLowRank,
        UserNeighbours,
        Biases,
        RatingFactors,
        PosteriorFactors,
        RatingNeighbours,
        Slopes,
        NeighbourSums,
        GraphLayers,
        TowerScorer,
        MaxSimScorer,
        RankScorer,
        TaskScorer,
        JointScorer,
        WeightScorer,
        LabelScorer,
        LabelWeights,
    )
}
"""Every kind of scorer that a bundle can hold by itself, by the name it has there; beside them a `Blend` of several,
and one that is `Calibrated`."""


def dump(scorer: Scorer) -> tuple[Tensors, Header]:
    """The scorer as named tensors and a JSON-able header with its ``kind``.

    Raises:
        SerendipError: a scorer that is none of `KINDS`.
    """
    if isinstance(scorer, Blend):
        return _dump_parts(scorer)
    if isinstance(scorer, Calibrated):
        return _dump_calibrated(scorer)
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
    if kind == Blend.kind:
        return _restore_parts(tensors, header)
    if kind == Calibrated.kind:
        return _restore_calibrated(tensors, header)
    if not isinstance(kind, str) or kind not in KINDS:
        raise SerendipError(
            f"the kind of a scorer must be one of {', '.join(KINDS)}. Got {kind!r} instead. "
            "Was the bundle written by a newer version of Serendip?"
        )
    rest = {name: value for name, value in header.items() if name != "kind"}
    scorer: Scorer = unpack(f"the scorer {kind!r}", KINDS[kind], tensors, rest)
    return scorer


class _Parts(msgspec.Struct, forbid_unknown_fields=True):
    kind: str
    weights: tuple[float, ...]
    parts: list[dict[str, Any]]


def _dump_parts(blend: Blend) -> tuple[Tensors, Header]:
    """Each part's tensors behind its number, and the headers in a list."""
    dumped = [dump(part) for part in blend.parts]
    tensors = {f"{at}.{name}": value for at, (part, _) in enumerate(dumped) for name, value in part.items()}
    return tensors, {"kind": blend.kind, "weights": list(blend.weights), "parts": [header for _, header in dumped]}


def _restore_parts(tensors: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Blend:
    try:
        stored = msgspec.convert(dict(header), _Parts)
    except msgspec.ValidationError as error:
        raise SerendipError(f"the scorer 'blend' has a header that is wrong. {error}.") from error
    if any(part.get("kind") == Blend.kind for part in stored.parts):
        raise SerendipError("the scorer 'blend' is not sound: a part must not be a blend.")
    shares: list[Tensors] = [{} for _ in stored.parts]
    for name, value in tensors.items():
        number, _, rest = name.partition(".")
        if not (number.isascii() and number.isdigit() and int(number) < len(shares)):
            raise SerendipError(f"the scorer 'blend' has a tensor {name!r} that belongs to none of its parts.")
        shares[int(number)][rest] = value
    parts = tuple(restore(share, part) for share, part in zip(shares, stored.parts, strict=True))
    return Blend(parts, stored.weights)


class _Calibrated(msgspec.Struct, forbid_unknown_fields=True):
    kind: str
    label: str
    part: dict[str, Any]
    calibration: dict[str, Any]


def _dump_calibrated(scorer: Calibrated) -> tuple[Tensors, Header]:
    """The tensors of what is calibrated and of the calibration, each behind its name."""
    part, calibration = dump(scorer.part), scorer.calibration.arrays()
    named = {"part": part[0], "calibration": calibration[0]}
    tensors = {f"{side}.{name}": value for side, held in named.items() for name, value in held.items()}
    return tensors, {"kind": scorer.kind, "label": scorer.label, "part": part[1], "calibration": calibration[1]}


def _restore_calibrated(tensors: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Calibrated:
    try:
        stored = msgspec.convert(dict(header), _Calibrated)
    except msgspec.ValidationError as error:
        raise SerendipError(f"the scorer 'calibrated' has a header that is wrong. {error}.") from error
    if stored.part.get("kind") == Calibrated.kind:
        raise SerendipError("the scorer 'calibrated' is not sound: what it calibrates must not be calibrated already.")
    shares: dict[str, Tensors] = {"part": {}, "calibration": {}}
    for name, value in tensors.items():
        side, _, rest = name.partition(".")
        if side not in shares:
            raise SerendipError(f"the scorer 'calibrated' has a tensor {name!r} that belongs to none of its parts.")
        shares[side][rest] = value
    calibration = Calibration.from_arrays(shares["calibration"], stored.calibration)
    return Calibrated(restore(shares["part"], stored.part), stored.label, calibration)


__all__ = [
    "KINDS",
    "Biases",
    "Blend",
    "Calibrated",
    "Calibration",
    "Counts",
    "DenseItemToItem",
    "Factors",
    "GraphLayers",
    "GroupedScores",
    "ItemToItem",
    "JointScorer",
    "LabelScorer",
    "LabelWeights",
    "MaxSimScorer",
    "NeighbourSums",
    "PosteriorFactors",
    "Profiles",
    "RankScorer",
    "RatingFactors",
    "RatingNeighbours",
    "Slopes",
    "SparsePlusLowRank",
    "StaticScores",
    "Summed",
    "TaskCalibration",
    "TaskScorer",
    "TowerScorer",
    "UserNeighbours",
    "WeightScorer",
    "dump",
    "history_matrix",
    "restore",
]
