"""`render`: everything a reader needs to judge a model, as one HTML page without scripts or outside parts."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from serendip.report import plots
from serendip.report.facts import Facts
from serendip.report.figures import Figures, plain, who
from serendip.report.heat import MOST, heat
from serendip.report.judged import definitions, read_judged
from serendip.report.plots import figure
from serendip.report.samples import Sample
from serendip.types import SerendipError

if TYPE_CHECKING:
    from serendip.scorers.crossed import Crosses

LIBRARIES = ("serendip", "numpy", "scipy", "polars", "numba")


def render(
    *,
    facts: Facts | None = None,
    evaluation: Mapping[str, Any] | None = None,
    samples: Sequence[Sample] = (),
    crosses: Mapping[str, Crosses] | None = None,
    recipe: Mapping[str, Any] | None = None,
    stages: Sequence[str] = (),
    versions: Mapping[str, str] | None = None,
    title: str = "Recommendation report",
    created: str | None = None,
) -> str:
    """The page. Parts that are not given are left out.

    Args:
        facts: what the data are, from `describe` or `recall`.
        evaluation: figures as ``serendip evaluate`` writes them: ``models`` by name, the one the report is about first,
            and ``comparisons`` of it with the others; of events one by one ``labels``, each of which has these.
        samples: lists beside histories, from `serendip.report.samples`.
        crosses: how strongly rankers cross their fields, by the ranker's name.
        recipe: how it was made, as plain values.
        stages: how an answer comes about, a line for each step.
        versions: of what made it; None: of what runs now.
        title: of the page.
        created: when it was made; None: now, UTC.

    Raises:
        SerendipError: figures that are not as ``serendip evaluate`` writes them.
    """
    by_label = bool(evaluation) and "labels" in (evaluation or {})
    figures = None if not evaluation or by_label else Figures.read(evaluation)
    judged, judged_notes = read_judged(evaluation) if evaluation and by_label else ([], [])
    return (
        environment()
        .get_template("template.html")
        .render(
            title=title,
            created=created or f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            facts=facts,
            figures=figures,
            judged=judged,
            judged_notes=judged_notes,
            judged_definitions=definitions(judged),
            samples=samples,
            crosses=crosses or {},
            recipe=tomli_w.dumps(without_none(recipe)) if recipe else "",
            stages=stages,
            versions=installed() if versions is None else versions,
            plots=_Drawn(facts, figures),
            heat=_heat,
        )
    )


def write(path: str | Path, page: str) -> Path:
    """Write a page to a file, all at once: a crash leaves the old file or the new one.

    Raises:
        SerendipError: the file cannot be written.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(page)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SerendipError(f"{target}: cannot be written: {error.strerror}. Try another place.") from error
    return target


def installed() -> dict[str, str]:
    """The versions that run now."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "from source"
    return found


class _Drawn:
    """The plots of a page, drawn when the template asks for them."""

    def __init__(self, facts: Facts | None, figures: Figures | None) -> None:
        self._facts = facts
        self._figures = figures

    def tail(self) -> Markup:
        """Events per item, from the most popular on."""
        assert self._facts is not None
        counts = self._facts.popularity
        label = (
            f"Events per item on a logarithmic scale, from the most popular with {counts[:1].sum():,} to the least. "
            f"The most popular tenth of the items holds {self._facts.top_share(0.1):.0%} of the events."
        )
        return plots.curve(label, counts.tolist())

    def timeline(self) -> Markup:
        """Events over time."""
        assert self._facts is not None
        timeline = self._facts.timeline
        assert timeline is not None
        label = f"Events per {timeline.unit} from {self._facts.first} to {self._facts.last}."
        return plots.bars(label, timeline.starts, timeline.counts.tolist())

    def legend(self) -> Markup:
        """What the colours mean."""
        assert self._figures is not None
        return plots.legend(list(self._figures.models))


def _heat(name: str, crosses: Crosses) -> Markup:
    pairs = ", ".join(f"{one} with {other} {figure(strength)}" for one, other, strength in crosses.pairs()[:3])
    return heat(
        f"How strongly {name} crosses each two fields. The strongest: {pairs}.", crosses.names, crosses.strengths
    )


@cache
def environment() -> Environment:
    """What pages are made with: the templates of this room, and its ways to write numbers."""
    made = Environment(
        loader=FunctionLoader(lambda name: resources.files("serendip.report").joinpath(name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["plain"] = plain
    made.filters["who"] = who
    made.filters["percent"] = lambda share: "–" if share is None else f"{share:.1%}"
    made.filters["count"] = lambda number: f"{number:,}"
    made.filters["short"] = figure
    made.globals["most"] = MOST
    made.filters["signed"] = lambda number: "–" if number is None else f"{number:+.4f}".replace("-", "−")
    return made


def without_none(value: Any) -> Any:
    """A recipe as TOML can say it: nothing is null."""
    if isinstance(value, Mapping):
        return {str(key): without_none(part) for key, part in value.items() if part is not None}
    if isinstance(value, list | tuple):
        return [without_none(part) for part in value if part is not None]
    return value


__all__ = ["environment", "installed", "render", "without_none", "write"]
