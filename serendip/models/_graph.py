"""What the models on the graph of who took up what share: options, batches and losses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.data.sample import Negatives, Taken, shuffled
from serendip.models._sound import sound
from serendip.models._spectrum import eigenpairs, times
from serendip.neural import NeuralConfig
from serendip.types import SerendipError

if TYPE_CHECKING:
    from torch import Tensor

    from serendip.nn.graph import GraphEmbedding

Codes = NDArray[np.int64]

COPIES = 6
"""Numbers held for each that is learned: itself, its gradient, two moments of Adam's, and before and after a step
along the edges."""


class GraphConfig(NeuralConfig, frozen=True):
    """Options that the models on a graph share."""

    epochs: Annotated[int, msgspec.Meta(ge=1, description="How often training goes through the log, at most.")] = 20
    batch_size: Annotated[int, msgspec.Meta(ge=1, description="How many pairs a step learns from, about.")] = 8192
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=10, description="Size of Adam's steps.")] = 0.01
    factors: Annotated[int, msgspec.Meta(ge=1, le=4096, description="d: dimensions of the vectors.")] = 64
    layers: Annotated[int, msgspec.Meta(ge=1, le=8, description="L: steps along the edges of the graph.")] = 3
    loss: Annotated[
        Literal["sampled_softmax", "bpr"],
        msgspec.Meta(description="What is made small: sampled_softmax (on cosines), or bpr as published."),
    ] = "sampled_softmax"
    negatives: Annotated[
        int,
        msgspec.Meta(ge=1, description="Items that stand for all others in each step of sampled_softmax; bpr takes 1."),
    ] = 4096
    popularity: Annotated[
        float,
        msgspec.Meta(ge=0, le=2, description="β: negatives are drawn in proportion to their number of users to the β."),
    ] = 0.5
    user_power: Annotated[
        float, msgspec.Meta(ge=0, le=2, description="g: larger lets a user with many events say less (softmax only).")
    ] = 0.5
    output_power: Annotated[
        float, msgspec.Meta(ge=0, le=2, description="d: larger lifts popular items in lists (softmax only).")
    ] = 0.5
    temperature: Annotated[
        float, msgspec.Meta(ge=0.01, le=10, description="τ: by which cosines are divided in sampled_softmax.")
    ] = 0.13
    init: Annotated[
        Literal["svd", "normal"],
        msgspec.Meta(
            description="First vectors: svd (leading singular vectors of the graph) or normal (deviation 0.1)."
        ),
    ] = "svd"
    reg: Annotated[
        float, msgspec.Meta(ge=0, le=1, description="λ: how strongly the first vectors are held towards 0 in bpr.")
    ] = 1e-4


def start(net: GraphEmbedding, config: GraphConfig) -> None:
    """Let the vectors begin with the singular vectors of the graph times the roots of their values, at deviation 0.1.

    Where there are fewer than ``factors`` the other dimensions stay as they are.
    """
    import torch

    if config.init == "normal":
        return
    threads = torch.get_num_threads()
    graph = net.graph.to_users
    values, vectors = eigenpairs(graph, config.factors, torch.initial_seed() % (1 << 32), threads)
    root = values**0.25
    sides = (times(graph, vectors, threads) / root, vectors * root)
    scale = 0.1 / max(1e-6, float(np.sqrt(np.mean(np.concatenate(sides) ** 2)))) if len(values) else 1.0
    with torch.no_grad():
        for side, found in zip((net.users, net.items), sides, strict=True):
            side[:, : len(values)] = torch.from_numpy((scale * found).astype(np.float32))


def settle(net: GraphEmbedding, users: NDArray[np.bool_], items: NDArray[np.bool_]) -> None:
    """Give new users and items the vectors that one step along the graph makes of those of their known neighbours.

    Who has none keeps what there is.
    """
    import torch

    new = torch.from_numpy(users).to(net.users.device), torch.from_numpy(items).to(net.items.device)
    with torch.no_grad():
        known = (side * ~fresh[:, None] for side, fresh in zip((net.users, net.items), new, strict=True))
        for side, fresh, found in zip((net.users, net.items), new, net.graph.step(*known), strict=True):
            chosen = fresh & (found != 0).any(dim=1)
            side[chosen] = found[chosen]


@dataclass(frozen=True)
class Groups:
    """Some users with all that they took up.

    Attributes:
        users: ``[b]`` codes, rising.
        positives: ``[b, n]`` what each pair weighs.
        candidates: ``[k]`` items drawn from those that have an event.
    """

    users: Codes
    positives: csr_array
    candidates: Codes

    def __len__(self) -> int:
        """How many pairs."""
        return int(self.positives.nnz)


@dataclass(frozen=True)
class Triples:
    """Pairs and an item that the user did not take up, ``[m]`` each."""

    users: Codes
    items: Codes
    others: Codes

    def __len__(self) -> int:
        """How many there are."""
        return len(self.users)


Batch = Groups | Triples


def batches_of(matrix: csr_array, config: GraphConfig, rng: np.random.Generator) -> Iterator[Batch]:
    """The batches of an epoch, of the kind that the loss needs."""
    if config.loss == "bpr":
        return triples(matrix, config.batch_size, rng)
    counts = np.diff(matrix.indptr)
    weight = np.repeat(np.maximum(counts, 1) ** -config.user_power, counts).astype(np.float32)
    weighed = csr_array((weight, matrix.indices, matrix.indptr), shape=matrix.shape)
    return groups(weighed, config.batch_size, config.negatives, config.popularity, rng)


def groups(
    matrix: csr_array, size: int, negatives: int, popularity: float, rng: np.random.Generator
) -> Iterator[Groups]:
    """Every user with an event once, in random order, so many at a time that their pairs come to about ``size``."""
    if not matrix.nnz:
        return
    counts = np.diff(matrix.indptr)
    degrees = np.bincount(matrix.indices, minlength=matrix.shape[1])
    drawn_from = Negatives.of(degrees, popularity)
    order = rng.permutation(np.flatnonzero(counts))
    cuts = np.searchsorted(np.cumsum(counts[order]), np.arange(size, matrix.nnz, size))
    for part in np.split(order, np.unique(cuts[cuts > 0])):
        if len(part):
            users = np.sort(part)
            yield Groups(users, csr_array(matrix[users]), drawn_from.draw(rng, negatives))


def triples(matrix: csr_array, size: int, rng: np.random.Generator) -> Iterator[Triples]:
    """Every pair once, in random order, ``size`` at a time, each with an item drawn until it is none of the user's."""
    if not matrix.nnz:
        return
    users = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    taken, drawn_from = Taken.of(matrix), Negatives.of(np.bincount(matrix.indices, minlength=matrix.shape[1]))
    for rows in shuffled(len(users), size, rng):
        others = drawn_from.apart(rng, users[rows], 1, taken)[:, 0]
        yield Triples(users[rows], matrix.indices[rows].astype(np.int64), others)


def loss_of(
    batch: Batch, asked: Tensor, items: Tensor, first: tuple[Tensor, Tensor], config: GraphConfig
) -> Mapping[str, Tensor]:
    """The parts of the loss.

    Args:
        batch: of the kind of ``config.loss``.
        asked: the vectors that the graph made of the batch's users, ``[b, d]``.
        items: those of all items.
        first: those that are learned, which bpr holds towards 0.
        config: the options.
    """
    import torch
    from torch.nn.functional import normalize

    from serendip.nn.losses import bpr, shared_softmax

    asked, items = asked.float(), items.float()
    if isinstance(batch, Groups):
        sides = normalize(asked, dim=1), normalize(items, dim=1)
        return {"softmax": shared_softmax(*sides, batch.positives, batch.candidates, config.temperature)}
    who, liked, other = asked, rows(batch.items, items), rows(batch.others, items)
    parts = {"bpr": bpr((who * liked).sum(dim=1), (who * other).sum(dim=1))}
    if config.reg > 0:
        sizes = (rows(batch.users, first[0]), rows(batch.items, first[1]), rows(batch.others, first[1]))
        parts["reg"] = config.reg / 2 * torch.stack([part.square().sum() for part in sizes]).sum() / len(who)
    return parts


def rows(codes: Codes, vectors: Tensor) -> Tensor:
    """The vectors of these codes."""
    import torch
    from torch.nn.functional import embedding

    return embedding(torch.from_numpy(codes).to(vectors.device), vectors)


def answer(matrix: csr_array, last: NDArray[np.float32], config: GraphConfig) -> dict[str, Any]:
    """What lists are ranked by, from the items' last vectors ``[n, d]``: ``right``, ``bias`` and ``scaled``.

    For sampled_softmax, which learned ``cos(u, i)/τ ≈ log p(i|u) − β log n_i`` with n_i the number of users of item i,
    that is ``cos(u, i) + τ d log n_i``; for bpr it is the inner product.

    Raises:
        SerendipError: a vector that is not finite.
    """
    degrees = np.bincount(matrix.indices, minlength=len(last))
    if not sound(last[degrees > 0]):
        raise SerendipError(
            f"learning_rate must be small enough for the vectors to stay finite. Got {config.learning_rate:g} instead. "
            "Try a tenth of it."
        )
    right, bias = last.astype(np.float32), np.zeros(len(last), np.float32)
    cosines = config.loss == "sampled_softmax"
    if cosines:
        right = right / np.maximum(np.linalg.norm(right, axis=1, keepdims=True), np.float32(1e-12))
        bias = (config.temperature * config.output_power * np.log(np.maximum(degrees, 1))).astype(np.float32)
    return {"right": np.where(degrees[:, None] > 0, right, np.float32(np.nan)), "bias": bias, "scaled": cosines}
