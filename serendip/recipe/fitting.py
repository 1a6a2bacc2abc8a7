"""From a recipe, or from frames, to a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from numpy.typing import NDArray

from serendip.bundle import Bundle
from serendip.bundle.content import titled
from serendip.bundle.shelving import shelved
from serendip.data.dataset import Dataset
from serendip.data.features.declared import Sentence
from serendip.data.roles import TABLE_OF
from serendip.model import Run, describe, find
from serendip.recipe.funnel import Funnel, alone, behind, fallback_of, in_time, learning_choices, named_by, stage_name
from serendip.recipe.indexing import indexed
from serendip.recipe.learning import Learning, Watch, check_learning, fitted, require_epochs, silently
from serendip.recipe.loading import load_data
from serendip.recipe.reranking import check_rerankers
from serendip.recipe.sections import Choice, PipelineSection, Recipe
from serendip.recipe.transfer import check_kinds
from serendip.run import Start
from serendip.types import Scorer, Stage

if TYPE_CHECKING:
    from serendip.data.features import Feature
    from serendip.data.schema import LabelKind, Schema, TimeKind


def fit(
    events: Any,
    users: Any = None,
    items: Any = None,
    *,
    model: str = "ials",
    fallback: Sequence[str] | None = None,
    schema: Schema | None = None,
    columns: Mapping[str, str | Sequence[str] | None] | None = None,
    time_kind: TimeKind | None = None,
    positive_from: float | None = None,
    event_weights: Mapping[str, float] | None = None,
    target: Sequence[str] | None = None,
    labels: Mapping[str, LabelKind] | None = None,
    relations: Mapping[str, Any] | None = None,
    features: Mapping[str, Feature] | None = None,
    run: Run | None = None,
    **options: Any,
) -> Bundle:
    """Fit a model to a log and put it into a bundle, which answers.

    Args:
        events: the log: a Polars, pandas or Arrow frame, a path, or a `Dataset`.
        users, items: tables with a row per user or item, likewise; None where there is none.
        model: its name, or the dotted path of one from elsewhere.
        fallback: models that fill lists which the first one leaves short; None: content where the items have categories
            or text, then popular.
        schema: what the columns mean; None: inferred, with the help of the next six.
        columns, time_kind, positive_from, event_weights, target, labels: as `serendip.data.schema.Schema.infer` takes
            them.
        relations: tables of pairs by name (friends, trust): their first two columns hold ids of users, or of items if
            the first is named like an item column.
        features: what is made of columns, by name, for models that read features (`serendip.data.features.declared`).
        run: seed, threads and progress.
        options: of the model.

    Raises:
        SerendipError: data, a model or an option that cannot be used; the text says which and what to try.
    """
    meaning = {
        "schema": schema,
        "columns": columns,
        "time_kind": time_kind,
        "positive_from": positive_from,
        "event_weights": event_weights,
        "target": target,
        "labels": labels,
        "relations": relations,
        "features": features,
    }
    if not isinstance(events, Dataset):
        data = Dataset.from_frames(events, users, items, **meaning)  # type: ignore[arg-type]
    elif users is None and items is None and all(value is None for value in meaning.values()):
        data = events
    else:
        raise TypeError("a Dataset already holds its users and items and what its columns mean: give it alone.")
    choice = Choice(model, options)
    others = None if fallback is None else tuple(Choice(name) for name in fallback)
    recipe: dict[str, Any] = {"model": choice.plain()}
    if others is not None:
        recipe["pipeline"] = {"fallback": [other.plain() for other in others]}
    fitter = Fitter(data, run or Run())
    pipeline = fitter.pipeline(choice, PipelineSection(fallback=others))
    return Bundle.build(data, pipeline, recipe=recipe, learned=fitter.learned)


def run_recipe(
    recipe: Recipe,
    *,
    data: Dataset | None = None,
    evaluation: Mapping[str, Any] | None = None,
    watch: Watch = silently,
    run: Run | None = None,
    start: Bundle | None = None,
) -> Bundle:
    """Fit what the recipe says to all of its data.

    Args:
        recipe: made by `read`.
        data: what `load_data` gives, if it was read before.
        evaluation: figures to keep in the bundle, as JSON values.
        watch: told about every step.
        run: how, where more is to be said than the recipe says (`run_of`): a checkpoint, what to freeze.
        start: what to go on from: its events come before the data's (`Bundle.continued`), and the model begins with
            what it learned.

    Raises:
        SerendipError: data, a model or an option that cannot be used.
    """
    check_learning(recipe)
    loaded = load_data(to_read(recipe, start), part=start is not None) if data is None else data
    schema, starts = loaded.schema, dict[str, Start]()
    if start is not None:
        require_epochs(recipe, "a bundle to go on from")
        with watch("Joining what is known"):
            loaded = start.continued(loaded)
        check_kinds(recipe, start.kinds_read, loaded.schema.kinds)
        starts = starts_of(recipe, start, loaded)
    check_rerankers(recipe, loaded)
    fitter = Fitter(loaded, run or run_of(recipe), watch, Learning.of(recipe), starts=starts)
    pipeline = indexed(
        fitter.pipeline(recipe.model, recipe.pipeline, serving=True), loaded, recipe.index, run or run_of(recipe), watch
    )
    kept = None if evaluation is None else dict(evaluation)
    with watch("Building the bundle"):
        return Bundle.build(
            loaded,
            pipeline,
            recipe=portable(recipe).plain(),
            evaluation=kept,
            learned=fitter.learned,
            schema=schema,
            start=None if start is None else start.manifest.version,
        )


def starts_of(recipe: Recipe, start: Bundle, data: Dataset) -> dict[str, Start]:
    """By name of the stage, what the models of a recipe that learn in epochs begin with. A ranker that the bundle does
    not have begins by itself, behind a model that goes on.

    Raises:
        BundleError: the bundle keeps nothing that the first of them could begin with.
    """
    out: dict[str, Start] = {}
    for choice in learning_choices(recipe):
        name = stage_name(choice)
        if find(choice.name).learns_in_epochs and (name in start.learned or not out):
            out[name] = start.start(data, name if name in start.learned else None)
    return out


def to_read(recipe: Recipe, start: Bundle | None) -> Recipe:
    """The recipe by which data are read that follow those of a bundle: features of users and items stay as they were
    fitted for it, and what columns of a table are for says nothing where it is not given, so that no table need come
    with the new events."""
    if start is None:
        return recipe
    data, moments = recipe.data, {name: one for name, one in recipe.features.items() if one.side == "context"}
    lacking = {place for place in ("items", "users") if data.source is None and getattr(data, place) is None}
    columns = {role: names for role, names in data.columns.items() if TABLE_OF.get(role) not in lacking}
    return msgspec.structs.replace(
        recipe,
        data=msgspec.structs.replace(data, columns=columns),
        features=recipe.features if start.attributes is None else moments,
    )


def unread_features(recipe: Recipe, bundle: Bundle) -> str:
    """A sentence on features of the recipe that no model of the bundle reads, and what to try; empty if there are
    none."""
    read = {} if bundle.attributes is None else bundle.attributes.features.declared
    rest = {name: one for name, one in recipe.features.items() if name not in read}
    if not rest:
        return ""
    by = next((option for option in describe(find(recipe.model.name)) if option.name == "items_by"), None)
    hint = " Try model.items_by = both." if by and any(one.side == "item" for one in rest.values()) else ""
    return f"no model of the bundle reads the features {', '.join(rest)}.{hint}"


def run_of(recipe: Recipe) -> Run:
    """How a recipe is carried out."""
    return Run(seed=recipe.run.seed, threads=recipe.run.threads, device=recipe.run.device or "cpu")


class Fitter:
    """Fits models to one data set; a model that is asked for again is not fitted again."""

    def __init__(
        self,
        data: Dataset,
        run: Run,
        watch: Watch = silently,
        learning: Learning | None = None,
        *,
        starts: Mapping[str, Start] | None = None,
        epochs: Mapping[str, int] | None = None,
    ) -> None:
        """For one data set.

        Args:
            data: what is fitted to.
            run: how.
            watch: told about every step.
            learning: when training stops; None: after all epochs.
            starts: by name of the stage, what a model begins with.
            epochs: by model and options, after how many to stop.
        """
        self._data, self._run, self._watch, self._learning = data, run, watch, learning
        self._starts, self._epochs = dict(starts or {}), dict(epochs or {})
        self._fitted: dict[str, Scorer] = {}
        self.learned: dict[str, Mapping[str, NDArray[Any]]] = {}
        """By name of the stage, what a later fit can begin with."""

    def pipeline(
        self, model: Choice, section: PipelineSection | None = None, *, ranked: bool = True, serving: bool = False
    ) -> Stage:
        """What names items, its lists filled by the fallbacks, in the order of the ranker and of the re-rankers.

        Args:
            model: the first that names items.
            section: of the recipe; None: fallbacks that suit the data, and nothing else.
            ranked: whether what the section has beside and behind the model comes with it: further sources, a ranker,
                re-rankers.
            serving: whether stages are guarded; see `serendip.recipe.funnel.named_by`.
        """
        section = section or PipelineSection()
        section = section if ranked else alone(section)
        named = self._named(model, section, serving=serving)
        if section.rank is None:
            return self._finished(named, section, serving=serving)
        funnel = Funnel(section, lambda part: self._again(part, model, section))
        key = repr((section.rank.plain(), model.plain(), section.plain()))
        if key not in self._fitted:
            self._fitted[key] = self._fit(section.rank, self._behind(section.rank, model), funnel)
        whole = funnel.ranked(named, self._fitted[key], serving=serving)
        return self._finished(whole, section, serving=serving)

    def scorer(self, choice: Choice) -> Scorer:
        """What the model answers with, calibrated where that is asked for."""
        return self._scorer(choice, self._run)

    def _finished(self, stage: Stage, section: PipelineSection, *, serving: bool) -> Stage:
        """The pipeline with its re-rankers, which know the items, and within its time."""
        if section.rerank:
            stage = shelved(behind(stage, section, serving=serving), titled(self._data), self._data.histories)
        return in_time(stage, section, serving=serving)

    def _named(self, model: Choice, section: PipelineSection, *, serving: bool = False) -> Stage:
        """What names items."""
        others = replace(self._run, checkpoint=None, resume=False, start=None, freeze=())
        first = replace(self._run, start=self._starts.get(stage_name(model), self._run.start))

        def scorer(choice: Choice) -> Scorer:
            return self._scorer(choice, first if choice == model else others)

        return named_by(model, section, fallback_of(model, section, self._data), scorer, serving=serving)

    def _again(self, part: Dataset, model: Choice, section: PipelineSection) -> Stage:
        """What names items, fitted in the same way to a part of the data."""
        run = replace(self._run, checkpoint=None, resume=False, start=None, freeze=())
        return Fitter(part, run, epochs=self._epochs)._named(model, section)

    def _behind(self, ranker: Choice, model: Choice) -> Run:
        """How a ranker is fitted behind a model: with a checkpoint of its own. What stays as it is are parts of the
        model, where it has such."""
        run, file = self._run, self._run.checkpoint
        return replace(
            run,
            start=self._starts.get(stage_name(ranker)),
            checkpoint=file and file.with_name(f"{file.name}.rank"),
            freeze=() if find(model.name).learns_in_epochs else run.freeze,
        )

    def _scorer(self, choice: Choice, run: Run) -> Scorer:
        key = repr(choice.plain())
        if key not in self._fitted:
            self._fitted[key] = self._fit(choice, run)
        return self._fitted[key]

    def _fit(self, choice: Choice, run: Run, funnel: Funnel | None = None) -> Scorer:
        model = find(choice.name)(**choice.options)
        key = repr(choice.plain())
        run = replace(run, epochs=self._epochs.get(key, run.epochs))
        model, scorer = fitted(model, self._data, run, self._watch, self._learning, funnel)
        learned = model.learned()
        if model.training is not None:
            self._epochs[key] = model.training.epochs
        if learned is not None:
            self.learned[stage_name(choice)] = learned
        return scorer


def portable(recipe: Recipe) -> Recipe:
    """The recipe as a bundle keeps it: paths within the working directory are relative to it, and nothing says where
    results were written."""
    here = Path.cwd()
    paths = {name: getattr(recipe.data, name) for name in ("events", "items", "users", "examples")}
    kept = {name: None if path is None else _within(Path(path), here) for name, path in paths.items()}
    pairs = {name: _within(Path(path), here) for name, path in recipe.data.relations.items()}
    data = msgspec.structs.replace(recipe.data, **kept, relations=pairs, rejects=None)
    features = {
        name: msgspec.structs.replace(one, encoder=_within(Path(one.encoder), here))
        if isinstance(one, Sentence)
        else one
        for name, one in recipe.features.items()
    }
    run = msgspec.structs.replace(recipe.run, out=None)
    return msgspec.structs.replace(recipe, data=data, features=features, run=run)


def _within(path: Path, base: Path) -> str:
    full = path.resolve()
    return str(full.relative_to(base)) if full.is_relative_to(base) else str(full)
