"""What goes over the wire: the requests, replies and errors, and how a body becomes a request.

These types are the only list of the fields; the OpenAPI document is made from them.
"""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from serendip.bundle.why import Why

MAX_BODY = 1_000_000
MAX_K = 1_000
MAX_IDS = 10_000
MAX_QUERIES = 1_000
MAX_PLACES = 100_000
MAX_FOUND = 50
MAX_HISTORY = 500
MAX_FILTER = 10_000
MAX_ATTRIBUTES = 200
MAX_KINDS = 100
MAX_QUESTIONS = 100
SHOWN = 60
WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}

ExternalId = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | str
K = Annotated[int, Meta(ge=1, le=MAX_K, description="How many items are wanted.")]
UserId = Annotated[
    ExternalId | None,
    Meta(description='Who asks. 1 and "1" are the same user. Leave it out, or name an unknown user, for someone new.'),
]
History = Annotated[
    Annotated[list[ExternalId], Meta(max_length=MAX_IDS)] | None,
    Meta(description="Item ids the user liked, oldest first: used in place of what the bundle remembers of the user."),
]
Exclude = Annotated[
    list[ExternalId], Meta(max_length=MAX_IDS, description="Item ids that must not be shown, besides those seen.")
]
Allow = Annotated[
    Annotated[list[ExternalId], Meta(max_length=MAX_IDS)] | None,
    Meta(description="If given, only these item ids may be shown."),
]
Filter = Annotated[
    Annotated[str, Meta(max_length=MAX_FILTER)] | None,
    Meta(
        description='What items must be like to be shown, by their attributes, such as `category in ["a", "b"] and '
        'price < 20` or `genres has "Comedy"`.'
    ),
]
Attribute = bool | int | float | str | None
Attributes = Annotated[
    dict[str, Attribute | list[Attribute]],
    Meta(
        max_length=MAX_ATTRIBUTES,
        description="What is known of the user and the moment, by the columns that features of the bundle read: used "
        "in place of what the bundle remembers of the user.",
    ),
]
Events = Annotated[
    dict[str, Annotated[list[ExternalId], Meta(max_length=MAX_IDS)]],
    Meta(
        max_length=MAX_KINDS,
        description="Item ids by kind of event, oldest first, of kinds that are not the target, such as what was "
        "looked at: used in place of what the bundle remembers of that kind.",
    ),
]
Time = Annotated[
    Annotated[int, Meta(ge=0, le=1 << 40)] | None,
    Meta(
        description="When it is asked, in unix seconds. Left out: now. Only features of time and re-rankers of what is "
        "new, or was had before, read it."
    ),
]
Reasons = Annotated[
    bool, Meta(description="Say of each item all that named it, what each stage gave it, and why it is there.")
]
ExcludeSeen = Annotated[bool, Meta(description="Leave out what the user has already seen.")]


Explore = Annotated[
    bool,
    Meta(
        description="Whether the bundle's re-ranker that explores leaves something to chance, and says how likely each "
        "item was at its place."
    ),
]


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every request body."""

    example: ClassVar[dict[str, Any]]


class ListRequest(Request, frozen=True, kw_only=True):
    """Base of requests about a list for one user."""

    user_id: UserId = None
    k: K = 10
    history: History = None
    exclude: Exclude = []
    allow: Allow = None
    filter: Filter = None
    exclude_seen: ExcludeSeen = True
    attributes: Attributes = {}
    events: Events = {}
    time: Time = None


class RecommendRequest(ListRequest, frozen=True, kw_only=True):
    """Asks for items for one user."""

    example: ClassVar[dict[str, Any]] = {"user_id": 1, "k": 10}

    reasons: Reasons = False
    explore: Explore = False


class Query(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One user of a batch."""

    user_id: UserId = None
    history: History = None
    exclude: Exclude = []
    attributes: Attributes = {}
    events: Events = {}
    time: Time = None


class BatchRequest(Request, frozen=True, kw_only=True):
    """Asks for items for many users at once. What is not said of a query holds for all."""

    example: ClassVar[dict[str, Any]] = {"queries": [{"user_id": 1}, {"history": [50, 172]}], "k": 10}

    queries: Annotated[
        list[Query],
        Meta(
            min_length=1,
            max_length=MAX_QUERIES,
            description=f"The users. Their number times k must not exceed {MAX_PLACES}.",
        ),
    ]
    k: K = 10
    allow: Allow = None
    filter: Filter = None
    exclude_seen: ExcludeSeen = True
    reasons: Reasons = False
    explore: Explore = False


class SimilarRequest(Request, frozen=True, kw_only=True):
    """Asks for items like a given one."""

    example: ClassVar[dict[str, Any]] = {"item_id": 50, "k": 10}

    item_id: Annotated[ExternalId, Meta(description="The item to be compared with.")]
    k: K = 10


class ExplainRequest(ListRequest, frozen=True, kw_only=True):
    """Asks why an item is, or is not, in the list that the same fields ask for at ``/v1/recommend``."""

    example: ClassVar[dict[str, Any]] = {"user_id": 1, "item_id": 50, "k": 10}

    item_id: Annotated[ExternalId, Meta(description="The item to be explained.")]
    reasons: Annotated[
        int, Meta(ge=0, le=MAX_K, description="How many items and features are named at most for each score.")
    ] = 3


Row = Annotated[
    dict[str, Attribute | list[Attribute]],
    Meta(
        max_length=MAX_ATTRIBUTES + 1,
        description="item_id, and attributes by column: those left out stay as they are, or are missing in a new item.",
    ),
]
Answered = Annotated[list[ExternalId], Meta(max_length=MAX_IDS)]


class UpsertRequest(Request, frozen=True, kw_only=True):
    """Puts items in, or changes them, all or none."""

    example: ClassVar[dict[str, Any]] = {"items": [{"item_id": 9001, "title": "New", "genres": "Comedy|Drama"}]}

    items: Annotated[list[Row], Meta(min_length=1, max_length=MAX_IDS, description="The items, each once.")]


class OnboardRequest(Request, frozen=True, kw_only=True):
    """Asks what to ask somebody new, given the answers so far."""

    example: ClassVar[dict[str, Any]] = {"k": 1, "liked": [50], "not_known": [172]}

    k: Annotated[int, Meta(ge=1, le=MAX_QUESTIONS, description="How many questions are wanted.")] = 1
    liked: Annotated[Answered, Meta(description="Items that they like: the history to recommend by.")] = []
    not_liked: Annotated[Answered, Meta(description="Items that they know and do not like.")] = []
    not_known: Annotated[Answered, Meta(description="Items that they do not know.")] = []
    filter: Filter = None


class Item(Struct, frozen=True, omit_defaults=True):
    """One place of a list."""

    item_id: ExternalId
    score: Annotated[float, Meta(description="Higher is better; comparable within one source only.")]
    rank: Annotated[int, Meta(ge=1)]
    source: Annotated[
        str,
        Meta(description='What named the item: a model of the bundle\'s pipeline, or "pinned" where the recipe did.'),
    ]
    title: str | UnsetType = UNSET
    sources: Annotated[
        list[str] | UnsetType, Meta(description="All that named the item, the first being the source.")
    ] = UNSET
    scores: Annotated[
        dict[str, float] | UnsetType, Meta(description="By stage of the pipeline, what it gave the item.")
    ] = UNSET
    reason: Annotated[str | UnsetType, Meta(description="Why it is there, as a short sentence.")] = UNSET
    propensity: (
        Annotated[float, Meta(gt=0, le=1, description="With explore: how likely it was that the item stands here.")]
        | UnsetType
    ) = UNSET


class RecommendReply(Struct, frozen=True):
    """The items for one user, best first."""

    recommendation_id: Annotated[str, Meta(description="Names this list; a UUID.")]
    bundle: Annotated[str, Meta(description="Version of the bundle that answered.")]
    user_known: Annotated[bool, Meta(description="Whether the bundle has heard of the user.")]
    items: list[Item]
    notes: Annotated[list[str], Meta(description="What a reader should know: ids not known, why a list is short.")]


class BatchReply(Struct, frozen=True):
    """One reply per query, in the order asked."""

    bundle: str
    replies: list[RecommendReply]


class SimilarReply(Struct, frozen=True):
    """The items most like the given one, best first."""

    recommendation_id: Annotated[str, Meta(description="Names this list; a UUID.")]
    bundle: Annotated[str, Meta(description="Version of the bundle that answered.")]
    items: list[Item]
    notes: list[str]


class ExplainReply(Why, frozen=True, kw_only=True):
    """Why an item is at its place in a list, or not in it."""

    bundle: Annotated[str, Meta(description="Version of the bundle that answered.")]


class Question(Struct, frozen=True, omit_defaults=True):
    """An item to ask about."""

    item_id: ExternalId
    known: Annotated[float, Meta(description="How likely they like it, given the answers so far.")]
    gain: Annotated[float, Meta(description="Share of what is not known of tastes that the answer tells.")]
    rank: Annotated[int, Meta(ge=1)]
    source: Annotated[str, Meta(description="What that was learned from: histories or attributes.")]
    title: str | UnsetType = UNSET


class OnboardReply(Struct, frozen=True):
    """What to ask next, best first."""

    bundle: Annotated[str, Meta(description="Version of the bundle that answered.")]
    questions: list[Question]
    notes: Annotated[list[str], Meta(description="What a reader should know: why there are fewer.")]


class LiveReply(Struct, frozen=True):
    """The live items after a change."""

    sequence: Annotated[int, Meta(description="How many changes there were.")]
    items: Annotated[int, Meta(description="How many items there are now.")]
    notes: Annotated[list[str], Meta(description="What models cannot do with items that came.")]


class FoundItem(Struct, frozen=True, omit_defaults=True):
    """An item by name."""

    item_id: ExternalId
    title: str | UnsetType = UNSET


class ItemsReply(Struct, frozen=True):
    """Items whose title or id matches, the most used first."""

    items: list[FoundItem]


class HistoryReply(Struct, frozen=True):
    """What a user liked, newest first, and how many such events there are in all."""

    user_id: ExternalId
    total: int
    items: list[FoundItem]


class BundleReply(Struct, frozen=True):
    """The bundle that answers."""

    version: str
    created: str
    serendip: Annotated[str, Meta(description="Version of the package that made it.")]
    data: Annotated[dict[str, Any], Meta(description="What it was made from, in numbers.")]
    example_user_id: Annotated[ExternalId | None, Meta(description="A user who has a history, to try things with.")]
    live: Annotated[int | None, Meta(description="How many changes of live items there were; null: none are kept.")] = (
        None
    )


class HealthReply(Struct, frozen=True, omit_defaults=True):
    """Whether the server is up."""

    status: Annotated[str, Meta(description="live or ready")]
    bundle: str | UnsetType = UNSET


class Problem(Struct, frozen=True, omit_defaults=True):
    """What went wrong."""

    code: Annotated[str, Meta(description="For programs: stays the same when the wording changes.")]
    message: Annotated[str, Meta(description="For people: what was expected and what came.")]
    hint: Annotated[str | UnsetType, Meta(description="What to try.")] = UNSET


class ErrorReply(Struct, frozen=True):
    """Every error has this form."""

    error: Problem


class ApiError(Exception):
    """An error that becomes a reply."""

    def __init__(self, status: int, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reply = ErrorReply(Problem(code, message, UNSET if hint is None else hint))


encode = msgspec.json.Encoder().encode
R = TypeVar("R", bound=Request)
_BODIES = (RecommendRequest, BatchRequest, SimilarRequest, ExplainRequest, UpsertRequest, OnboardRequest)
_DECODERS: dict[type[Request], msgspec.json.Decoder[Any]] = {kind: msgspec.json.Decoder(kind) for kind in _BODIES}


def decode(body: bytes, kind: type[R]) -> R:
    """The request that a JSON body holds, whatever its content type says.

    Raises:
        ApiError: 400 for what is not JSON, 422 for JSON that is not such a request.
    """
    try:
        request: R = _DECODERS[kind].decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), body, kind) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _malformed(error, body, kind) from error
    return request


_PLACE = re.compile(r" - at `\$([\w.\[\]]*)`\Z")


def _example(kind: type[Request]) -> str:
    return f"For example: {encode(kind.example).decode()}"


def _malformed(error: Exception, body: bytes, kind: type[Request]) -> ApiError:
    if not body.strip():
        got = "an empty body"
    elif isinstance(error, UnicodeDecodeError):
        got = "text that is not UTF-8"
    elif "truncated" in str(error):
        got = "JSON that breaks off"
    else:
        got = f"malformed JSON ({str(error).removeprefix('JSON is malformed: ')})"
    return ApiError(400, "malformed_json", f"The body must be one JSON object. Got {got} instead.", _example(kind))


def _invalid(said: str, body: bytes, kind: type[Request]) -> ApiError:
    """msgspec's complaint ("Expected `int` >= 1 - at `$.k`") in our words, with the value and what to try."""
    tail = _PLACE.search(said)
    what, path = (said[: tail.start()], tail[1].removeprefix(".")) if tail else (said, "")
    place = f" in `{path}`" if path else ""
    if found := re.fullmatch(r"Object contains unknown field `(.*)`", what, re.DOTALL):
        known = (Query if path.startswith("queries[") else kind).__struct_fields__
        near = difflib.get_close_matches(found[1].lower(), known, n=1)
        hint = f"Did you mean `{near[0]}`?" if near else f"Known fields: {', '.join(known)}."
        if kind is RecommendRequest and found[1] in ("queries", "users"):
            hint = "Many users at once are asked for at /v1/recommend/batch."
        return ApiError(422, "unknown_field", f"Unknown field `{found[1][:SHOWN]}`{place}.", hint)
    if found := re.fullmatch(r"Object missing required field `(.*)`", what):
        return ApiError(422, "missing_field", f"The field `{found[1]}` is required{place}.", _example(kind))
    expected = what.removeprefix("Expected ").partition(", got ")[0]
    name = f"`{path}`" if path else "The body"
    wrong = f"{name} must be {_plain(expected)}" if what.startswith("Expected ") else f"{name}: {what}"
    return ApiError(422, "invalid_value", f"{wrong}. Got {_shown(body, path)} instead.", _example(kind))


def _plain(expected: str) -> str:
    text = expected.replace("`", "")
    if limit := re.fullmatch(r"array of length ([<>]=) (\d+)", text):
        return f"a list of {'at most' if limit[1] == '<=' else 'at least'} {limit[2]} entries"
    return " or ".join(re.sub(r"^\w+", lambda word: WORDS.get(word[0], word[0]), part) for part in text.split(" | "))


def _shown(body: bytes, path: str) -> str:
    """The value at a path such as ``queries[0].k``, short enough for a message; ``[...]`` does not say which it is."""
    if "[...]" in path:
        return "something else"
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # not JSON after the place complained of
        return "something else"
    for step in re.findall(r"\w+", path):
        value = value[int(step)] if isinstance(value, list) else value[step]
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    text = encode(value).decode(errors="replace")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
