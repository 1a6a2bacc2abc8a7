"""A Bayesian factorisation machine for ratings, by Gibbs sampling.

``η = w₀ + Σ_j w_j x_j + Σ_{j<l} (v_j · v_l) x_j x_l``

over the features x of a rating: the user, the item, the day; what the tables say of user and item; and, weighing
``|N|^-½`` each, the items that the user has events with and the users that have events with the item. With the
former it contains SVD++, with the day SVD with dates.

- regression: ``r ~ N(η, 1/α)``.
- ordered_probit: a latent ``z ~ N(η, 1)`` shows as the level of rating between whose cuts it lies,
  ``P(r ≤ level_l) = Φ(γ_l − η)``; the prediction is the expected rating.

``w_j`` and each ``v_jf`` have normal priors, whose mean and precision each group of features (users, items, genres …)
has for itself; those are drawn too. Ratings are averaged over draws of everything, so that nothing needs to be tuned
but the number of factors.

Source: C. Freudenthaler, L. Schmidt-Thieme and S. Rendle, "Bayesian factorization machines", 2011, and S. Rendle,
"Factorization machines with libFM", ACM TIST 3, 2012 (sampler, hyper-priors); S. Rendle, "Scaling factorization
machines to relational data", VLDB 2013 (blocks); J. H. Albert and S. Chib, "Bayesian analysis of binary and
polychotomous response data", JASA 88, 1993 (latent values) and Biometrics 57, 2001 (cuts); features as in S. Rendle,
L. Zhang and Y. Koren, "On the difficulty of evaluating baselines", 2019.

Deviations: ratings are centred and scaled before the regression, so that its priors suit any scale. Draws of several
chains are averaged; ``samples`` of them are kept, evenly spaced. Predictions are clipped to the range of the training
ratings.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.kernels import memory
from serendip.model import Config, Model, Run
from serendip.models._blocks import DAY, Block, attribute, chosen_columns, one_each, sets
from serendip.models._chain import Chain, Part
from serendip.models._cuts import Cuts
from serendip.models._rated import Ratings, ratings_of
from serendip.models.baseline import by_turns
from serendip.scorers import PosteriorFactors
from serendip.space import OneOf, Range, declare
from serendip.types import Floats, SerendipError

MOST_LEVELS = 50
FEW_LEVELS = 12

Columns = Annotated[
    str,
    msgspec.Meta(
        description="Columns of the table that describe each row: names separated by commas, none, or auto (all that "
        "rows share values of)."
    ),
]


class Options(Config, frozen=True):
    """Options of `BayesianFM`."""

    factors: Annotated[int, msgspec.Meta(ge=1, le=1024, description="d: dimensions of the vectors.")] = 10
    iterations: Annotated[int, msgspec.Meta(ge=1, description="Sweeps of a chain whose draws count.")] = 200
    burn_in: Annotated[int, msgspec.Meta(ge=0, description="Sweeps of a chain before those, which do not count.")] = 20
    chains: Annotated[
        int, msgspec.Meta(ge=1, description="Independent runs, a thread each; their draws are averaged together.")
    ] = 2
    samples: Annotated[
        int, msgspec.Meta(ge=1, description="Draws that are kept, over all chains; each is as large as a model.")
    ] = 100
    likelihood: Annotated[
        Literal["auto", "regression", "ordered_probit"],
        msgspec.Meta(description=f"Auto: ordered_probit for at most {FEW_LEVELS} distinct ratings, else regression."),
    ] = "auto"
    user_columns: Columns = "auto"
    item_columns: Columns = "auto"
    implicit: Annotated[
        Literal["both", "users", "items", "none"],
        msgspec.Meta(description="Whose sets are features: what users rated, who rated items, both, or none."),
    ] = "both"
    dates: Annotated[bool, msgspec.Meta(description="Whether the day of a rating is a feature, where it is known.")] = (
        True
    )
    stddev: Annotated[float, msgspec.Meta(gt=0, description="Deviation of the first factors.")] = 0.1


class BayesianFM(Model):
    """Factorisation machine with side information, sampled."""

    Config = Options
    config: Options
    summary = "Predicts ratings by a sampled factorisation machine with side information; the most accurate, no tuning."
    source = "Rendle, ACM TIST 2012; Freudenthaler et al., 2011; Rendle, VLDB 2013; Albert and Chib, JASA 1993"
    predicts_ratings = True
    space = declare(
        factors=Range(2, 64, log=True, whole=True),
        implicit=OneOf(("both", "users", "items", "none")),
        dates=OneOf((True, False)),
    )

    def learn(self, data: Dataset, run: Run) -> PosteriorFactors:
        """Draw.

        Raises:
            SerendipError: the log has no ratings, or too many distinct ones for the ordered probit; a column that is
                not in the table; or draws that do not fit into memory.
        """
        from serendip.kernels import pool

        options, ratings = self.config, ratings_of(data, self.name)
        levels = np.unique(ratings.values)
        ordered = _ordered(options.likelihood, len(levels), self.name)
        blocks, days = self._blocks(data, ratings)
        kept = min(options.iterations, -(-options.samples // options.chains))
        shapes = [(options.chains * kept, block.features.shape[0] + 1, options.factors + 1) for block in blocks]
        needed = sum(4 * int(np.prod(shape)) for shape in shapes)
        memory.require(f"{self.name}: the draws kept need", needed, "fewer samples or factors")
        draws = Draws(
            tuple(np.empty(shape, np.float32) for shape in shapes),
            np.zeros(options.chains * kept, np.float32),
            np.zeros((options.chains * kept, len(levels) - 1 if ordered else 0)),
        )
        scale = float(ratings.values.std(dtype=np.float64)) or 1.0
        level = np.searchsorted(levels, ratings.values).astype(np.int32) if ordered else None
        target = (ratings.values.astype(np.float64) - ratings.mean) / scale
        progress = _Progress(run, options.chains * (options.burn_in + options.iterations))

        def task(start: int, stop: int) -> None:
            for number in range(start, stop):
                rng = np.random.default_rng([run.seed, number])
                part = draws.part(slice(number * kept, (number + 1) * kept))
                _run_chain(options, blocks, target.copy(), level, part, rng, progress)

        pool.rows(task, options.chains, chunk=1, threads=run.threads)
        dates = draws.tables[2] if len(days) else np.zeros((len(draws.offset), 1, options.factors + 1), np.float32)
        user, item = self._biases(ratings, blocks)
        users, items = draws.tables[:2]
        return PosteriorFactors(
            ratings.mean, user, item, ratings.low, ratings.high, users, items, dates, days, draws.offset,
            _ascending(draws.cuts), levels if ordered else levels[:0], ratings.mean, scale,
        )  # fmt: skip

    def _blocks(self, data: Dataset, ratings: Ratings) -> tuple[list[Block], NDArray[np.int64]]:
        """The blocks of users, items and, where days are features, days; and the days."""
        options, events = self.config, data.events
        shape = (data.n_users, data.n_items)
        by_user = [("user", one_each(shape[0]))]
        by_item = [("item", one_each(shape[1]))]
        if options.implicit in ("both", "users"):
            by_user.append(("rated", sets(events.users, events.items, shape)))
        if options.implicit in ("both", "items"):
            by_item.append(("raters", sets(events.items, events.users, shape[::-1])))
        schema = data.schema
        titles = () if schema.title is None else (schema.title,)
        for name in chosen_columns(self.name, "user_columns", options.user_columns, data.users, ()):
            by_user.append((name, attribute(data.users[name], False)))
        for name in chosen_columns(
            self.name, "item_columns", options.item_columns, data.items, (*titles, *schema.text)
        ):
            by_item.append((name, attribute(data.items[name], name in schema.categories)))
        blocks = [Block.of(ratings.users, by_user), Block.of(ratings.items, by_item)]
        days = np.empty(0, np.int64)
        if options.dates and ratings.time is not None:
            days, day = np.unique(ratings.time // DAY, return_inverse=True)
            blocks.append(Block.of(day.astype(np.int32), [("day", one_each(len(days)))]))
        return blocks, days

    def _biases(self, ratings: Ratings, blocks: list[Block]) -> tuple[Floats, Floats]:
        """Deviations of who is known: by a rating, or by another feature than the id (then 0)."""
        found = ratings.masked(*by_turns(ratings, 5.0, 3.0, 10))
        for bias, block in zip(found, blocks[:2], strict=True):
            described = np.diff(block.features.indptr) > 1
            bias[np.isnan(bias) & described] = 0
        return found


def _ordered(likelihood: str, levels: int, name: str) -> bool:
    """Whether the ordered probit is meant."""
    if likelihood == "ordered_probit" and levels > MOST_LEVELS:
        raise SerendipError(
            f"{name}: likelihood='ordered_probit' needs at most {MOST_LEVELS} distinct ratings. Got {levels} instead. "
            "Try likelihood='regression'."
        )
    return levels > 1 and (likelihood == "ordered_probit" or (likelihood == "auto" and levels <= FEW_LEVELS))


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """What is kept of the chains: for each draw a table per block, w₀ and the cuts."""

    tables: tuple[Floats, ...]
    offset: Floats
    cuts: NDArray[np.float64]

    def part(self, places: slice) -> Draws:
        """A view of some of the draws."""
        return Draws(tuple(table[places] for table in self.tables), self.offset[places], self.cuts[places])


class _Progress:
    """Counts the sweeps of all chains."""

    def __init__(self, run: Run, total: int) -> None:
        self._run, self._total, self._done, self._lock = run, total, 0, Lock()

    def step(self) -> None:
        with self._lock:
            self._done += 1
            self._run.report(self._done, self._total)


def _run_chain(
    options: Options,
    blocks: list[Block],
    target: NDArray[np.float64],
    level: NDArray[np.int32] | None,
    draws: Draws,
    rng: np.random.Generator,
    progress: _Progress,
) -> None:
    """Run one chain and fill its draws. The target, which is changed, is what the ratings or their levels stand for."""
    cuts = None if level is None else Cuts.of(level)
    if cuts is not None:
        target[:] = 0
    parts = [Part.of(block, options.factors, options.stddev, rng) for block in blocks]
    chain = Chain(parts, target.copy(), free_offset=cuts is None, free_noise=cuts is None)
    kept = _spaced(options.iterations, len(draws.offset))
    for sweep in range(-options.burn_in, options.iterations):
        if cuts is not None:
            _draw_latent(chain, cuts, target, rng)
        chain.sweep(rng)
        place = kept.get(sweep)
        if place is not None:
            for table, part in zip(draws.tables, parts, strict=True):
                table[place] = part.table()
            draws.offset[place] = chain.offset
            draws.cuts[place] = [] if cuts is None else cuts.values
        progress.step()


def _spaced(iterations: int, kept: int) -> dict[int, int]:
    """The sweeps whose draws are kept, evenly spaced up to the last, and the place of each."""
    return {(place + 1) * iterations // kept - 1: place for place in range(kept)}


def _draw_latent(chain: Chain, cuts: Cuts, latent: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Draw the cuts, then the latent value of each rating between them."""
    from serendip.kernels import gibbs

    cuts.draw(latent - chain.error, rng)
    gibbs.truncated(cuts.level, chain.error, latent, cuts.values, rng.random(len(latent)))


def _ascending(cuts: NDArray[np.float64]) -> Floats:
    """As float32, pushed apart where rounding made two of them equal."""
    out = cuts.astype(np.float32)
    for place in range(1, out.shape[1]):
        out[:, place] = np.maximum(out[:, place], np.nextafter(out[:, place - 1], np.float32(np.inf)))
    return out
