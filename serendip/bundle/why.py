"""`Why`: what became of one item in one list, in plain values and in sentences."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from serendip.data.vocab import ExternalId

Verdict = Literal[
    "listed", "deleted", "seen", "excluded", "not_allowed", "filter", "not_scored", "not_named", "skipped",
    "ranked_low", "moved", "cut",
]  # fmt: skip
How = Literal["sum", "left out"]
Number = float | None


class Gate(Struct, frozen=True, omit_defaults=True):
    """Something that the item does not get through, whatever its score."""

    reason: Annotated[Literal["deleted", "seen", "excluded", "not_allowed", "filter"], Meta(description="Which.")]
    said: Annotated[str, Meta(description="In words.")]
    condition: Annotated[str | None, Meta(description="Of the filter, what the item does not fulfil.")] = None


class Source(Struct, frozen=True, omit_defaults=True):
    """What a model that names items said of the item."""

    source: Annotated[str, Meta(description="The model of the bundle's pipeline.")]
    place: Annotated[int | None, Meta(description="The place at which it named the item; null: it did not.")]
    named: Annotated[int | None, Meta(description="How many items it named; null: it was not asked.")]
    score: Annotated[Number, Meta(description="Its score of the item; null: it has none.")]
    last: Annotated[Number, Meta(description="Its score of the last item that it named.")]
    standing: Annotated[int | None, Meta(description="The item's place by its scores of all items that may be shown.")]
    among: Annotated[int, Meta(description="How many of these it can score.")]
    skipped: Annotated[bool, Meta(description="It failed or took too long; so nothing is known of what it says.")] = (
        False
    )


class Step(Struct, frozen=True, omit_defaults=True):
    """What a stage that puts lists into another order did with the item."""

    stage: Annotated[str, Meta(description="Its name.")]
    kind: Annotated[str, Meta(description="What it is: `merge`, `rank`, `rerank`, … `list`: what was asked for.")]
    before: Annotated[int | None, Meta(description="The item's place in the list that the stage was handed.")]
    of: Annotated[int, Meta(description="How many items that list held.")]
    after: Annotated[int | None, Meta(description="Its place in the list that the stage gave; null: not in it.")]
    kept: Annotated[int, Meta(description="How many items that list holds.")]
    score: Annotated[Number, Meta(description="The item's score by the stage.")]
    last: Annotated[Number, Meta(description="The score of the last item that the stage kept.")]
    standing: Annotated[
        int | None, Meta(description="Of an item that a ranker did not keep: its place, had it kept all.")
    ] = None


class Reason(Struct, frozen=True, omit_defaults=True):
    """What carried a score."""

    source: Annotated[str, Meta(description="The model whose score it is.")]
    side: Annotated[
        Literal["history", "user", "context", "item", "event", "source"],
        Meta(
            description="Of what it is: an item of the history, or all of it; a feature of the user, the moment or the "
            "item; events of another kind; what named the item, and how high."
        ),
    ]
    name: Annotated[str, Meta(description="Of the feature, the kind of events or the source; or `history`.")]
    contribution: Annotated[Number, Meta(description="What it adds; null: without it there is no score.")]
    rank: Annotated[int, Meta(ge=1)]
    how: Annotated[
        How,
        Meta(
            description="`sum`: what all items of the history add sums to the score. `left out`: the score less the "
            "score with this unknown."
        ),
    ]
    item_id: Annotated[ExternalId | None, Meta(description="Of an item of the history.")] = None
    title: str | None = None


class Score(Struct, frozen=True):
    """A score whose reasons are given."""

    source: Annotated[str, Meta(description="The model whose score it is.")]
    score: Annotated[float, Meta(description="By which it puts items in order; of a calibrated model, before that.")]


class Why(Struct, frozen=True, kw_only=True):
    """Why an item is at its place in a list, or not in it."""

    user_id: ExternalId | None
    item_id: ExternalId
    title: str | None
    k: Annotated[int, Meta(description="How many items were wanted.")]
    listed: Annotated[int, Meta(description="How many items the list holds.")]
    place: Annotated[int | None, Meta(description="The item's place in it, from 1; null: not in it.")]
    score: Annotated[Number, Meta(description="The item's score in the list.")]
    score_is: Annotated[str | None, Meta(description="What that score means, where a model says so or places make it.")]
    verdict: Annotated[
        Verdict,
        Meta(
            description="`listed`; what it did not get through (`deleted`, `seen`, `excluded`, `not_allowed`, "
            "`filter`); or where it was lost: no model has a score for it (`not_scored`), or named it (`not_named`), "
            "what could have was `skipped`, a ranker put it too low (`ranked_low`), a re-ranker moved it out "
            "(`moved`), or the list ends before it (`cut`)."
        ),
    ]
    lost_at: Annotated[str | None, Meta(description="The stage in which an item was lost that some model had named.")]
    said: Annotated[str, Meta(description="The answer in words.")]
    otherwise: Annotated[
        int | None, Meta(description="Its place, did it get through; null: not in the list even so, or it did.")
    ]
    gates: list[Gate]
    sources: list[Source]
    steps: list[Step]
    scores: list[Score]
    reasons: Annotated[list[Reason], Meta(description="What carried each of these scores, the most first.")]
    foretold: Annotated[
        dict[str, Number],
        Meta(
            description="By label, what a model that learned labels foretells: a probability, an expected count, a "
            "rating or a duration; null where it cannot say. Empty for other models."
        ),
    ]
    foretold_by: Annotated[str | None, Meta(description="Which model foretells.")]
    notes: Annotated[list[str], Meta(description="What a reader should know: ids not known, stages left out.")]


def sentence(why: Why) -> str:
    """The answer in words, from the rest of it."""
    name = str(why.item_id) if why.title is None else f"{why.item_id} ({why.title})"
    if why.place is not None:
        return f"{name} is at place {why.place} of the {why.listed:,}."
    many = {0: "is not shown, and nothing else is", 1: "is not the one item of the list"}
    where = many.get(why.listed, f"is not among the {why.listed:,}")
    return f"{name} {where}: {'; '.join(_because(why))}.{_otherwise(why)}"


def _because(why: Why) -> list[str]:
    if why.gates:
        return [one.said for one in why.gates]
    if why.verdict == "not_scored":
        return [f"no model has a score for it ({', '.join(one.source for one in why.sources)})"]
    if why.verdict == "not_named" or (why.verdict == "skipped" and why.lost_at is None):
        asked = [_unnamed(one) for one in why.sources if one.skipped or (one.standing and one.named is not None)]
        spare = [f"{one.source} (place {one.standing:,})" for one in why.sources if one.standing and one.named is None]
        were = "was" if len(spare) == 1 else "were"
        return [*asked, *([f"{' and '.join(spare)} {were} not asked, for the list was full"] if spare else [])]
    if why.verdict == "skipped":
        return [f"{why.lost_at} was skipped"]
    step = next(one for one in reversed(why.steps) if one.stage == why.lost_at or one.after is None)
    if why.verdict == "ranked_low":
        return [f"{step.stage} has it at place {step.standing:,} of {step.of:,} and keeps {step.kept:,}{_needed(step)}"]
    if why.verdict == "moved":
        step = next(one for one in reversed(why.steps) if one.stage == why.lost_at)
        to = "out of the list" if step.after is None else f"to {step.after:,}"
        return [f"{step.stage} moved it from place {step.before:,} {to}"]
    if step.before is not None:
        return [f"the list ends before it: place {step.before:,} of {step.of:,}{_needed(step)}"]
    named = [f"{one.source} has it at place {one.place:,} of {one.named:,}" for one in why.sources if one.place]
    return [f"{step.stage} takes {step.kept:,} of the items named; {' and '.join(named)}"]


def _unnamed(one: Source) -> str:
    if one.skipped:
        return f"{one.source} was skipped"
    where = f"{one.source} has it at place {one.standing:,} of {one.among:,}"
    if one.standing is not None and one.named is not None and one.standing <= one.named:
        return f"{where}, but its approximate search passed it by"
    gap = "" if one.last is None or one.score is None else f", score {one.score:.4g} against {one.last:.4g} of the last"
    return f"{where} and names {one.named:,}{gap}"


def _needed(step: Step) -> str:
    if step.score is None or step.last is None:
        return ""
    return f", score {step.score:.4g} against {step.last:.4g} of the last"


def _otherwise(why: Why) -> str:
    if not why.gates or why.verdict == "deleted":
        return ""
    if why.otherwise is None:
        return " Nor would it be among them otherwise."
    return f" Otherwise it would be at place {why.otherwise}."


__all__ = ["Gate", "How", "Reason", "Score", "Source", "Step", "Verdict", "Why", "sentence"]
