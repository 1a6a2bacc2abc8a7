"""A stage ↔ plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, cast

import msgspec

from serendip.pipeline.guard import Guard, Within, guarded, limited
from serendip.pipeline.merge import How, Merge, Quota, merge
from serendip.pipeline.ranking import Rank
from serendip.pipeline.reranking import Rerank, Reranked, rerank, reranked
from serendip.pipeline.stages import Chain, FirstOf, Retrieve, chain, first_of, rank, retrieve
from serendip.rerank import Reranker
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
    stages: list[_Spec]
    least: int | None = None


class _ChainSpec(msgspec.Struct, tag="chain", tag_field="stage", frozen=True, forbid_unknown_fields=True):
    stages: list[_Spec]


class _QuotaSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    least: int = 0
    most: int | None = None


class _MergeSpec(
    msgspec.Struct, tag="merge", tag_field="stage", frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    stages: list[_Spec]
    how: How
    weights: list[float] | None = None
    quotas: list[_QuotaSpec] | None = None
    least: int | None = None


class _GuardSpec(
    msgspec.Struct, tag="guard", tag_field="stage", frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    stages: Annotated[list[_Spec], msgspec.Meta(min_length=1, max_length=1)]
    name: str
    budget: float | None = None


class _WithinSpec(msgspec.Struct, tag="within", tag_field="stage", frozen=True, forbid_unknown_fields=True):
    stages: Annotated[list[_Spec], msgspec.Meta(min_length=1, max_length=1)]
    budget: float


class _RerankSpec(msgspec.Struct, tag="rerank", tag_field="stage", frozen=True, forbid_unknown_fields=True):
    name: str
    options: Reranker


class _RerankedSpec(msgspec.Struct, tag="reranked", tag_field="stage", frozen=True, forbid_unknown_fields=True):
    stages: Annotated[list[_Spec], msgspec.Meta(min_length=1)]
    candidates: int


_Spec = (
    _RetrieveSpec
    | _RankSpec
    | _FirstOfSpec
    | _ChainSpec
    | _MergeSpec
    | _GuardSpec
    | _WithinSpec
    | _RerankSpec
    | _RerankedSpec
)


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
        case Merge():
            quotas = [_QuotaSpec(quota.least, quota.most) for quota in stage.quotas]
            parts = [_describe(part) for part in stage.stages]
            return _MergeSpec(parts, stage.how, list(stage.weights), quotas, stage.least)
        case Guard():
            return _GuardSpec([_describe(stage.stage)], stage.name, stage.budget)
        case Within():
            return _WithinSpec([_describe(stage.stage)], stage.budget)
        case Rerank():
            return _RerankSpec(stage.name, stage.options)
        case Reranked():
            return _RerankedSpec([_describe(part) for part in stage.stages], stage.candidates)
    raise SerendipError(
        f"Only stages made by the functions of serendip.pipeline can be stored. Got {type(stage).__name__} instead."
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
    if isinstance(spec, _RerankSpec):
        return rerank(spec.options, name=spec.name)
    parts = [_build(part, scorers, depth - 1) for part in spec.stages]
    match spec:
        case _FirstOfSpec(least=least):
            return first_of(*parts, least=least)
        case _MergeSpec(how=how, weights=weights, least=least):
            quotas = None if spec.quotas is None else [Quota(one.least, one.most) for one in spec.quotas]
            return merge(*parts, how=how, weights=weights, quotas=quotas, least=least)
        case _GuardSpec(name=name, budget=budget):
            return guarded(parts[0], name=name, budget=budget)
        case _WithinSpec(budget=budget):
            return limited(parts[0], budget=budget)
        case _RerankedSpec(candidates=candidates):
            return reranked(*parts, candidates=candidates)
    return chain(*parts)
