"""`VectorIndex`: search by inner product that may be approximate, with filters inside and changes on top."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.index.chosen import Bits, about, best_of, bit_of, count_of, excluded, listed, merged
from serendip.index.engine import Engine
from serendip.index.exact import Exact
from serendip.index.stats import Stats
from serendip.index.tuning import Point
from serendip.types import ABSENT, Floats, Ids, Recs, SerendipError, pack_mask

STALE = 0.05
"""Share of the vectors that may have changed before `VectorIndex.stale` says that it pays to build anew."""
LEAST = 4096
"""As many may have changed in any case."""
MOST = 1 << 31
"""Items at most: codes are 32 bits."""
NEAR = 1.05
"""A share of allowed items up to so many times smaller than one that was tried takes its effort."""


@dataclass(frozen=True, eq=False)
class VectorIndex:
    """Finds the vectors with the highest inner product among the allowed ones; a value that never changes.

    What was built stays as it is. Vectors that came later are looked at one by one, so they are found exactly; what was
    deleted or replaced is left out while searching. `upsert` and `delete` give a new value that shares the rest with
    this one, so whoever searches meanwhile is not disturbed. Made by `serendip.index.build`.

    Attributes:
        exact: over the vectors it was built from.
        engine: finds most of them faster; None: exact search is fast enough.
        stats: what it is, and how it does.
        n: item codes are below it.
        dead: bits ``[ceil(n/8)]`` of the items whose vector in the table is not to be found, or None.
        fresh: codes of the vectors that came later, ascending.
        late: those vectors.
        lacking: why there is no engine although one was built: its library is not installed here.
        kept: the arrays of that engine.
    """

    exact: Exact
    engine: Engine | None
    stats: Stats
    n: int
    dead: Bits | None
    fresh: Ids
    late: Floats
    lacking: str = ""
    kept: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.n

    @property
    def dimensions(self) -> int:
        """``d``."""
        return self.exact.dimensions

    @property
    def changed(self) -> int:
        """How many vectors came, went or were replaced since it was built."""
        return len(self.fresh) + (0 if self.dead is None else count_of(self.dead) - self._unknown)

    @property
    def stale(self) -> bool:
        """Whether so much has changed that it pays to build it anew."""
        return self.changed > max(LEAST, STALE * len(self.exact))

    def search(
        self, vectors: Floats, k: int, exclude: Ids | None = None, allow: NDArray[np.uint8] | None = None
    ) -> Recs:
        """The k best allowed items per query vector: never an excluded one, and always k where k are allowed.

        Where few items are allowed, those are looked at one by one; where an approximate search finds fewer than k,
        it is done again exactly. A query with a NaN gets an empty list.

        Shapes:
            vectors ``[q, d]`` float32; exclude ``[q, e]`` codes, of which `ABSENT` and codes not in the index exclude
            nothing; allow ``[1 | q, ceil(n/8)]`` bits; the lists are ``[q, k]``.

        Raises:
            SerendipError: vectors of another size or type, k below 1, masks that do not fit.
        """
        self._check(vectors, k, exclude, allow)
        q = len(vectors)
        if q == 0:
            return Recs.empty(0, k)
        if allow is not None and len(allow) > 1:  # a mask for each: what is allowed decides how each is searched
            parts = [
                self._search(vectors[row : row + 1], k, None if exclude is None else exclude[row : row + 1], allow[row])
                for row in range(q)
            ]
            return Recs(np.concatenate([one.items for one in parts]), np.concatenate([one.scores for one in parts]))
        return self._search(vectors, k, exclude, None if allow is None else allow[0])

    def upsert(self, codes: Ids, vectors: Floats, n: int | None = None) -> VectorIndex:
        """An index in which these items have these vectors.

        Args:
            codes: ``[m]``, each once.
            vectors: ``[m, d]`` float32, finite.
            n: codes are below it from now on, those without a vector included; None: as far as ``codes`` reach, of
                which those that are new then follow without a gap.

        Raises:
            SerendipError: a code twice or out of bounds, vectors of another size, or numbers that are not finite.
        """
        codes, vectors = np.asarray(codes), np.asarray(vectors)
        self._check_codes(codes)
        if vectors.dtype != np.float32 or vectors.shape != (len(codes), self.dimensions):
            raise SerendipError(
                f"vectors must be float32 [{len(codes)}, {self.dimensions}], one for each code. "
                f"Got {vectors.dtype} {list(vectors.shape)} instead."
            )
        if not np.isfinite(vectors).all():
            odd = codes[~np.isfinite(vectors).all(axis=1)]
            raise SerendipError(
                f"vectors must be finite. Got NaN or infinity for the items {odd[:5].tolist()} instead."
            )
        new = np.sort(codes[codes >= self.n])
        if n is None and len(new) and not np.array_equal(new, np.arange(self.n, self.n + len(new))):
            raise SerendipError(f"New codes must follow {self.n - 1} without a gap. Got {new[:5].tolist()} instead.")
        least = max(self.n, int(new[-1]) + 1 if len(new) else 0)
        n = least if n is None else n
        if not least <= n <= MOST:
            raise SerendipError(f"n must be {least} or more, and at most {MOST}. Got {n} instead.")
        keep = ~np.isin(self.fresh, codes)
        every = np.concatenate([self.fresh[keep], codes.astype(np.int32)])
        order = np.argsort(every)
        late = np.concatenate([self.late[keep], vectors])[order]
        return replace(self, n=n, dead=self._killed(codes, n), fresh=every[order], late=late)

    def delete(self, codes: Ids) -> VectorIndex:
        """An index without these items.

        Raises:
            SerendipError: a code twice, or one that is not in the index.
        """
        codes = np.asarray(codes)
        self._check_codes(codes)
        unknown = codes[~self.holds(codes)]
        if len(unknown):
            raise SerendipError(f"Items must be in the index to be deleted. Got {unknown[:5].tolist()}, which are not.")
        keep = ~np.isin(self.fresh, codes)
        return replace(self, dead=self._killed(codes, self.n), fresh=self.fresh[keep], late=self.late[keep])

    def holds(self, codes: Ids) -> NDArray[np.bool_]:
        """Which of the codes have a vector that can be found."""
        codes = np.asarray(codes)
        known = (codes >= 0) & (codes < len(self.exact))
        if self.dead is not None and len(self.exact):
            at = np.where(known, codes, 0)
            known &= ~bit_of(self.dead[None], at, at)
        return np.asarray(known | np.isin(codes, self.fresh))

    def of(self, codes: Ids) -> Floats:
        """``[m, d]`` the vectors of items, NaN for those that are not in the index."""
        codes = np.asarray(codes, np.int32)
        out = np.full((len(codes), self.dimensions), np.nan, np.float32)
        late = np.isin(codes, self.fresh)
        built = self.holds(codes) & ~late
        out[built] = self.exact.vectors[codes[built]]
        out[late] = self.late[np.searchsorted(self.fresh, codes[late])]
        return out

    def vectors(self) -> Floats:
        """``[n, d]`` all vectors, NaN for items that are not in the index: what to build anew from."""
        return self.of(np.arange(self.n, dtype=np.int32))

    def pack(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a header in JSON values that `serendip.index.unpack` takes beside the vectors.

        Only what was built, that is: changes are in `serendip.catalogue`.
        """
        arrays = dict(self.kept) if self.engine is None else self.engine.pack()
        return arrays, cast("dict[str, Any]", msgspec.to_builtins(self.stats))

    def _search(self, vectors: Floats, k: int, exclude: Ids | None, bits: Bits | None) -> Recs:
        """As `search`, of queries that are all allowed the same."""
        base, live = len(self.exact), self._live(bits)
        found = self._found(vectors, k, exclude, live) if base else Recs.empty(len(vectors), k)
        if len(self.fresh):
            found = merged(found, self._late(vectors, k, exclude, bits), k)
        return found

    def _found(self, vectors: Floats, k: int, exclude: Ids | None, live: Bits | None) -> Recs:
        """Among the vectors it was built from."""
        base = len(self.exact)
        count = base if live is None else min(base, about(live))
        point = self._point(count / base)
        if self.engine is None or point is None or count <= k:
            return self.exact.search(vectors, k, exclude, None if live is None else live[None], count)
        more = 0 if exclude is None else int((exclude >= 0).sum(axis=1).max(initial=0))
        wanted = min(k + more, base)
        effort: Mapping[str, int] = point.effort
        if "looked_up" in effort and wanted > self.stats.asked.k:
            effort = {**effort, "looked_up": math.ceil(effort["looked_up"] * wanted / self.stats.asked.k)}
        known = _known(vectors)
        queries = vectors if known is None else np.where(known[:, None], vectors, np.float32(0))
        found = self.engine.find(queries, wanted, effort, live, count / base)
        if more and exclude is not None:
            found = found.without(exclude).top(k)
        missing = found.items[:, -1] == ABSENT
        if missing.any():
            short = np.flatnonzero(missing if known is None else missing & known)
            again = None if exclude is None else exclude[short]
            whole = self.exact.search(vectors[short], k, again, None if live is None else live[None])
            found.items[short], found.scores[short] = whole.items, whole.scores
        if known is not None:
            found.items[~known], found.scores[~known] = ABSENT, -np.inf
        return found

    def _late(self, vectors: Floats, k: int, exclude: Ids | None, bits: Bits | None) -> Recs:
        """Among those that came later."""
        known = _known(vectors)
        with np.errstate(over="ignore", invalid="ignore"):
            scores = vectors @ self.late.T  # NaN where the query is
        may = scores > -np.inf
        if known is not None:
            may &= known[:, None]
        if bits is not None:
            may = may & bit_of(bits[None], self.fresh, self.fresh)
        row, at = np.nonzero(may)
        if exclude is not None and exclude.size:
            keep = ~excluded(np.sort(exclude, axis=1), row, self.fresh[at])
            row, at = row[keep], at[keep]
        return listed(len(vectors), k, *best_of(row, self.fresh[at], scores[row, at], k))

    def _point(self, share: float) -> Point | None:
        """How hard to look: as at the next lower share that was tried, or nearly so; None: exactly."""
        return next((point for point in self.stats.curve if point.share <= NEAR * share), None)  # shares descend

    def _live(self, bits: Bits | None) -> Bits | None:
        """Bits of the vectors it was built from that may be found; None: all."""
        if bits is None:
            return self._alive
        part = bits[: (len(self.exact) + 7) // 8]
        return part if self._alive is None else part & self._alive

    @cached_property
    def _alive(self) -> Bits | None:
        if self.dead is None and self.n == len(self.exact):
            return None
        alive = pack_mask(np.ones(len(self.exact), bool))[0]
        return alive if self.dead is None else np.asarray(alive & ~self.dead[: len(alive)])

    @cached_property
    def _unknown(self) -> int:
        return int((~self.exact.known).sum())

    def _killed(self, codes: Ids, n: int) -> Bits | None:
        """The dead, and those of the codes that have a vector in the table."""
        old = codes[codes < len(self.exact)]
        if self.dead is None and not len(old):
            return None
        width = (n + 7) // 8
        dead = np.zeros(width, np.uint8)
        if self.dead is not None:
            dead[: len(self.dead)] = self.dead
        np.bitwise_or.at(dead, old >> 3, (1 << (old & 7)).astype(np.uint8))
        return dead

    def _check(self, vectors: Floats, k: int, exclude: Ids | None, allow: Bits | None) -> None:
        if not isinstance(vectors, np.ndarray) or vectors.dtype != np.float32 or vectors.ndim != 2:
            came = (
                f"{vectors.dtype} {list(vectors.shape)}" if isinstance(vectors, np.ndarray) else type(vectors).__name__
            )
            raise SerendipError(f"query vectors must be float32 [q, {self.dimensions}]. Got {came} instead.")
        q = len(vectors)
        if vectors.shape[1] != self.dimensions:
            came = f"Got {vectors.shape[1]} instead."
            raise SerendipError(f"query vectors must have the {self.dimensions} dimensions of the index. {came}")
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise SerendipError(f"k must be a whole number, 1 or more. Got {k!r} instead.")
        if exclude is not None and (exclude.ndim != 2 or len(exclude) != q):
            raise SerendipError(f"exclude must be [{q}, e] item codes. Got an array of shape {exclude.shape} instead.")
        width = (self.n + 7) // 8
        if allow is not None and (allow.ndim != 2 or len(allow) not in (1, q) or allow.shape[1] != width):
            came = f"Got shape {allow.shape} instead."
            raise SerendipError(f"allow must be [1, {width}] or [{q}, {width}] bits for {self.n} items. {came}")

    def _check_codes(self, codes: NDArray[Any]) -> None:
        if codes.ndim != 1 or codes.dtype.kind not in "iu":
            raise SerendipError(
                f"codes must be a vector of whole numbers. Got {codes.dtype} {list(codes.shape)} instead."
            )
        values, counts = np.unique(codes, return_counts=True)
        if (counts > 1).any():
            raise SerendipError(f"Every code must be given once. Got {values[counts > 1][:5].tolist()} twice or more.")
        if len(values) and (int(values[0]) < 0 or int(values[-1]) >= MOST):
            raise SerendipError(f"codes must be in 0 … {MOST - 1}. Got {int(values[0])} to {int(values[-1])} instead.")


def _known(vectors: Floats) -> NDArray[np.bool_] | None:
    """``[q]`` which of the vectors have no NaN; None: none has."""
    with np.errstate(over="ignore"):
        some = np.isnan(np.vdot(vectors, vectors))  # quicker than to look at each: no square is below 0
    return np.asarray(~np.isnan(vectors).any(axis=1)) if some else None


def fresh_index(exact: Exact, engine: Engine | None, stats: Stats) -> VectorIndex:
    """An index to which nothing has happened yet."""
    dead = None if exact.known.all() else pack_mask(~exact.known)[0]
    nothing = np.empty(0, np.int32), np.empty((0, exact.dimensions), np.float32)
    return VectorIndex(exact, engine, stats, len(exact), dead, *nothing)
