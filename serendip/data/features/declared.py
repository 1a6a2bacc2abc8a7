"""Features as a recipe declares them: one table per feature, its ``kind`` saying what is made of the column.

The JSON Schema of recipes, the documentation and the error messages are read from here, so it imports nothing heavy.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Side = Literal["user", "item", "context"]
Pooling = Literal["mean", "sum", "sqrtn"]
Period = Literal["day", "week", "month", "year"]

Whose = Annotated[
    Side,
    Meta(
        description="Whose it is: user (a column of the users table), item (of the items table) or context (of the "
        "events)."
    ),
]
Column = Annotated[str, Meta(description='The column that it is made of. "": the one that is called as the feature.')]
Buckets = Annotated[int, Meta(ge=1, le=1 << 30, description="How many rows the hashed table has.")]
Multivalent = Annotated[
    bool, Meta(description="Whether a row holds several values: a list, or a text that | or , separates.")
]
Width = Annotated[
    int, Meta(ge=0, le=1024, description="Keep so many values of a row at most. 0: as many as training has, up to 64.")
]
Table = Annotated[
    str,
    Meta(
        description="Features with values of one kind (the brand of an item, a user's favourite brand) share the "
        'embedding table of this name. "": a table of its own.'
    ),
]
Pool = Annotated[
    Pooling, Meta(description="How the embeddings of several values become one: mean, sum, or sum over the root.")
]
Dim = Annotated[
    Annotated[int, Meta(ge=1, le=4096)] | None,
    Meta(description="Dimensions of the embedding. Left out: by the logarithm of the number of values."),
]
Quantiles = Annotated[int, Meta(ge=1, le=100_000, description="How many quantiles the distribution is known by.")]
Powers = Annotated[bool, Meta(description="Whether the square and the root of the normalised value stand beside it.")]
Unit = Annotated[bool, Meta(description="Whether vectors are made of length 1.")]


class Declared(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind"
):
    """Base of every kind of feature."""

    side: Whose
    column: Column = ""


class Category(Declared, frozen=True, kw_only=True, tag="category"):
    """One of known values. A value that training did not have falls into one of the out-of-vocabulary buckets."""

    multivalent: Multivalent = False
    width: Width = 0
    min_count: Annotated[int, Meta(ge=1, description="Values that fewer rows have are out of the vocabulary.")] = 1
    max_size: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Keep no more values, the most frequent ones. Left out: all of them."),
    ] = None
    oov_buckets: Annotated[
        int, Meta(ge=1, le=1 << 20, description="Buckets for values that are out of the vocabulary, chosen by a hash.")
    ] = 1
    table: Table = ""
    pooling: Pool = "mean"
    dim: Dim = None


class Hash(Declared, frozen=True, kw_only=True, tag="hash"):
    """A value by its hash alone: no vocabulary, however many values there will be. Some share a row."""

    buckets: Buckets = 10_000
    multivalent: Multivalent = False
    width: Width = 0
    table: Table = ""
    pooling: Pool = "mean"
    dim: Dim = None


class Unified(Declared, frozen=True, kw_only=True, tag="unified"):
    """A value by several hashes, each in one of a few tables that all features of one ``table`` take turns at.

    Each feature and chunk is salted, so that two values which meet in one table part in another. Source: Coleman et al.
    (2023), "Unified Embedding: Battle-Tested Feature Representations for Web-Scale ML Systems".
    """

    buckets: Buckets = 10_000
    chunks: Annotated[int, Meta(ge=1, le=8, description="By how many hashes a value is known.")] = 2
    tables: Annotated[int, Meta(ge=1, le=256, description="How many tables the features take turns at.")] = 2
    table: Annotated[str, Meta(min_length=1, description="Name of the tables that features share.")] = "unified"
    multivalent: Multivalent = False
    width: Width = 0
    pooling: Pool = "mean"
    dim: Dim = None


class Number(Declared, frozen=True, kw_only=True, tag="number"):
    """A number by its place in the distribution: x̃ in [0, 1), x̃², √x̃, and a 1 where there is a number at all.

    Source: Covington, Adams, Sargin (2016), "Deep Neural Networks for YouTube Recommendations", section 4.1.
    """

    quantiles: Quantiles = 100
    powers: Powers = True


class Bucket(Declared, frozen=True, kw_only=True, tag="bucket"):
    """A number by the interval it lies in, each interval with an embedding."""

    boundaries: Annotated[
        tuple[float, ...],
        Meta(max_length=100_000, description="Where intervals begin, rising. Left out: by quantiles."),
    ] = ()
    buckets: Annotated[int, Meta(ge=2, le=100_000, description="Intervals of equally many rows, if not given.")] = 10
    dim: Dim = None


class Vector(Declared, frozen=True, kw_only=True, tag="vector"):
    """Given numbers: an embedding from elsewhere, a list of the same length in every row."""

    unit: Unit = False


class Text(Declared, frozen=True, kw_only=True, tag="text"):
    """Free text in any script as hashed words, runs of words, and runs of characters."""

    words: Annotated[int, Meta(ge=0, le=4, description="Runs of up to so many words; 0: no words.")] = 2
    characters: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=8)], ...],
        Meta(max_length=8, description="Runs of so many characters of a word, its ends marked: [3, 4]."),
    ] = ()
    buckets: Buckets = 10_000
    width: Annotated[int, Meta(ge=1, le=4096, description="Keep so many of them, the first ones.")] = 32
    table: Table = ""
    pooling: Pool = "sqrtn"
    dim: Dim = None


class Sentence(Declared, frozen=True, kw_only=True, tag="sentence"):
    """Free text as a sentence encoder understands it: one vector, worked out with ONNX Runtime from a folder with
    ``model.onnx`` (or ``onnx/model.onnx``) and ``tokenizer.json``, as exports of sentence-transformers have them."""

    encoder: Annotated[
        str,
        Meta(
            min_length=1,
            examples=["encoders/all-MiniLM-L6-v2"],
            description="The folder, relative to the recipe; one that is not there is looked for by its name in the "
            "folders of the environment variable SERENDIP_ENCODERS.",
        ),
    ]
    keep: Annotated[
        bool,
        Meta(
            description="Whether the bundle holds the encoder. false: its name and checksum alone; who asks about new "
            "texts then needs its folder in one of SERENDIP_ENCODERS."
        ),
    ] = True
    max_length: Annotated[
        Annotated[int, Meta(ge=1, le=8192)] | None,
        Meta(description="Read so many tokens of a text at most. Left out: as tokenizer.json says, or 512."),
    ] = None
    pooling: Annotated[
        Literal["mean", "first"],
        Meta(
            description="How the vectors of tokens become one, where the encoder does not do it: their mean, or the "
            "first one."
        ),
    ] = "mean"
    unit: Unit = True


class Cycle(Declared, frozen=True, kw_only=True, tag="cycle"):
    """Where in the day, week, month or year a moment (UTC) lies: sine and cosine of its phase and their harmonics.

    Of side context, and without a column, it is the moment of the event or of the request.
    """

    side: Whose = "context"
    period: Annotated[Period, Meta(description="What returns: day (the hour counts), week, month or year.")] = "day"
    harmonics: Annotated[int, Meta(ge=1, le=12, description="How fine: 1 tells halves apart, 12 hours of a day.")] = 3
    utc_offset: Annotated[float, Meta(ge=-14, le=14, description="Hours that local time is ahead of UTC.")] = 0.0


class Recency(Declared, frozen=True, kw_only=True, tag="recency"):
    """How long ago, as a `Number`: a date of the table, at the end of training; of side context, the user's event
    before, at the moment of this one or of the request."""

    side: Whose = "context"
    quantiles: Quantiles = 100
    powers: Powers = True


class Age(Declared, frozen=True, kw_only=True, tag="age"):
    """Example age: how long before the end of training an example is, as a `Number`; 0 whenever a model is asked.

    So the model learns what was popular when, and answers for now. Source: Covington et al. (2016), section 3.3.
    """

    side: Annotated[Literal["context"], Meta(description="It belongs to the moment.")] = "context"
    quantiles: Quantiles = 100
    powers: Powers = True


Feature = Category | Hash | Unified | Number | Bucket | Vector | Text | Sentence | Cycle | Recency | Age
"""Any of them."""

KINDS: dict[str, type[Declared]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (Category, Hash, Unified, Number, Bucket, Vector, Text, Sentence, Cycle, Recency, Age)
}
"""Every kind of feature by its name."""


def column_of(name: str, declared: Declared) -> str | None:
    """The column that a feature reads; None for one that reads the moment of an event or request alone."""
    if declared.column:
        return declared.column
    timed = isinstance(declared, Cycle | Recency | Age)
    return None if timed and declared.side == "context" else name


__all__ = [
    "KINDS",
    "Age",
    "Bucket",
    "Category",
    "Cycle",
    "Declared",
    "Feature",
    "Hash",
    "Number",
    "Recency",
    "Sentence",
    "Text",
    "Unified",
    "Vector",
    "column_of",
]
