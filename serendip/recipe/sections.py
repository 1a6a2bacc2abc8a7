"""What may stand in a recipe: every key, its type, its bounds and what it is for.

The JSON Schema, the documentation and the error messages are all read from here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from serendip.data.features.declared import Feature
from serendip.index.options import Options
from serendip.rerank.options import Options as RerankOptions
from serendip.rerank.options import Reranker

# The command line reads its help from here, so this file imports nothing heavy: the lists below stand in
# `serendip.data.schema`, `serendip.evaluate.split` and `serendip.pipeline` as well, and a test holds them together.
TimeKind = Literal["unix", "rank", "none"]
LabelKind = Literal["binary", "count", "rating", "duration"]
SplitName = Literal["last_out", "global_time", "per_user", "at_random", "k_fold", "cold_items", "cold_users"]

Calibrating = Literal["isotonic", "platt"]
Merging = Literal["round_robin", "normalised", "fused"]

OF_LISTS = ("ndcg@10", "recall@10", "ndcg@20", "recall@20", "coverage@20")
OF_EVENTS = ("auc", "logloss", "ece", "mae", "rmse", "xauc")
"""What is reported where no figure is named: of lists, and of held-out events one by one."""

Natural = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Folds = Annotated[int, Meta(ge=2, le=7)]
Share = Annotated[float, Meta(gt=0, lt=1)]
Milliseconds = Annotated[float, Meta(gt=0)]

_RANGE = {
    "type": "object",
    "description": "A range of numbers; log: orders of magnitude are equally likely.",
    "properties": {
        "low": {"type": "number", "description": "The lowest value."},
        "high": {"type": "number", "description": "The highest value."},
        "log": {"type": "boolean", "description": "Whether orders of magnitude are equally likely.", "default": False},
    },
    "required": ["low", "high"],
    "additionalProperties": False,
}
_VALUES = {"type": "array", "description": "A choice of values.", "minItems": 2}


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the tables of a recipe."""

    def plain(self) -> dict[str, Any]:
        """As it is written in a recipe; keys that hold their default are left out."""
        return _changed(self)


class Choice(msgspec.Struct, frozen=True):
    """A model and its options. In a recipe the options stand beside the name."""

    name: str
    options: dict[str, Any] = {}

    def plain(self) -> dict[str, Any]:
        """As it is written in a recipe."""
        return {"name": self.name, **self.options}


class DataSection(Section, frozen=True):
    """What to read, and what its columns mean."""

    events: Annotated[
        str | None,
        Meta(
            examples=["events.parquet"],
            description="The event log: a Parquet, CSV, TSV, ::-separated, JSON, Arrow or RecBole file, or a folder of "
            "such.",
        ),
    ] = None
    items: Annotated[
        str | None,
        Meta(
            examples=["items.parquet"],
            description="File with one row per item: its id, title, categories, text. Optional.",
        ),
    ] = None
    users: Annotated[
        str | None,
        Meta(examples=["users.parquet"], description="File with one row per user: its id and attributes. Optional."),
    ] = None
    relations: Annotated[
        dict[str, str],
        Meta(
            examples=[{"trust": "trust.parquet"}],
            description="Files with one row per pair, by a name of your choice, such as friends or trust: the first "
            "column holds who has the relation, the second with whom. They join users, or items where the first column "
            "is named like the items' ids. Models such as hybrid_mf make use of them.",
        ),
    ] = {}
    source: Annotated[
        str | None,
        Meta(
            examples=["demo"],
            description='Instead of files: "demo" for the generated shop, or a public set (`serendip data`). Of the '
            "keys below, positive_from may stand beside it; beside the demo, target and event_weights too.",
        ),
    ] = None
    examples: Annotated[
        str | None,
        Meta(
            examples=["census.parquet"],
            description="Instead of events: a table without users and items, whose rows have labels to be foretold "
            "from the other columns. Needs labels; without [features], every other column is one.",
        ),
    ] = None
    streamed: Annotated[
        bool,
        Meta(
            description="Whether the rows of examples are read piece by piece whenever they are learned from, as more "
            "of them lie in a Parquet file than in memory. Features are fitted to a sample of 200,000 rows."
        ),
    ] = False
    columns: Annotated[
        dict[str, str | tuple[str, ...]],
        Meta(
            examples=[{"timestamp": "time_rank", "categories": ["genres", "tags"]}],
            description="Which column plays which role, where its name does not say so: user, item, timestamp, weight, "
            "rating, event_type, title; user_key and item_key for the ids in the tables; and lists of columns for "
            "categories, text and context.",
        ),
    ] = {}
    time_kind: Annotated[
        TimeKind | None,
        Meta(
            examples=["unix"],
            description='What the timestamp is: "unix" (seconds, UTC), "rank" (order within a user only) or "none". '
            "Left out: by its values.",
        ),
    ] = None
    positive_from: Annotated[
        float | None,
        Meta(
            examples=[4],
            description="A rating at or above it shows interest. A lower one marks the item as seen: never recommended "
            "again, but nothing is learnt from it. Left out: every rating counts as interest.",
        ),
    ] = None
    event_weights: Annotated[
        dict[str, Annotated[float, Meta(ge=0)]],
        Meta(
            examples=[{"view": 1, "buy": 5}],
            description="Strength of interest by kind of event, such as {view = 1, buy = 5}. Kinds not named weigh 1; "
            "where a target is named, they weigh 1 if they are of it, else 0.",
        ),
    ] = {}
    target: Annotated[
        tuple[str, ...],
        Meta(
            examples=[["buy"]],
            description="Kinds of events to be foretold: they alone are the truth of a test. Of the others, those with "
            "a weight in event_weights are learnt from as well, and all of them are read by models that can read more "
            "than the history, such as two_tower and youtube_retrieval. Left out: all kinds.",
        ),
    ] = ()
    impressions: Annotated[
        tuple[str, ...],
        Meta(
            examples=[["shown"]],
            description="Kinds of events that say what was shown. Each gets a binary label for every kind of the "
            "target (model.label = that kind): whether its user did that with its item before it was shown again. "
            "Rankers learn from these rows instead of items drawn as negatives. What was shown and no more may be "
            "shown again, and rankers read how often it was.",
        ),
    ] = ()
    churn: Annotated[
        str | None,
        Meta(
            examples=["clicked"],
            description="A binary label that the rows of impressions have. Columns for features of the side context "
            "then say how often the item (unclicked_item), and how often any (unclicked_user), was shown to the user "
            "at earlier times with label 0. They come with impressions as well.",
        ),
    ] = None
    labels: Annotated[
        dict[str, LabelKind],
        Meta(
            examples=[{"watch_time": "duration"}],
            description='Further columns to predict and what they measure: "binary", "count", "rating" or "duration".',
        ),
    ] = {}
    encoding: Annotated[str, Meta(description="Encoding of text files.")] = "utf-8"
    strict: Annotated[bool, Meta(description="Refuse what would otherwise be repaired.")] = False
    rejects: Annotated[
        str | None,
        Meta(examples=["rejects.csv"], description="Write the refused rows to this file and go on with the others."),
    ] = None


class FitSection(Section, frozen=True):
    """When to stop training, for models that learn in epochs; and whether scores become probabilities."""

    validate: Annotated[
        str | None,
        Meta(
            examples=["ndcg@10"],
            description="Figure by which the number of epochs is chosen, on a part of the training data that is held "
            "out as the test is; all of them are then learned from for so long. Left out: all epochs of the model.",
        ),
    ] = None
    validate_tasks: Annotated[
        tuple[str, ...],
        Meta(
            examples=[["clicked", "purchased"]],
            description="Of a model of several tasks: the labels whose mean figure decides. Left out: all of them that "
            "have the figure.",
        ),
    ] = ()
    validate_every: Annotated[Positive, Meta(description="Epochs from one validation to the next.")] = 1
    patience: Annotated[
        Positive | None,
        Meta(
            examples=[5],
            description="Validations in a row that may bring nothing better before training stops. Left out: any.",
        ),
    ] = None
    calibration: Annotated[
        Calibrating | None,
        Meta(
            examples=["isotonic"],
            description="How scores of a model of a binary label, and what is foretold of those that are tasks, become "
            "probabilities that come true as often as they say, learned on a part of the training data that is held "
            'out as the test is: "isotonic" regression, which needs some thousands of rows, or "platt", a sigmoid. '
            "Left out: they stay as they are.",
        ),
    ] = None


class QuotaSection(Section, frozen=True):
    """How many of the items of a merged list come from a source: those that stand highest in its list, of all lists."""

    least: Annotated[Natural, Meta(description="So many at least, as far as it names so many.")] = 0
    most: Annotated[Positive | None, Meta(examples=[50], description="So many at most. Left out: any number.")] = None


class SourceSection(Section, frozen=True):
    """A model that names items beside the recipe's model; or how the recipe's own counts among them."""

    model: Annotated[
        Choice,
        Meta(description="Which model, by name, or as a table of name and options; that of [model] by its name alone."),
    ]
    k: Annotated[
        Positive | None,
        Meta(
            examples=[100],
            description="How many items it names. Left out: pipeline.candidates, or as many as are asked for if more "
            "are.",
        ),
    ] = None
    weight: Annotated[
        float,
        Meta(
            gt=0,
            description="How much its list counts against those of the others. Not for round_robin.",
        ),
    ] = 1.0
    quota: Annotated[
        QuotaSection | None,
        Meta(
            examples=[{"least": 10, "most": 50}],
            description="How many of the items of the merged list come from it at least and at most, as `source` in a "
            "reply counts them. Left out: as it comes.",
        ),
    ] = None


class BudgetSection(Section, frozen=True):
    """How long the stages may take to answer at most 64 requests at once. What takes longer is skipped, with a note."""

    source: Annotated[
        Milliseconds | None, Meta(examples=[20], description="Milliseconds for each model that names items.")
    ] = None
    rank: Annotated[Milliseconds | None, Meta(examples=[20], description="Milliseconds for the ranker.")] = None
    rerank: Annotated[
        Milliseconds | None, Meta(examples=[10], description="Milliseconds for each of the re-rankers.")
    ] = None
    whole: Annotated[
        Milliseconds | None,
        Meta(examples=[50], description="Milliseconds for all of them together. Fallbacks are asked in any case."),
    ] = None


class PipelineSection(Section, frozen=True):
    """How the answer is put together."""

    sources: Annotated[
        tuple[SourceSection, ...],
        Meta(
            examples=[["item_knn", {"model": {"name": "popular", "half_life": 30}, "k": 50}]],
            description="Models that name items beside the recipe's model, which is the first of the sources: each by "
            "its name, or as a table of model, k, weight and quota. What all of them name becomes one list. A table "
            "with the name of the recipe's model says k, weight or quota of that.",
        ),
    ] = ()
    merge: Annotated[
        Merging,
        Meta(
            description="How the lists of the sources become one: round_robin (the first of each, then the second of "
            "each), normalised (by the sum of the scores, each less the mean of its list and over its deviation) or "
            "fused (by the sum of the reciprocals of the places). With a ranker behind it decides which items are "
            "ranked, and their order only as far as pipeline.named says."
        ),
    ] = "round_robin"
    budget: Annotated[
        BudgetSection | None,
        Meta(
            examples=[{"source": 20, "rank": 20, "whole": 50}],
            description="Milliseconds that each stage may take for a request, by kind of stage (source, rank, rerank), "
            "and all of them together (whole); a stage that takes longer is skipped, with a note. Left out: any time.",
        ),
    ] = None
    fallback: Annotated[
        tuple[Choice, ...] | None,
        Meta(
            examples=[["content", {"name": "popular", "half_life": 30}]],
            description="Models that fill a list which those that name items leave short, in this order. Left out: "
            "content where the items have categories or text, then popular. []: none, so that a list may be short or "
            "empty.",
        ),
    ] = None
    rank: Annotated[
        Choice | None,
        Meta(
            examples=[{"name": "deepfm", "epochs": 10}],
            description="A model that puts what those above name into its own order, by all that it reads of a query "
            "and an item together. Left out: none.",
        ),
    ] = None
    candidates: Annotated[
        Positive,
        Meta(
            description="How many items are named for those below to rank and re-rank, and how many each source names, "
            "or as many as are asked for if more are."
        ),
    ] = 200
    named: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="How much the order counts in which the items were named: 0 leaves it to the ranker.",
        ),
    ] = 0.0
    moments: Annotated[
        Natural,
        Meta(
            description="Where the log has unix times: at how many of them retrieval is fitted to what was before, to "
            "find what it would have shown then. A ranker that learns from items drawn against events takes some from "
            "these lists (model option hard), and reads the score and the source that they have there. 0: neither."
        ),
    ] = 5
    rerank: Annotated[
        tuple[Reranker, ...],
        Meta(
            examples=[[{"name": "mmr", "by": "genres", "weight": 0.7}, {"name": "explore", "epsilon": 0.05}]],
            description="What puts lists into another order at the end, one after the other: tables with the name of a "
            "re-ranker (mmr, dpp, cap, boost, pin, calibrate, popularity, repeat, explore) and its options.",
        ),
    ] = ()
    k: Annotated[Positive, Meta(description="How many items `serendip recommend` lists where -k is not given.")] = 10


class EvaluateSection(Section, frozen=True):
    """How the model is tested: on events that training has not seen."""

    split: Annotated[
        SplitName | None,
        Meta(
            examples=["last_out"],
            description="How events are held out. Left out: last_out where events have a time, per_user otherwise; for "
            "figures of events one by one global_time where these are moments, at_random otherwise.",
        ),
    ] = None
    test: Annotated[
        Share | None,
        Meta(
            examples=[0.2], description="Share held out by global_time, per_user, at_random, cold_items and cold_users."
        ),
    ] = None
    n: Annotated[Positive | None, Meta(examples=[1], description="Events per user held out by last_out.")] = None
    given: Annotated[
        Natural | None,
        Meta(examples=[5], description="Events that a user held out by cold_users shows before the test."),
    ] = None
    folds: Annotated[Folds | None, Meta(examples=[5], description="Parts that k_fold makes.")] = None
    repeats: Annotated[
        bool,
        Meta(
            description="Whether items count that the user had before, and may be shown again: what was looked at "
            "and is bought then."
        ),
    ] = False
    seed: Annotated[
        Natural | None,
        Meta(examples=[0], description="Of the split and of the bootstrap. Left out: the seed of [run]."),
    ] = None
    metrics: Annotated[
        Annotated[tuple[str, ...], Meta(min_length=1)] | None,
        Meta(
            examples=[list(OF_LISTS)],
            description="Figures to report: of lists, such as ndcg@10; or of held-out events with a label, one by one, "
            "for models that learn labels: auc, gauc, logloss, ece, mae, rmse, xauc, weighted_per_user_loss. The first "
            "one decides comparisons. Left out: of events one by one for a model that learns labels of the log and "
            "stands alone, otherwise of lists.",
        ),
    ] = None
    compare: Annotated[
        tuple[Choice, ...], Meta(description="Models fitted beside it, on the same events, to compare with.")
    ] = (Choice("popular"), Choice("item_knn"))


class TuneSection(Section, frozen=True):
    """How options are chosen: on a part of the training data that is held out as the test is."""

    metric: Annotated[
        str | None,
        Meta(
            examples=["ndcg@10"],
            description="Figure to choose by: of lists, or, for models that learn labels, of events one by one, the "
            "mean over their labels. Left out: rmse for models that predict ratings; for those of labels auc, or rmse "
            "or xauc where none is binary; else ndcg@10.",
        ),
    ] = None
    trials: Annotated[Positive, Meta(description="How many sets of options to try.")] = 50
    time: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(examples=[600], description="Seconds for all trials together. Left out: as long as it takes."),
    ] = None
    space: Annotated[
        dict[str, Any],
        Meta(
            examples=[{"reg": {"low": 1, "high": 1000, "log": True}, "weight": ["binary", "count"]}],
            description="What to try: for each option a range (low, high, log) or a list of values. An option set in "
            "[model] is where the search begins. Left out: what the model declares, without the options set there.",
            extra_json_schema={"additionalProperties": {"anyOf": [_RANGE, _VALUES]}},
        ),
    ] = {}


class RunSection(Section, frozen=True):
    """How the work is carried out; never what comes out of it, the seed apart."""

    seed: Annotated[Natural, Meta(description="Of every random choice.")] = 0
    threads: Annotated[Positive | None, Meta(examples=[4], description="Threads at most. Left out: one per core.")] = (
        None
    )
    device: Annotated[
        str | None,
        Meta(examples=["cuda"], description="Where models that need PyTorch are trained: cpu or cuda. Left out: cpu."),
    ] = None
    out: Annotated[
        str | None, Meta(examples=["out/bundle"], description="Directory of the bundle. Left out: out/bundle.")
    ] = None


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to read, fit, evaluate and write: the contents of a ``recipe.toml``."""

    data: Annotated[
        DataSection,
        Meta(description="What to read, and what its columns mean. Paths are relative to the recipe."),
    ] = DataSection()
    features: Annotated[
        dict[str, Feature],
        Meta(
            examples=[{"genres": {"kind": "category", "side": "item", "multivalent": True}}],
            description="What is made of columns, by a name of your choice, for models that read features. They are "
            "learned from the training data, kept in the bundle, and applied alike to whoever asks.",
        ),
    ] = {}
    model: Annotated[Choice, Meta(description="The model, by name, and its options beside the name.")] = Choice("ials")
    fit: Annotated[FitSection, Meta(description="When to stop training, for models that learn in epochs.")] = (
        FitSection()
    )
    pipeline: Annotated[PipelineSection, Meta(description="How the answer is put together.")] = PipelineSection()
    index: Annotated[
        Options, Meta(description="How the vectors of items are searched. Without this section: exactly.")
    ] = Options(backend="exact")
    evaluate: Annotated[EvaluateSection, Meta(description="How the model is tested.")] = EvaluateSection()
    tune: Annotated[TuneSection, Meta(description="How the model's options are chosen by `serendip tune`.")] = (
        TuneSection()
    )
    run: Annotated[RunSection, Meta(description="How the work is carried out.")] = RunSection()

    def plain(self) -> dict[str, Any]:
        """As nested plain values, in the shape of the file; keys that hold their default are left out."""
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        tables = {name: value.plain() for name, value in values.items() if isinstance(value, Section)}
        tables["index"] = (
            {} if self.index == Recipe().index else {"backend": self.index.backend, **_changed(self.index)}
        )
        tables["model"] = self.model.plain()
        tables["features"] = {name: msgspec.to_builtins(feature) for name, feature in self.features.items()}
        return {name: tables[name] for name in self.__struct_fields__ if tables[name]}


def _changed(table: msgspec.Struct) -> dict[str, Any]:
    """What is not as it is by default, as plain values."""
    pairs = [(field, getattr(table, field.name)) for field in msgspec.structs.fields(table)]
    return {field.name: _plain(value) for field, value in pairs if field.required or value != _default(field)}


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, RerankOptions):
        return as_written(value)
    return value.plain() if isinstance(value, Choice | Section) else value


def as_written(options: RerankOptions) -> dict[str, Any]:
    """A re-ranker as it is written in a recipe: its name, and the options that do not hold their default."""
    values = msgspec.to_builtins(options)
    defaults = {field.name: field.default for field in msgspec.structs.fields(options)}
    kept = {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}
