"""A stage ↔ plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from serendip.pipeline.ranking import Rank
from serendip.pipeline.stages import Chain, FirstOf, Retrieve, chain, first_of, rank, retrieve
from serendip.types import Scorer, SerendipError, Stage

DEPTH = 16
"""How deep stages may be nested."""


class _RetrieveSpec(msgspec.Struct, tag="retrieve", tag_field="stage", frozen=True, forbid_unknown_fields=True):
    scorer: str
    name: str
    k: int | None = None


class _RankSpec(msgspec.Struct, tag="rank", tag_field="stage", frozen=True, forbid_unknown_fields=True):
    scorer: str
    name: str
    k: int | None = None
    named: float = 0.0


class _FirstOfSpec(
    msgspec.Struct, tag="first_of", tag_field="stage", frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    stages: list[_RetrieveSpec | _RankSpec | _FirstOfSpec | _ChainSpec]
    least: int | None = None


class _ChainSpec(msgspec.Struct, tag="chain", tag_field="stage", frozen=True, forbid_unknown_fields=True):
    stages: list[_RetrieveSpec | _RankSpec | _FirstOfSpec | _ChainSpec]


_Spec = _RetrieveSpec | _RankSpec | _FirstOfSpec | _ChainSpec


def to_dict(stage: Stage) -> dict[str, Any]:
    """A stage as plain JSON values; a scorer is named by its stage's name.

    Raises:
        SerendipError: a stage of another kind than those of this module.
    """
    return cast("dict[str, Any]", msgspec.to_builtins(_describe(stage)))


def from_dict(header: Any, scorers: Mapping[str, Scorer]) -> Stage:
    """The inverse of `to_dict`.

    Args:
        header: what `to_dict` gave; need not be trusted.
        scorers: by the names that the header uses.

    Raises:
        SerendipError: a header that describes no stage, is nested too deeply or names a scorer that is not there.
    """
    try:
        spec: _Spec = msgspec.convert(header, _Spec)
    except (msgspec.ValidationError, RecursionError) as error:
        raise SerendipError(f"The description of the pipeline is not valid: {error}") from error
    return _build(spec, scorers, DEPTH)


def _describe(stage: Stage) -> _Spec:
    match stage:
        case Retrieve():
            return _RetrieveSpec(stage.name, stage.name, stage.k)
        case Rank():
            return _RankSpec(stage.name, stage.name, stage.k, stage.named)
        case FirstOf():
            return _FirstOfSpec([_describe(part) for part in stage.stages], stage.least)
        case Chain():
            return _ChainSpec([_describe(part) for part in stage.stages])
    raise SerendipError(
        f"Only stages made by retrieve, rank, first_of and chain can be stored. Got {type(stage).__name__} instead."
    )


def _build(spec: _Spec, scorers: Mapping[str, Scorer], depth: int) -> Stage:
    if depth == 0:
        raise SerendipError(f"Stages must be nested at most {DEPTH} deep. Got more instead.")
    if isinstance(spec, _RetrieveSpec | _RankSpec):
        if spec.scorer not in scorers:
            there = ", ".join(scorers) or "none"
            raise SerendipError(f"The pipeline names the scorer {spec.scorer!r}, which is not there. Got {there}.")
        if isinstance(spec, _RankSpec):
            return rank(scorers[spec.scorer], name=spec.name, k=spec.k, named=spec.named)
        return retrieve(scorers[spec.scorer], name=spec.name, k=spec.k)
    parts = [_build(part, scorers, depth - 1) for part in spec.stages]
    return first_of(*parts, least=spec.least) if isinstance(spec, _FirstOfSpec) else chain(*parts)
