"""What a pipeline is, in words: a line for each step on the way to a list."""

from __future__ import annotations

from collections.abc import Sequence

from serendip.pipeline.guard import Guard, Within
from serendip.pipeline.merge import Merge
from serendip.pipeline.ranking import Rank
from serendip.pipeline.reranking import Reranked
from serendip.pipeline.stages import Chain, FirstOf, Retrieve
from serendip.types import Stage

MERGED = {"round_robin": "in turn", "normalised": "by normalised scores", "fused": "by reciprocal places"}


def lines(stage: Stage) -> tuple[str, ...]:
    """Such as ``name: ials, item_knn (100); merged in turn``, ``fill: popular, up to 200`` and ``rank: deepfm``."""
    match stage:
        case Within():
            return (*lines(stage.stage), f"limit: {stage.budget:g} ms for all of them")
        case Merge():
            return (f"name: {', '.join(_merged(stage))}; merged {MERGED[stage.how]}",)
        case FirstOf(stages=(first, *rest)):
            upto = "" if stage.least is None else f", up to {stage.least}"
            return (*lines(first), *((f"fill: {', '.join(map(_short, rest))}{upto}",) if rest else ()))
        case Reranked(stages=(first, *rest)):
            return (*lines(first), f"re-rank: {', '.join(map(_short, rest))}, from {stage.candidates}")
        case Chain():
            return tuple(line for part in stage.stages for line in lines(part))
    core = _core(stage)
    if isinstance(core, Rank):
        weight = f", the order in which items were named counts {core.named:g}" if core.named else ""
        return (f"rank: {_short(stage)}{weight}",)
    return (f"{'name' if isinstance(core, Retrieve) else 'then'}: {_short(stage)}",)


def _merged(stage: Merge) -> list[str]:
    """The sources with how much each counts and what it is held to."""
    out = []
    for part, weight, quota in zip(stage.stages, stage.weights, stage.quotas, strict=True):
        said = [f"weight {weight:g}"] if weight != 1 and stage.how != "round_robin" else []
        said += [] if quota.least == 0 else [f"at least {quota.least}"]
        said += [] if quota.most is None else [f"at most {quota.most}"]
        out.append(_short(part, said))
    return out


def _short(stage: Stage, more: Sequence[str] = ()) -> str:
    """A stage's name, with what limits it."""
    core = _core(stage)
    said = [str(core.k)] if isinstance(core, Retrieve) and core.k is not None else []
    said += more
    if isinstance(stage, Guard) and stage.budget is not None:
        said.append(f"{stage.budget:g} ms")
    name = str(getattr(core, "name", type(core).__name__))
    return f"{name} ({', '.join(said)})" if said else name


def _core(stage: Stage) -> Stage:
    """What a guard stands around."""
    return _core(stage.stage) if isinstance(stage, Guard) else stage


__all__ = ["lines"]
