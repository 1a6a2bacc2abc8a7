"""``serendip recommend``: ask a bundle, for some people or for all of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serendip.cli.asking import (
    AllowOption,
    Asker,
    AttributeOption,
    EventOption,
    ExcludeOption,
    FilterOption,
    HistoryOption,
    SeenOption,
    TimeOption,
    UserOption,
    cell,
    listed_of,
)
from serendip.cli.bundles import BundleOption, asked
from serendip.cli.files import require_writable, whole
from serendip.cli.output import Output
from serendip.cli.verb import verb

if TYPE_CHECKING:
    import polars as pl

    from serendip.bundle import Bundle
    from serendip.bundle.ask import Answer

EXAMPLES = (
    "serendip recommend --user 42 --user 43 -k 5",
    "serendip recommend --history 1193,661,914",
    "serendip recommend --history '\"a,1\",b' --history c",
    "serendip recommend --attribute age=31 --attribute device=tv",
    "serendip recommend --history 1193 --event view=661,914",
    "serendip recommend --user new --filter 'genres has \"Comedy\"'",
    "serendip recommend --user 42 --reasons",
    "serendip recommend --user 42 --explore --seed 7",
    "serendip recommend --all --out recs.parquet",
)


MANY = 10_000_000
"""Pairs of a user and an item from which a ranker's work is worth a note: some seconds on one core."""


@verb
def recommend(
    show: Output,
    bundle: BundleOption = None,
    user: UserOption = None,
    history: HistoryOption = None,
    attribute: AttributeOption = None,
    event: EventOption = None,
    time: TimeOption = None,
    k: Annotated[
        int | None,
        typer.Option(
            "-k", min=1, metavar="N", help="How many items. Left out: the recipe's pipeline.k.", show_default=False
        ),
    ] = None,
    filtered: FilterOption = None,
    exclude: ExcludeOption = None,
    allow: AllowOption = None,
    include_seen: SeenOption = False,
    reasons: Annotated[
        bool,
        typer.Option(
            "--reasons", help="Say of each item all that named it, what each stage gave it, and why it is there."
        ),
    ] = False,
    explore: Annotated[
        bool,
        typer.Option(
            "--explore",
            help="Leave something to chance, where a re-ranker of the bundle explores, and say how likely each item "
            "was at its place.",
        ),
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", min=0, metavar="N", help="With --explore: the same lists for the same number.", show_default=False
        ),
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="For every user of the bundle; needs --out.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write to this .parquet or .csv file.", show_default=False),
    ] = None,
) -> None:
    """Recommend items to users, a newcomer or everybody."""
    from serendip.recipe import RecipeError

    asker = Asker.read(user, history, attribute, event)
    _check(asker, everybody, out)
    if seed is not None and not explore:
        raise RecipeError("--seed must come with --explore. Got --seed alone.")
    loaded = asked(bundle, show)
    places = k or int(loaded.manifest.recipe.get("pipeline", {}).get("k", 10))
    how: dict[str, Any] = {"exclude_seen": not include_seen, "filter": filtered, "time": time, "reasons": reasons}
    how["explore"] = seed if explore and seed is not None else explore
    how |= {"exclude": listed_of("--exclude", exclude), "allow": listed_of("--allow", allow)}
    if everybody and out is not None:
        _say_of_pairs(loaded, show)
        _done(show, out, _write(_watched(loaded, places, show, **how), out))
        return
    _show(loaded.answer(**asker.arguments(), k=places, **how), out, show)


def _check(asker: Asker, everybody: bool, out: Path | None) -> None:
    """That it is clear for whom, and that the file can be written.

    Raises:
        RecipeError: flags that do not go together.
    """
    from serendip.recipe import RecipeError

    if everybody == asker.named:
        raise RecipeError(
            "recommend must be told for whom: --user ID, --history ID,…, --attribute COLUMN=VALUE, --event KIND=ID,… "
            "or --all. Got none, or --all with others."
        )
    if everybody and out is None:
        raise RecipeError("--all must come with --out FILE, .parquet or .csv.")
    if out is not None:
        if out.suffix not in (".parquet", ".csv"):
            raise RecipeError(f"--out must be a .parquet or .csv file. Got {out} instead.")
        require_writable(out)


def _say_of_pairs(bundle: Bundle, show: Output) -> None:
    """A note where a ranker that nothing names items for is asked about many pairs of a user and an item."""
    from serendip.pipeline import retrievers
    from serendip.scorers import RankScorer
    from serendip.scorers.calibrated import ranked_by
    from serendip.types import Embedder

    users, items = len(bundle.user_ids), len(bundle.item_ids)
    for part in retrievers(bundle.pipeline):
        scorer = ranked_by(part.scorer)
        if users * items >= MANY and isinstance(scorer, RankScorer) and not isinstance(scorer, Embedder):
            show.say(
                f"Note: {part.name} is a ranker and scores every item for every user, {users:,} × {items:,}, as "
                "nothing names items before it. Try a model of retrieval in [model], and the ranker in [pipeline.rank]."
            )


def _show(answer: Answer, out: Path | None, show: Output) -> None:
    """The answer and its notes, as a table or in a file."""
    for note in answer.notes:
        show.say(f"Note: {note}")
    if out is not None:
        _done(show, out, _write([answer.frame], out))
        return
    rows = answer.frame.to_dicts()
    show.result(rows, lambda: show.table(answer.frame.columns, ([cell(*pair) for pair in row.items()] for row in rows)))


def _watched(bundle: Bundle, k: int, show: Output, **how: Any) -> Iterable[pl.DataFrame]:
    total, done = len(bundle.user_ids), 0
    with show.step(f"Recommending to {total:,} users") as progress:
        for frame in bundle.iter_recommend(k, **how):
            yield frame
            done += frame["user_id"].n_unique()
            if progress is not None:
                progress(done, total)


def _write(frames: Iterable[pl.DataFrame], out: Path) -> int:
    """Write tables one after another, so that memory holds one of them; returns how many rows there were."""
    count = 0
    with whole(out) as part:
        if out.suffix == ".csv":
            with part.open("wb") as file:
                for number, frame in enumerate(frames):
                    frame.write_csv(file, include_header=number == 0)
                    count += len(frame)
            return count
        import pyarrow.parquet as parquet

        writer = None
        try:
            for frame in frames:
                table = frame.to_arrow()
                if writer is None:
                    writer = parquet.ParquetWriter(part, table.schema, compression="zstd")
                writer.write_table(table.cast(writer.schema))
                count += len(frame)
        finally:
            if writer is not None:
                writer.close()
    return count


def _done(show: Output, out: Path, count: int) -> None:
    show.result({"out": out, "rows": count}, lambda: show.text(f"{out}: {count:,} rows."))
