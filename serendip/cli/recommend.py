"""``serendip recommend``: ask a bundle, for some people or for all of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serendip.cli.bundles import BundleOption, load
from serendip.cli.files import require_writable, whole
from serendip.cli.output import Output
from serendip.cli.verb import verb

if TYPE_CHECKING:
    import polars as pl

    from serendip.bundle import Bundle

EXAMPLES = (
    "serendip recommend --user 42 --user 43 -k 5",
    "serendip recommend --history 1193,661,914",
    "serendip recommend --attribute age=31 --attribute device=tv",
    "serendip recommend --history 1193 --event view=661,914",
    "serendip recommend --all --out recs.parquet",
)


@verb
def recommend(
    show: Output,
    bundle: BundleOption = None,
    user: Annotated[
        list[str] | None,
        typer.Option(
            "--user",
            "-u",
            metavar="ID",
            help="For whom; may be repeated. An id that the bundle does not know, such as new, stands for a newcomer.",
            show_default=False,
        ),
    ] = None,
    history: Annotated[
        str | None,
        typer.Option(
            metavar="ID,ID,…",
            help="Items that the user liked, oldest first, in place of what the bundle remembers.",
            show_default=False,
        ),
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            "--attribute",
            metavar="COLUMN=VALUE",
            help="What is known of the user and the moment, where the bundle's model reads features; may be repeated, "
            "for one column too.",
            show_default=False,
        ),
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(
            "--event",
            metavar="KIND=ID,ID,…",
            help="Items of the user's events of a kind that is not the target, oldest first, in place of what the "
            "bundle remembers of that kind; may be repeated.",
            show_default=False,
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(
            "-k", min=1, metavar="N", help="How many items. Left out: the recipe's pipeline.k.", show_default=False
        ),
    ] = None,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="Show what the user has already seen, too.")
    ] = False,
    everybody: Annotated[bool, typer.Option("--all", help="For every user of the bundle; needs --out.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write to this .parquet or .csv file.", show_default=False),
    ] = None,
) -> None:
    """Recommend items to users, a newcomer or everybody."""
    from serendip.recipe import RecipeError

    users = user or []
    said, bags = attributes_of(attribute or []), events_of(event or [])
    if everybody == bool(users or history is not None or said or bags):
        raise RecipeError(
            "recommend must be told for whom: --user ID, --history ID,…, --attribute COLUMN=VALUE, --event KIND=ID,… "
            "or --all. Got none, or --all with others."
        )
    if everybody and out is None:
        raise RecipeError("--all must come with --out FILE, .parquet or .csv.")
    for flag, given in (("--history", history is not None), ("--attribute", said), ("--event", bags)):
        if given and len(users) > 1:
            raise RecipeError(f"{flag} must come with one --user at most. Got {len(users)}.")
    if out is not None:
        if out.suffix not in (".parquet", ".csv"):
            raise RecipeError(f"--out must be a .parquet or .csv file. Got {out} instead.")
        require_writable(out)
    loaded = load(bundle, show)
    places = k or int(loaded.manifest.recipe.get("pipeline", {}).get("k", 10))
    if everybody and out is not None:
        count = _write(_watched(loaded, places, not include_seen, show), out)
        _done(show, out, count)
        return
    answer = loaded.answer(
        users or [None],
        places,
        exclude_seen=not include_seen,
        history=None if history is None else [ids_of(history)],
        attributes=[said] if said else None,
        events=[bags] if bags else None,
    )
    for note in answer.notes:
        show.say(f"Note: {note}")
    if out is not None:
        _done(show, out, _write([answer.frame], out))
        return
    rows = answer.frame.to_dicts()
    show.result(rows, lambda: show.table(answer.frame.columns, ([cell(*pair) for pair in row.items()] for row in rows)))


def attributes_of(pairs: Iterable[str]) -> dict[str, str | list[str]]:
    """``COLUMN=VALUE`` by column; a column that is named several times has several values.

    Raises:
        RecipeError: there is no ``=``.
    """
    from serendip.recipe import RecipeError

    found: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise RecipeError(f"--attribute must be COLUMN=VALUE, such as age=31. Got {pair!r} instead.")
        found.setdefault(name.strip(), []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def events_of(pairs: Iterable[str]) -> dict[str, list[str]]:
    """``KIND=ID,ID,…`` by kind; one that is named several times goes on.

    Raises:
        RecipeError: there is no ``=``.
    """
    from serendip.recipe import RecipeError

    found: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, ids = pair.partition("=")
        if not equals or not name.strip():
            raise RecipeError(f"--event must be KIND=ID,ID,…, such as view=661,914. Got {pair!r} instead.")
        found.setdefault(name.strip(), []).extend(ids_of(ids))
    return found


def ids_of(text: str) -> list[str]:
    """Ids separated by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def cell(name: str, value: Any) -> Any:
    """Ids as they are: a thousands separator is no part of one."""
    return str(value) if name.endswith("_id") and value is not None else value


def _watched(bundle: Bundle, k: int, exclude_seen: bool, show: Output) -> Iterable[pl.DataFrame]:
    total, done = len(bundle.user_ids), 0
    with show.step(f"Recommending to {total:,} users") as progress:
        for frame in bundle.iter_recommend(k, exclude_seen=exclude_seen):
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
