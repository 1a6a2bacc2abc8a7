"""Matrix factorisation whose users and items are the sums of what is known of them: ``score = z_u · v_j + b_j``.

``v_j = Σ_f x_jf v_f`` and ``b_j = Σ_f x_jf b_f`` over the features f of item j: the item itself, its categories, their
pairs, and its words (`serendip.models._features`). ``z_u = Σ_s a_us w_s + h_u + β mean_t h_t`` over the features s of
user u (columns of the users table, the user as such) and the users t that a relation such as trust names. The history H
of a user says ``h = |H|^−p Σ_{i∈H} y_i`` with ``y_i = Σ_f x_if y_f``, and is followed as it grows; for the loss of an
event of item i, i is left out of it. So an item needs no event to be recommended, and a user no history to be
answered, only features.

Losses are warp, bpr and logistic: see `serendip.kernels.hybrid`.

Source: M. Kula, "Metadata embeddings for user and item cold-start recommendations", CBRecSys 2015; J. Weston, S. Bengio
and N. Usunier, "WSABIE: scaling up to large vocabulary image annotation", IJCAI 2011 (warp); S. Rendle et al., "BPR:
Bayesian personalized ranking from implicit feedback", UAI 2009; S. Kabbur, X. Ning and G. Karypis, "FISM: factored item
similarity models for top-N recommender systems", KDD 2013 (histories).

Deviation: Kula's users have biases too, which do not change an order. Identities are left out of a share of the steps
(``dropout``), so that the other features learn to do without them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.data.features.terms import Terms
from serendip.model import Model, Run
from serendip.models._features import FeatureOptions, item_terms
from serendip.models._items import retold
from serendip.models._known import Normalize, learnt_of, related, rows_of, sums, user_attributes, user_values
from serendip.models._room import factors_fit
from serendip.models._sound import sound
from serendip.models.warp import rank_weights
from serendip.scorers import Summed
from serendip.scorers.feeds import Feed
from serendip.space import OneOf, Range, declare
from serendip.types import Floats, Scorer, SerendipError


class Options(FeatureOptions, frozen=True):
    """Options of `HybridMF`."""

    loss: Annotated[Literal["warp", "bpr", "logistic"], msgspec.Meta(description="What is made small.")] = "warp"
    factors: Annotated[int, msgspec.Meta(ge=1, le=4096, description="d: dimensions of the vectors.")] = 64
    epochs: Annotated[int, msgspec.Meta(ge=1, description="Passes over the events.")] = 15
    learning_rate: Annotated[float, msgspec.Meta(gt=0, description="γ: step size of Adagrad.")] = 0.07
    reg: Annotated[float, msgspec.Meta(ge=0, description="λ: how strongly vectors are held towards 0.")] = 0.001
    max_sampled: Annotated[
        int, msgspec.Meta(ge=1, le=10_000, description="Of warp: how many negatives are drawn for an event at most.")
    ] = 30
    stddev: Annotated[float, msgspec.Meta(gt=0, description="σ: the first vectors have deviation σ/√d.")] = 0.1
    history_power: Annotated[
        float, msgspec.Meta(ge=0, le=1, description="p: 0 adds up what the items of a history say, 1 takes the mean.")
    ] = 0.75
    item_identity: Annotated[bool, msgspec.Meta(description="Whether each item is a feature of its own.")] = True
    user_identity: Annotated[
        bool, msgspec.Meta(description="Whether each user is a feature of their own, beside their history.")
    ] = False
    dropout: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            lt=1,
            description="Share of the steps in which an identity, or a user's history, is left out: more for cold "
            "items and users, less for the others.",
        ),
    ] = 0.2
    combined: Annotated[bool, msgspec.Meta(description="Whether pairs of an item's categories are features.")] = True
    normalize: Annotated[
        Normalize,
        msgspec.Meta(description="Whether a row of features is made of length 1 (l2), of sum 1 (l1), or left."),
    ] = "l2"
    user_columns: Annotated[
        str,
        msgspec.Meta(
            description="What of the users table are features: auto (the declared features of users that are codes, "
            "which new users bring with their question; where there are none, all columns that users share), none, or "
            "names of columns separated by commas."
        ),
    ] = "auto"
    relation_names: Annotated[
        str,
        msgspec.Meta(
            description="Relations whose users are features: auto (all between users), none, or names separated by "
            "commas."
        ),
    ] = "auto"
    relation_weight: Annotated[
        float, msgspec.Meta(ge=0, le=10, description="β: weight of the users that a relation names, all together.")
    ] = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What is known.

    Attributes:
        log: ``[users, n]`` who took up what, as far as the items have features.
        items: ``[n, f]`` features of items.
        users: ``[users, s]`` features of users.
        near: ``[users, n]`` what the items of related users weigh.
        terms: what items are described by.
        described: ``[n, terms]`` by what each is.
        feeds: features of users that are read.
        values: ``[users, …]`` of each of them what the users have.
    """

    log: csr_array
    items: csr_array
    users: csr_array
    near: csr_array
    terms: Terms
    described: csr_array
    feeds: tuple[Feed, ...]
    values: list[csr_array]


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """Vectors of features, and beside them the sums of squares of their gradients, from 1 on.

    Attributes:
        items: ``[f, d + 1]``, biases last.
        history: ``[f, d]``.
        users: ``[s, d]``.
    """

    items: tuple[Floats, Floats]
    history: tuple[Floats, Floats]
    users: tuple[Floats, Floats]


class HybridMF(Model):
    """Factorisation of what is known of users and items."""

    Config = Options
    config: Options
    summary = (
        "Factorisation of categories, words, attributes and relations; answers for cold items and cold users, too."
    )
    source = (
        "Kula, CBRecSys 2015; Weston, Bengio and Usunier, IJCAI 2011; Rendle et al., UAI 2009; Kabbur et al., KDD 2013"
    )
    space = declare(
        loss=OneOf(("warp", "bpr", "logistic")),
        factors=Range(16, 256, log=True, whole=True),
        epochs=Range(3, 60, log=True, whole=True),
        learning_rate=Range(0.01, 0.2, log=True),
        reg=Range(1e-5, 0.1, log=True),
        history_power=Range(0.3, 1),
        item_identity=OneOf((True, False)),
        dropout=Range(0, 0.7),
        relation_weight=Range(0, 1),
    )

    def learn(self, data: Dataset, run: Run) -> Summed:
        """Descend.

        Raises:
            SerendipError: nothing is known of any item, a column or relation that does not exist, vectors that do not
                fit into memory, or steps that are too large.
        """
        rows = self._rows(data)
        features = 2 * rows.items.shape[1] + rows.users.shape[1]
        factors_fit(self.name, features + data.n_users + data.n_items, self.config.factors, 3)
        tables = _drawn(rows, self.config, np.random.default_rng(run.seed))

        def answer() -> Summed:
            return self._answer(rows, tables)

        self._descend(rows, tables, run, answer)
        return answer()

    def _rows(self, data: Dataset) -> Rows:
        options, matrix = self.config, data.matrix()
        taken = np.bincount(matrix.indices, minlength=data.n_items) > 0
        active = np.diff(matrix.indptr) > 0
        terms = item_terms(data, options, combined=options.combined)
        described = terms.rows(data.items)
        nobody = csr_array((data.n_items, data.n_items), dtype=np.float32)
        items = rows_of(taken, options.item_identity, [described], options.normalize, nobody)
        if not options.item_identity and taken.any() and items.nnz == 0:
            raise SerendipError(
                "hybrid_mf must have features of items where item_identity is false. Got none. Give an items table "
                "with categories, text or titles, or leave item_identity true."
            )
        matrix.data *= (np.diff(items.indptr) > 0)[matrix.indices]
        matrix.eliminate_zeros()
        circle = related(data, self.name, options.relation_names) * np.float32(options.relation_weight)
        circle.eliminate_zeros()
        inputs, values = user_values(data) if options.user_columns.strip() == "auto" else ([], [])
        attributes = values or user_attributes(data, self.name, options.user_columns)
        users = rows_of(active, options.user_identity, attributes, options.normalize, circle)
        size = np.diff(matrix.indptr)
        weights = np.repeat(np.maximum(size, 1).astype(np.float32) ** -options.history_power, size)
        near = csr_array(circle @ csr_array((weights, matrix.indices, matrix.indptr), shape=matrix.shape))
        near.sort_indices()
        return Rows(matrix, items, users, near, terms, described, tuple(map(Feed.feature, inputs)), values)

    def _answer(self, rows: Rows, tables: Tables) -> Summed:
        """What the vectors say as they stand."""
        items, history, users = (table[0] for table in (tables.items, tables.history, tables.users))
        if not sound(items, history, users):
            raise SerendipError(
                f"hybrid_mf: learning_rate must be small enough for the vectors to stay finite. Got "
                f"{self.config.learning_rate:g} instead. Try 0.05."
            )
        said, own = sums(rows.items, history), sums(rows.users, users)
        named = np.diff(rows.near.indptr) > 0
        own[named] = np.nan_to_num(own[named]) + (rows.near @ np.nan_to_num(said))[named]
        taken = np.bincount(rows.log.indices, minlength=len(said)) > 0
        both = np.concatenate([items, history], axis=1)
        return Summed(
            sums(rows.items, items),
            said,
            own,
            self.config.history_power,
            rows.terms.pack(),
            learnt_of(taken, [rows.described], both),
            self._beside(taken, rows.described),
            rows.feeds,
            learnt_of(np.diff(rows.log.indptr) > 0, rows.values, users) if rows.feeds else np.empty((0, 0), np.float32),
            self.config.normalize,
        )

    def _beside(self, taken: NDArray[np.bool_], described: csr_array) -> Floats:
        """``[n]`` what the terms of items weigh beside their identities, 0 where they have none."""
        whole = np.asarray(described.sum(axis=1)).ravel()
        weight = {"l2": 0.5**0.5, "l1": np.where(whole > 0, whole / (1 + whole), 0.5), "none": 1.0}
        has = taken & self.config.item_identity
        return np.where(has, weight[self.config.normalize], 0).astype(np.float32)

    def renew(self, known: Scorer, change: Change, run: Run) -> Scorer | None:
        """New events are read as they come, and items that are new or changed get vectors from what they are."""
        return retold(known, change)

    def _descend(self, rows: Rows, tables: Tables, run: Run, answer: Callable[[], Summed]) -> None:
        from serendip.kernels import hybrid

        options = self.config
        rng = np.random.default_rng([run.seed, 1])
        candidates = np.unique(rows.log.indices).astype(np.int32)
        weights = rank_weights(len(candidates), options.max_sampled)
        starts, columns, _ = _arrays(rows.log)
        users = np.flatnonzero(np.diff(starts) > 0)
        for done in range(options.epochs):
            hybrid.learn(
                hybrid.LOSSES.index(options.loss), rng.permutation(users), starts, columns,
                (*_arrays(rows.items), int(options.item_identity)), (*_arrays(rows.users), int(options.user_identity)),
                _arrays(rows.near), candidates, weights, options.history_power,
                options.dropout, np.float32(options.learning_rate), np.float32(options.reg), tables.items,
                tables.history, tables.users, np.zeros_like(tables.history[0]),
                rng.integers(1, 2**63, 1).astype(np.uint64),
            )  # fmt: skip
            run.report(done + 1, options.epochs, answer)


def _drawn(rows: Rows, options: Options, rng: np.random.Generator) -> Tables:
    """The first vectors; biases are 0."""
    d = options.factors

    def table(count: int, width: int) -> tuple[Floats, Floats]:
        numbers = rng.normal(0, options.stddev / d**0.5, (count, width)).astype(np.float32)
        return numbers, np.ones_like(numbers)

    f, s = rows.items.shape[1], rows.users.shape[1]
    tables = Tables(table(f, d + 1), table(f, d), table(s, d))
    tables.items[0][:, -1] = 0
    return tables


def _arrays(rows: csr_array) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    return rows.indptr.astype(np.int64), rows.indices.astype(np.int32), rows.data.astype(np.float32)
