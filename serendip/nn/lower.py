"""Towers and rankers as the scorers that answer for them: trained as modules, kept as ONNX models and arrays."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from serendip.network.network import Network
from serendip.network.onnxfile import signature
from serendip.nn.export import TOLERANCE, to_onnx
from serendip.nn.ranker import AskedFields, NewFields, Ranker, Scores
from serendip.nn.sides import asked
from serendip.scorers import MaxSimScorer, RankScorer, TaskScorer, TowerScorer
from serendip.scorers.asked import BIAS, TOLD, VECTOR
from serendip.scorers.feeds import Feed, Items, of_queries, plain
from serendip.scorers.ranked import ITEM, QUERY, ROW, SCORE
from serendip.types import ABSENT, Floats, Queries, SerendipError

EXAMPLES = 8
"""How many made-up queries a module and its model are compared on."""
ASKING = 3
"""How many of them ask about as many pairs of a query and an item."""

Rows = Floats | Tensor


def lower_towers(
    query: nn.Module,
    feeds: Sequence[Feed],
    items: Rows,
    *,
    bias: Rows | None = None,
    told: Rows | None = None,
    tied: bool = False,
    alone: bool = False,
    item: nn.Module | None = None,
    item_feeds: Sequence[Feed] = (),
) -> TowerScorer | MaxSimScorer:
    """The scorer of two towers: the networks exported, each compared with its module on made-up inputs.

    Args:
        query: from a mapping of tensors, named by ``feeds``, to ``[b, d]`` or, of several heads of which the nearest
            to an item counts, ``[b, h, d]``.
        feeds: its inputs.
        items: ``[n, d]`` vectors of the items; a row with a NaN cannot be scored.
        bias: ``[n]`` what is added to the score of each item, or None.
        told: ``[n, e]`` what the query module is told of items where a feed says ``vectors``; None where it is the
            items' own vectors (``tied``), or where it is given codes.
        tied: whether feeds of ``vectors`` are given ``items`` themselves.
        alone: whether somebody without a history may be answered from what else is known.
        item: for items that come later, from a mapping of tensors, named by ``item_feeds``, to a mapping with
            ``vector`` ``[b, d]``, and ``bias`` ``[b]`` and ``told`` ``[b, e]`` where these are given above; or, without
            these, to ``[b, d]``. None: such items cannot be scored.
        item_feeds: its inputs, features all.

    Raises:
        SerendipError: as `serendip.nn.export.to_onnx`; or what was given does not fit together.
    """
    vectors = _whole(_array(items))
    table = vectors if bias is None else _whole(np.column_stack([vectors, _array(bias)]))
    said = np.empty((len(table), 0), np.float32) if told is None else _whole(_array(told))
    known = Items(~np.isnan((said if said.shape[1] else vectors)[:, 0]), vectors if tied else said)
    network = to_onnx(query, _tensors(of_queries(_queries(feeds, known), feeds, known)[0]), [VECTOR])
    later: bytes = b""
    if item is not None:
        outputs = [VECTOR, *([BIAS] if bias is not None else []), *([TOLD] if said.shape[1] else [])]
        later = to_onnx(item, _tensors(_features(item_feeds, np.random.default_rng(0))), outputs)
    heads = len(signature(network).outputs[VECTOR].shape) == 3
    return (MaxSimScorer if heads else TowerScorer)(
        query=np.frombuffer(network, np.uint8),
        feeds=tuple(feeds),
        items=table,
        told=said,
        tied=tied,
        biased=bias is not None,
        alone=alone,
        item=np.frombuffer(later, np.uint8),
        item_feeds=tuple(item_feeds),
    )


def lower_ranker(
    net: Ranker,
    feeds: Sequence[Feed],
    items: Rows,
    *,
    told: Rows | None = None,
    alone: bool = False,
    item_feeds: Sequence[Feed] = (),
    passed: Sequence[str] = (),
    foretells: nn.Module | None = None,
    tasks: Sequence[str] = (),
    formula: str = "",
) -> RankScorer:
    """The scorer of a ranker: its networks exported, each compared with its module on made-up inputs.

    Args:
        net: the ranker.
        feeds: inputs of its queries.
        items: ``[n, d]`` fields of the items, flat; a row with a NaN cannot be scored.
        told: ``[n, e]`` what is told of items where a feed says ``vectors``; None: nothing.
        alone: whether somebody without a history may be answered from what else is known.
        item_feeds: features from which items that come later get their fields; none: such items cannot be scored.
        passed: those of the fields of a query and an item together that count the item in a bag of that name.
        foretells: what makes ``[b, t]`` of the scores of several tasks; None: there is one score.
        tasks: the names of what it makes.
        formula: how one score is made of them.

    Raises:
        SerendipError: as `serendip.nn.export.to_onnx`; or what was given does not fit together.
    """
    later = NewFields(net.items) if item_feeds else None
    pairs = () if net.pairs is None else net.pairs.inputs
    both = tuple(Feed(one.name, "passed") if one.name in passed else Feed.feature(one) for one in pairs)
    parts: dict[str, Any] = {"told": told, "alone": alone, "item": later, "item_feeds": item_feeds, "pair_feeds": both}
    if foretells is not None:
        parts |= {"kind": TaskScorer, "tasks": tuple(tasks), "formula": formula}
    return lower_pairs(AskedFields(net), Scores(net, foretells), feeds, items, **parts)


def lower_pairs(
    query: nn.Module,
    pairs: nn.Module,
    feeds: Sequence[Feed],
    items: Rows,
    *,
    told: Rows | None = None,
    tied: bool = False,
    alone: bool = False,
    item: nn.Module | None = None,
    item_feeds: Sequence[Feed] = (),
    pair_feeds: Sequence[Feed] = (),
    kind: type[RankScorer] = RankScorer,
    **more: Any,
) -> RankScorer:
    """The scorer of a network that reads a query and one that reads what it gives beside an item.

    Args:
        query: from a mapping of tensors, named by ``feeds``, to ``[b, e]``.
        pairs: from ``query`` ``[q, e]``, ``item`` ``[b, d]``, ``row`` ``[b]`` which query asks about each, and what is
            named by ``pair_feeds``, ``[b, …]``, to a mapping with ``score``.
        feeds, items, told, tied, alone: as of `lower_towers`.
        item: for items that come later, from features to ``[b, d]``, or to a mapping as of `lower_towers`; None: such
            items cannot be scored.
        item_feeds: its inputs.
        pair_feeds: what is known of a query and an item together.
        kind: of the scorer.
        more: what it has besides.

    Raises:
        SerendipError: as `serendip.nn.export.to_onnx`; or what was given does not fit together.
    """
    table = _whole(_array(items))
    said = np.empty((len(table), 0), np.float32) if told is None else _whole(_array(told))
    known = Items(~np.isnan((said if said.shape[1] else table)[:, 0]), table if tied else said)
    made_up = _tensors(of_queries(_queries(feeds, known), feeds, known)[0])
    network, rng = to_onnx(query, made_up, [VECTOR]), np.random.default_rng(0)
    told_of = Network("the exported network", np.frombuffer(network, np.uint8))
    asking = told_of.run({name: value.numpy() for name, value in made_up.items()}, EXAMPLES, chunk=EXAMPLES)[VECTOR]
    fed = {QUERY: _alike(asking, ASKING, rng), ITEM: _alike(table, EXAMPLES, rng), **_features(pair_feeds, rng)}
    given = _tensors({name: value.astype(np.float32) for name, value in fed.items()})
    given[ROW] = torch.arange(EXAMPLES) * ASKING // EXAMPLES
    if isinstance(pairs, Scores):
        _require_shares(pairs, given)
    made = to_onnx(pairs, given, [SCORE], fewer=[QUERY])
    outputs = [VECTOR, *([TOLD] if said.shape[1] and not isinstance(item, NewFields) else [])]
    later = b"" if item is None else to_onnx(item, _tensors(_features(item_feeds, rng)), outputs)
    return kind(
        query=np.frombuffer(network, np.uint8),
        feeds=tuple(feeds),
        items=table,
        told=said,
        tied=tied,
        alone=alone,
        item=np.frombuffer(later, np.uint8),
        item_feeds=tuple(item_feeds),
        ranker=np.frombuffer(made, np.uint8),
        pair_feeds=tuple(pair_feeds),
        **more,
    )


@torch.no_grad()
def _require_shares(pairs: Scores, inputs: Mapping[str, Tensor]) -> None:
    """That what is worked out once for a query and what is for each item add up to what is made of the whole.

    Raises:
        SerendipError: they do not.
    """
    given = pairs.sides({name: value.to(pairs.ranker.bias.device) for name, value in inputs.items()})
    fields = given.each(Tensor.double)  # so that what differs is no rounding, however large the numbers are
    for part in pairs.ranker.parts:
        twin = copy.deepcopy(part).double().eval()
        found, wanted = asked(twin, fields), twin(fields.whole)
        if not torch.allclose(found, wanted, rtol=TOLERANCE, atol=TOLERANCE):
            raise SerendipError(
                f"What {type(part).__name__} makes of a query's fields once, and of the items' for each, must be what "
                f"it makes of all fields together. It differs by {float((found - wanted).abs().max()):.3g}. "
                "Try a part that is not sided, as of serendip.nn.sides."
            )


def _alike(rows: Floats, count: int, rng: np.random.Generator) -> Floats:
    """``[count, d]`` made-up rows whose numbers differ as much as those of some of ``[n, d]`` do."""
    own = rows[:: max(1, len(rows) // 1024)]
    own = own[np.isfinite(own)]
    size = float(own.std()) if own.size else 0.0
    return rng.normal(scale=size or 1.0, size=(count, rows.shape[1])).astype(np.float32)


def _queries(feeds: Sequence[Feed], items: Items) -> Queries:
    """Made-up queries with all that the feeds take: histories of many lengths, and things missing in the last."""
    rng = np.random.default_rng(0)
    history = np.empty((EXAMPLES, 0), np.int32)
    bags: dict[str, NDArray[Any]] = {}
    for feed in feeds:
        if feed.of in ("history", "bag"):
            codes = np.arange(len(items.known) if feed.size is None else feed.size)
            if feed.vectors or feed.of == "history":
                codes = codes[codes < len(items.known)]
                codes = codes[items.known[codes]]
            made = _events(codes, feed.width, rng)
            history = made if feed.of == "history" else history
            bags |= {} if feed.of == "history" else {feed.name: made}
    for feed in feeds:
        if feed.of == "aligned":
            bags[feed.name] = _values(feed.size, history.shape, rng)
    features = _features([feed for feed in feeds if feed.of == "feature"], rng)
    return Queries(np.full(EXAMPLES, ABSENT, np.int32), history, bags, features)


def _events(codes: NDArray[np.int64], width: int, rng: np.random.Generator) -> NDArray[np.int32]:
    lengths = np.linspace(width, 1, EXAMPLES).astype(int) if len(codes) else np.zeros(EXAMPLES, int)
    drawn = rng.choice(codes, (EXAMPLES, width)) if len(codes) else np.zeros((EXAMPLES, width), int)
    return np.where(np.arange(width) >= width - lengths[:, None], drawn, ABSENT).astype(np.int32)


def _features(feeds: Sequence[Feed], rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    out = {}
    for feed in feeds:
        values = _values(feed.size, (EXAMPLES, feed.width) if feed.width else (EXAMPLES,), rng)
        values[-1] = ABSENT if feed.size is not None else np.nan
        out[feed.name] = plain(feed, values, EXAMPLES)
    return out


def _values(size: int | None, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[Any]:
    """Numbers, or codes of which some are missing."""
    return rng.normal(size=shape).astype(np.float32) if size is None else rng.integers(ABSENT, size, shape)


def _tensors(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in arrays.items()}


def _array(rows: Rows) -> Floats:
    array = rows.detach().float().cpu().numpy() if isinstance(rows, Tensor) else rows
    return np.asarray(array, np.float32)


def _whole(rows: Floats) -> Floats:
    """With NaN in the whole of each row that has a NaN or an infinity."""
    out: Floats = rows.copy()
    out[~np.isfinite(rows).all(axis=1)] = np.nan
    return out


__all__ = ["lower_pairs", "lower_ranker", "lower_towers"]
